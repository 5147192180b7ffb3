//! The TAP port over real interfaces of a real kernel, each test in a network namespace of its own:
//! nothing of it is seen on the machine, and nothing is left.
//!
//! Needs root and `/dev/net/tun`. Without them each test says in one line that it did not run; with
//! `SIMOOM_REQUIRE_LIVE=1` it fails.
#![cfg(target_os = "linux")]

mod interface;
mod kernel_tcp;
mod recording;
mod refusals;
mod sys;
mod traffic;
mod world;
