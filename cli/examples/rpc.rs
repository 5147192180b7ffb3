//! A server of requests and answers with their lengths before them; it answers each request with
//! its bytes in reverse.
//!
//! `cargo run --example rpc` lets a client ask over a simulated lossy link;
//! `cargo run --example rpc -- --tap rpc0 --addr 10.68.0.2/24` serves on port 7.

mod apps;

use std::error::Error;

fn main() -> Result<(), Box<dyn Error>> {
    let server = apps::rpc::Rpc::new(|request: &[u8], answer: &mut Vec<u8>| {
        answer.extend(request.iter().rev());
    });
    let (mut say, mut expect) = (Vec::new(), Vec::new());
    for n in 0..500_u32 {
        let request: Vec<u8> = (0..n * 7 % 3_000).map(|i| (i ^ n) as u8).collect();
        say.extend((request.len() as u32).to_be_bytes());
        say.extend(&request);
        expect.extend((request.len() as u32).to_be_bytes());
        expect.extend(request.iter().rev());
    }
    apps::run(server, say, expect)
}
