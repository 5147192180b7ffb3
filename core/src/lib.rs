//! The simoom stack: TCP, HTTP and prepared content as one state machine without input or output.
//!
//! This crate may not read a clock, draw a random number, make a system call or hold a pointer.
//! Time, chance and frames come in through [`stack::Stack::turn`] and the [`port::Port`] trait;
//! the same inputs give the same bytes on every machine.
//!
//! Read in this order: [`port`] (who owns a buffer), [`stack`] (one turn), [`tcp`] (segment
//! arrival and output), [`content`] (segments made in advance), [`http`].
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;
#[cfg(any(test, feature = "marks", feature = "mutants"))]
extern crate std;

pub mod client;
pub mod content;
pub mod http;
pub mod marks;
pub mod mutants;
pub mod port;
pub mod secrets;
pub mod seq;
pub mod server;
pub mod stack;
pub mod tcp;
pub mod time;
pub mod trace;
pub mod wire;
