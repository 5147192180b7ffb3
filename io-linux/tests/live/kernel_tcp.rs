//! The kernel's own TCP at the other end: what it sends through a TAP device is complete, and what
//! it is sent it believes.

use crate::sys::{self, Persistent};
use crate::world::{live, prefix, send};
use simoom_core::port::{Advance, BATCH_MAX, Port, Unclaimed};
use simoom_core::seq::SeqNumber;
use simoom_core::time::Duration;
use simoom_core::wire::ethernet::{EthernetHeader, MacAddr};
use simoom_core::wire::{
    self, ArpOperation, Frame, HeaderTemplate, Sum, SynOptions, TcpFlags, TcpFrame, TcpHeader,
};
use simoom_linux::tap::{TapConfig, TapPort};
use std::cell::Cell;
use std::fs;
use std::io::{self, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpStream};
use std::thread;

const NAME: &str = "simoom0";
const OURS: Ipv4Addr = Ipv4Addr::new(10, 66, 0, 2);
const HOST: Ipv4Addr = Ipv4Addr::new(10, 66, 0, 1);
const MAC: MacAddr = MacAddr([2, 0, 0, 0, 0, 2]);
const SERVER: u16 = 80;
const MSS: u16 = 1460;
/// More than the kernel's largest segment before cutting, less than its initial window.
const UPLOAD: usize = 9_000;
const PATIENCE: Duration = Duration::from_secs(10);

fn open() -> TapPort {
    let config = TapConfig::new(NAME).with_host_addr(prefix("10.66.0.1/24"));
    TapPort::open(&config).unwrap()
}

fn template() -> HeaderTemplate {
    HeaderTemplate::new(MAC, None, OURS, 64)
}

/// What the stack would answer to a segment, in its place.
fn answer(to: &TcpFrame<'_>, seq: u32, flags: TcpFlags, syn: Option<SynOptions>) -> Vec<u8> {
    let header = TcpHeader {
        dst_mac: to.eth.src,
        dst_ip: to.ip.src,
        src_port: to.tcp.dst_port,
        dst_port: to.tcp.src_port,
        seq: SeqNumber(seq),
        ack: SeqNumber(to.tcp.seq.0.wrapping_add(to.tcp.seg_len())),
        flags,
        window: 65_000,
        timestamps: None,
        syn,
    };
    let mut frame = vec![0; 128];
    let len = wire::write_tcp_frame(&template(), &mut frame, &header, 0, Sum::default(), false);
    frame.truncate(len);
    frame
}

/// RFC 1071 §4.1, as slowly as it is written there: the sum of a good segment and its pseudo-header
/// is all ones.
fn tcp_sum_by_hand(frame: &[u8]) -> u16 {
    let ip = &frame[14..];
    let header_len = usize::from(ip[0] & 15) * 4;
    let total_len = usize::from(u16::from_be_bytes([ip[2], ip[3]]));
    let segment = &ip[header_len..total_len];
    let mut summed = ip[12..20].to_vec();
    summed.extend([0, ip[9]]);
    summed.extend((segment.len() as u16).to_be_bytes());
    summed.extend(segment);
    summed.resize(summed.len().next_multiple_of(2), 0);
    let mut sum: u32 =
        summed.chunks(2).map(|two| u32::from(u16::from_be_bytes([two[0], two[1]]))).sum();
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    sum as u16
}

