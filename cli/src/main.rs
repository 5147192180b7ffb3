//! The command line: it alone reads arguments, directories, clocks and secrets, and hands them to
//! the stack as plain values.
//!
//! Read in this order: [`serve`] (a live port), [`demo`] (a simulated one), [`sim`] (worlds written
//! down in files), [`relay`] (a simulated link between real hosts), [`load`] (a client that measures and
//! checks), [`doctor`] (what would keep a port from serving), [`verify`] (a device put to the test),
//! [`analyze`] (captures explained), [`replay`] (captures played), [`content_table`] (what preparing
//! takes) with [`netmap_need`] (of netmap's memory), [`site`] (a directory as a
//! catalogue), [`captures`] (opened for reading), [`failure`] (how the program ends).

mod analyze;
mod captures;
mod content_table;
mod demo;
mod doctor;
mod failure;
mod human;
mod load;
mod netmap_need;
mod relay;
mod replay;
mod serve;
mod sim;
mod site;
mod slowest;
#[cfg(test)]
mod testdir;
mod time;
mod verify;

use clap::{Parser, Subcommand};
use std::process::ExitCode;

/// A specialised user-space TCP and HTTP stack: serves static content from packets made in
/// advance, over a TAP device or a simulated lossy link.
#[derive(Debug, Parser)]
#[command(name = "simoom", version, after_help = failure::EXIT_CODES, after_long_help = failure::EXIT_CODES)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Serve a directory over one or more network ports
    #[command(after_help = format!("{}\n\n{}", serve::EXAMPLE, failure::EXIT_CODES))]
    Serve(serve::Args),
    /// Serve the bundled site to simulated clients over a lossy link; needs no privilege, no network
    #[command(after_help = failure::EXIT_CODES)]
    Demo(demo::Args),
    /// Run a world written down in a file, under one seed or thousands
    #[command(after_help = format!("{}\n\n{}", sim::EXAMPLE, failure::EXIT_CODES))]
    Sim(sim::Args),
    /// Put a simulated link in real time between two TAP devices
    #[command(after_help = format!("{}\n\n{}", relay::EXAMPLE, failure::EXIT_CODES))]
    Relay(relay::Args),
    /// Say where the time of a server's answers went, from a capture of its connections
    #[command(after_help = format!("{}\n\n{}", analyze::EXAMPLE, failure::EXIT_CODES))]
    Analyze(analyze::Args),
    /// Play a capture's clients against our stack, and compare it with the captured server
    #[command(after_help = format!("{}\n\n{}\n\n{}\n\n{}", replay::EXAMPLE, replay::WHAT_IF, replay::TURN_LOG, failure::EXIT_CODES))]
    Replay(Box<replay::Args>),
    /// Say what would keep a port from serving, and what to do about it
    #[command(after_help = format!("{}\n\n{}", doctor::EXAMPLE, failure::EXIT_CODES))]
    Doctor(doctor::Args),
    /// Make requests over the stack's own client side, and compare every byte that comes
    #[command(after_help = format!("{}\n\n{}", load::EXAMPLE, failure::EXIT_CODES))]
    Load(Box<load::Args>),
    /// Check that a device reads no buffer that it has shown as done, and measure it for the simulator
    #[command(after_help = format!("{}\n\n{}", verify::EXAMPLE, failure::EXIT_CODES))]
    Verify(verify::Args),
    /// Show what preparing a directory takes: objects, variants, segments, bytes of memory
    #[command(after_help = failure::EXIT_CODES)]
    Content(content_table::Args),
}

fn main() -> ExitCode {
    let done = match Cli::parse().command {
        Command::Serve(args) => serve::run(args),
        Command::Demo(args) => demo::run(&args),
        Command::Sim(args) => sim::run(&args),
        Command::Relay(args) => relay::run(&args),
        Command::Analyze(args) => analyze::run(&args),
        Command::Replay(args) => replay::run(&args),
        Command::Doctor(args) => doctor::run(&args),
        Command::Load(args) => load::run(&args),
        Command::Verify(args) => verify::run(&args),
        Command::Content(args) => content_table::run(&args),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("simoom: {failure}");
            failure.exit_code()
        }
    }
}
