//! One turn of the loop: receive, demultiplex, process, transmit.

pub mod app;
