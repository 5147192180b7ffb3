//! An echo server on a stack of its own.
//!
//! `cargo run --example echo` lets a client talk to it over a simulated lossy link;
//! `cargo run --example echo -- --tap echo0 --addr 10.67.0.2/24` serves, for `nc 10.67.0.2 7`.

mod apps;

use std::error::Error;

fn main() -> Result<(), Box<dyn Error>> {
    let say: Vec<u8> =
        (0..300_000_u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    apps::run(apps::echo::Echo::default(), say.clone(), say)
}
