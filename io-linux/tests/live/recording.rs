//! A recorder around a live port: what crossed the cable, with the times of the turns.

use crate::world::{ETHERTYPE, host_end, live, numbered};
use pcap_file::pcapng::blocks::enhanced_packet::EnhancedPacketOption;
use pcap_file::pcapng::{Block, PcapNgReader};
use simoom_core::port::{Advance, BATCH_MAX, Port, TxSync, Unclaimed};
use simoom_core::time::Duration;
use simoom_linux::tap::{TapConfig, TapPort};
use simoom_pcap::recorder::Recorder;
use simoom_pcap::writer::{Interface, Writer};

const INBOUND: u32 = 1;
const OUTBOUND: u32 = 2;

#[test]
fn a_recorded_port_echoes_and_the_capture_has_each_frame_at_the_time_of_its_turn() {
    live(|| {
        let port = TapPort::open(&TapConfig::new("simoom0")).unwrap();
        let (host, clock) = (host_end(&port), port.clock());
        let writer = Writer::new(Vec::new(), &[Interface::new("simoom0")]).unwrap();
        let mut port = Recorder::new(port, writer, clock.start_unix_nanos());

        let until = clock.now() + Duration::from_secs(10);
        let (mut expected, mut frame) = (Vec::new(), [0; 2048]);
        for number in 0..3 {
            host.send(&numbered(number)).unwrap();
            // One turn after another, until it is here, past what the kernel itself sends.
            let mut echo = None;
            while echo.is_none() {
                let now = port.advance(Some(until)).unwrap();
                assert!(now < until, "nothing came");
                let at = clock.start_unix_nanos() + now.as_nanos();
                port.receive(BATCH_MAX, |batch| {
                    for frame in batch.iter().filter(|frame| is_ours(frame.bytes)) {
                        expected.push((at, INBOUND, frame.bytes.to_vec()));
                        echo = Some((at, frame.bytes.to_vec()));
                    }
                    Unclaimed::NONE
                });
            }
            let (at, mut bytes) = echo.unwrap();
            bytes[6..12].fill(0xee);
            let mut buf = port.take_free().unwrap();
            port.bytes_mut(&mut buf)[..bytes.len()].copy_from_slice(&bytes);
            port.submit(buf, bytes.len() as u16).unwrap();
            port.sync_tx(TxSync::Push).unwrap();
            assert_eq!(port.reclaim(Some), 1);
            let len = host.recv(&mut frame).unwrap();
            assert_eq!(frame[..len], bytes);
            expected.push((at, OUTBOUND, bytes));
        }
        let (port, writer) = port.into_inner();
        port.close().unwrap();
        let file = writer.finish().unwrap();

        let mut reader = PcapNgReader::new(&file[..]).unwrap();
        let mut seen = Vec::new();
        while let Some(block) = reader.next_block() {
            let Block::EnhancedPacket(packet) = block.unwrap() else { continue };
            let [EnhancedPacketOption::Flags(way)] = packet.options[..] else {
                panic!("{:?}", packet.options)
            };
            if is_ours(&packet.data) {
                seen.push((packet.timestamp.as_nanos() as u64, way, packet.data.to_vec()));
            }
        }
        assert_eq!(seen, expected);
    });
}

fn is_ours(frame: &[u8]) -> bool {
    frame[12..14] == ETHERTYPE.to_be_bytes()
}
