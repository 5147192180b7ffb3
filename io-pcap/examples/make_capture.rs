//! A large capture for measuring: 10,000 connections that take turns, two data segments of 1,448
//! bytes for each acknowledgement, checksums right.
//!
//! ```sh
//! cargo run --release -p simoom-pcap --example make_capture -- 1500000 BIG.pcapng
//! ```

use simoom_core::seq::SeqNumber;
use simoom_core::wire::checksum::{Sum, sum};
use simoom_core::wire::{
    HeaderTemplate, MacAddr, TcpFlags, TcpHeader, Timestamps, write_tcp_frame,
};
use simoom_pcap::writer::{Direction, Interface, Packet, Writer};
use std::error::Error;
use std::fs::File;
use std::net::Ipv4Addr;

const CONNECTIONS: u32 = 10_000;
const TEXT_LEN: usize = 1_448;
/// 2023-11-14 22:13:20 UTC.
const START: u64 = 1_700_000_000_000_000_000;
/// A frame each microsecond and a bit.
const BETWEEN_FRAMES: u64 = 1_300;

fn main() -> Result<(), Box<dyn Error>> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [frames, path] = &args[..] else { return Err("make_capture FRAMES FILE".into()) };
    let frames: u32 = frames.parse()?;

    let macs = [MacAddr([2, 0, 0, 0, 0, 1]), MacAddr([2, 0, 0, 0, 0, 2])];
    let server = Ipv4Addr::new(10, 0, 0, 1);
    let mut writer = Writer::new(File::create(path)?, &[Interface::new("made")])?;
    let mut frame = [0x5a; 1514];
    let text_sum = sum(&frame[..TEXT_LEN]);
    for number in 0..frames {
        let (turn, connection) = (number / CONNECTIONS, number % CONNECTIONS);
        let client = Ipv4Addr::from_bits(0x0a01_0000 + connection);
        let sent = SeqNumber((turn - turn / 3) * TEXT_LEN as u32);
        let is_data = turn % 3 != 2;
        let (src, dst) = if is_data { (server, client) } else { (client, server) };
        let (src_port, dst_port) = if is_data { (80, 40_000) } else { (40_000, 80) };
        let (seq, ack) = if is_data { (sent, SeqNumber(1)) } else { (SeqNumber(1), sent) };
        let template = HeaderTemplate::new(macs[usize::from(is_data)], None, src, 64);
        let header = TcpHeader {
            dst_mac: macs[usize::from(!is_data)],
            dst_ip: dst,
            src_port,
            dst_port,
            seq,
            ack,
            flags: TcpFlags::ACK,
            window: 501,
            timestamps: Some(Timestamps { val: turn, ecr: turn }),
            syn: None,
        };
        let (len, text) = if is_data { (TEXT_LEN, text_sum) } else { (0, Sum::ZERO) };
        let headers = write_tcp_frame(&template, &mut frame, &header, len, text, false);
        writer.write(&Packet {
            interface: 0,
            at_unix_nanos: START + u64::from(number) * BETWEEN_FRAMES,
            direction: Direction::Unknown,
            bytes: &frame[..headers + len],
            comment: None,
        });
    }
    writer.finish()?;
    Ok(())
}