/// Turns the port until `done`, answering ARP, and showing each TCP segment of the kernel, whose
/// frame has been verified in both ways, to `on_segment`; what that returns is sent.
fn serve(
    port: &mut TapPort,
    mut on_segment: impl FnMut(&TcpFrame<'_>) -> Vec<Vec<u8>>,
    mut done: impl FnMut() -> bool,
) {
    let until = port.clock().now() + PATIENCE;
    while !done() {
        // The other thread's progress raises no wake-up here: look again now and then.
        let wake_at = port.clock().now() + Duration::from_millis(10);
        let now = port.advance(Some(wake_at)).unwrap();
        assert!(now < until, "the kernel did not do what was expected");
        let (mut answers, longest) = (Vec::new(), usize::from(port.caps().frame_max));
        port.receive(BATCH_MAX, |batch| {
            for frame in batch {
                assert!(frame.bytes.len() <= longest, "cut by the kernel, not left to us");
                match wire::parse(frame.bytes, true).expect("complete and correct") {
                    Frame::Tcp(tcp) => {
                        assert_eq!(tcp_sum_by_hand(frame.bytes), 0xffff);
                        answers.extend(on_segment(&tcp));
                    }
                    Frame::Arp { arp, .. } if arp.operation == ArpOperation::Request => {
                        assert_eq!(arp.target_ip, OURS);
                        let mut reply = vec![0; 60];
                        wire::arp::write_reply(&template(), &mut reply, &arp).unwrap();
                        answers.push(reply);
                    }
                    _ => (),
                }
            }
            Unclaimed::NONE
        });
        for frame in answers {
            send(port, &frame);
        }
    }
}

fn connect() -> io::Result<TcpStream> {
    let patience = std::time::Duration::from_nanos(PATIENCE.as_nanos());
    TcpStream::connect_timeout(&SocketAddr::from((OURS, SERVER)), patience)
}

/// Segments that the kernel found damaged in this thread's namespace: `TcpInCsumErrors`.
fn checksum_errors() -> u32 {
    let counters = fs::read_to_string("/proc/thread-self/net/snmp").unwrap();
    let mut lines = counters.lines().filter(|line| line.starts_with("Tcp:"));
    let (names, values) = (lines.next().unwrap(), lines.next().unwrap());
    let at = names.split(' ').position(|name| name == "InCsumErrors").unwrap();
    values.split(' ').nth(at).unwrap().parse().unwrap()
}

#[test]
fn the_syn_of_a_kernel_socket_has_its_checksum_and_the_kernel_believes_our_reset() {
    live(|| {
        let mut port = open();
        let client = thread::spawn(connect);
        let mut syns = Vec::new();
        let host_mac = MacAddr(port.host_mac().unwrap());
        serve(
            &mut port,
            |frame| {
                assert_eq!(frame.eth, EthernetHeader { dst: MAC, src: host_mac, vlan: None });
                assert_eq!((frame.ip.src, frame.ip.dst), (HOST, OURS));
                syns.push((frame.tcp.flags, frame.tcp.dst_port, frame.tcp.options.mss));
                let reset = answer(frame, 0, TcpFlags::RST | TcpFlags::ACK, None);
                // The same with one bit of the window flipped: the kernel checks what we write.
                let mut damaged = reset.clone();
                damaged[14 + 20 + 14] ^= 1;
                vec![damaged, reset]
            },
            || client.is_finished(),
        );
        let refused = client.join().unwrap().unwrap_err();
        assert_eq!(refused.kind(), io::ErrorKind::ConnectionRefused);
        let [(flags, SERVER, Some(MSS))] = syns[..] else { panic!("{syns:?}") };
        assert!(flags.contains(TcpFlags::SYN) && !flags.contains(TcpFlags::ACK));
        assert_eq!(checksum_errors(), 1, "the damaged one, and no other");
    });
}

#[test]
fn a_large_write_arrives_cut_to_the_mtu_with_every_checksum_complete() {
    live(|| receive_a_large_write(open()));
}

#[test]
fn an_interface_that_remembers_offloads_is_told_that_we_take_none() {
    live(|| {
        let offloads = Persistent { offloads: true, ..Persistent::default() };
        sys::make_persistent(NAME, &offloads).unwrap();
        receive_a_large_write(open());
    });
}

fn receive_a_large_write(mut port: TapPort) {
    let bytes: Vec<u8> = (0..UPLOAD).map(|i| (i * 7 / 3) as u8).collect();
    let client = thread::spawn({
        let bytes = bytes.clone();
        move || {
            let mut stream = connect().unwrap();
            stream.write_all(&bytes).unwrap();
            stream.shutdown(Shutdown::Write).unwrap();
            stream
        }
    });
    let (mut received, mut segments, mut first) = (vec![0; UPLOAD], 0, 0);
    let closed = Cell::new(false);
    serve(
        &mut port,
        |frame| {
            let tcp = &frame.tcp;
            if tcp.flags.contains(TcpFlags::SYN) {
                first = tcp.seq.0.wrapping_add(1);
                let syn = SynOptions { mss: MSS, window_scale: None, sack_permitted: false };
                return vec![answer(frame, 7000, TcpFlags::SYN | TcpFlags::ACK, Some(syn))];
            }
            let at = tcp.seq.0.wrapping_sub(first) as usize;
            received[at..at + tcp.payload.len()].copy_from_slice(tcp.payload);
            segments += usize::from(!tcp.payload.is_empty());
            closed.set(tcp.flags.contains(TcpFlags::FIN));
            vec![answer(frame, 7001, TcpFlags::ACK, None)]
        },
        || closed.get(),
    );
    drop(client.join().unwrap());
    assert_eq!(received, bytes);
    assert!(segments >= UPLOAD.div_ceil(MSS.into()), "{segments} segments");
    assert_eq!(checksum_errors(), 0);
}
