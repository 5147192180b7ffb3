//! Captures of a lossy run: what they hold, in which order, and that the notes are the sender's own.
//! Wireshark's dissector is asked where tshark is installed.
#![cfg(feature = "pcap")]

use pcap_file::pcapng::blocks::enhanced_packet::EnhancedPacketOption;
use pcap_file::pcapng::{Block, PcapNgReader};
use simoom_core::client::{ExpectPatterns, FetchClient, FetchConfig, Order};
use simoom_core::server::bodies::MemoryBodies;
use simoom_core::server::catalogue::{Catalogue, FileInfo};
use simoom_core::server::{FileServer, ServerConfig};
use simoom_core::stack::Stack;
use simoom_core::stack::app::App;
use simoom_core::time::Duration;
use simoom_core::wire::tcp::TcpFlags;
use simoom_core::wire::{self, Frame};
use simoom_sim::capture::{Sender, View, Way, write};
use simoom_sim::endpoint::Either;
use simoom_sim::hash::EventTap;
use simoom_sim::lab::Lab;
use simoom_sim::link::LinkConfig;
use simoom_sim::nic::SimPort;
use simoom_sim::observe::{Probe, Recording, RecordingConfig};
use simoom_sim::port_host::PortHost;
use simoom_sim::seed::{Chance, Seed, Stream};
use simoom_sim::stack_host::{StackHost, StackSetup};
use simoom_sim::world::{Direction, HostId, LinkId, World};
use std::fs;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::process::Command;

type Server = StackHost<FileServer<MemoryBodies>, Probe>;
type Client = StackHost<FetchClient<ExpectPatterns>, Probe>;
type Host = Either<Server, Client>;

/// 2026-01-01 00:00:00 UTC, in nanoseconds.
const START: u64 = 1_767_225_600_000_000_000;
const BODY_LEN: u64 = 400_000;
const SERVER: SocketAddrV4 = SocketAddrV4::new(Ipv4Addr::new(10, 66, 0, 2), 80);

fn probed<A: App>(seed: Seed, number: u16, app: A) -> StackHost<A, Probe> {
    let setup = StackSetup::new(number);
    let port = SimPort::new(setup.nic, setup.number, seed.stream(Stream::Dma(setup.number)));
    let secrets = seed.secrets(setup.number);
    let stack = Stack::with_trace(setup.stack, secrets, &setup.nic.caps, app, Probe::default());
    PortHost::new(stack, port, setup.host)
}

/// A server, a client, and the link that leads from the server to it.
struct Run<T> {
    world: World<Host, T>,
    server: HostId,
    client: HostId,
    link: LinkId,
}

impl<T: EventTap> Run<T> {
    fn new(seed: Seed, tap: T, link: LinkConfig) -> Self {
        let mut bodies = MemoryBodies::new();
        let mut catalogue = Catalogue::builder(1);
        let info = FileInfo {
            path: "/0",
            content_type: "text/plain",
            modified: 1_700_000_000,
            version: 0,
            len: BODY_LEN,
            file: bodies.add_pattern(0, BODY_LEN),
        };
        catalogue.add_file(info).expect("the first");
        let server = FileServer::new(catalogue.build(), bodies, ServerConfig::default());
        let config = FetchConfig {
            server: SERVER,
            host: String::from("sim"),
            paths: vec![String::from("/0")],
            order: Order::RoundRobin,
            connections: 2,
            requests: 4,
            requests_per_connection: 2,
            pipeline: 1,
            think: Duration::ZERO,
            pace: None,
            completions_max: 100,
        };
        let client = FetchClient::new(config, ExpectPatterns(vec![(0, BODY_LEN)]));
        let mut world = World::with_tap(seed, tap);
        let server = world.add_host(Either::Left(probed(seed, 2, server)));
        let client = world.add_host(Either::Right(probed(seed, 1, client)));
        let link = world.connect((server, 0), (client, 0), link.clone(), link);
        let mut run = Self { world, server, client, link };
        run.world
            .run_until(|world| {
                let Either::Right(client) = world.host(client) else { unreachable!() };
                client.stack.app().stats().succeeded == 4
            })
            .expect("every answer comes");
        run.world.run_for(Duration::from_secs(1)).expect("it ends well");
        run
    }

    fn probe(&self, host: HostId) -> &Probe {
        match self.world.host(host) {
            Either::Left(server) => server.stack.trace(),
            Either::Right(client) => client.stack.trace(),
        }
    }

    fn senders(&self) -> [Sender<'_>; 2] {
        [self.server, self.client]
            .map(|host| Sender { probe: self.probe(host), way: self.way(host) })
    }

    fn way(&self, host: HostId) -> Way {
        self.world.way_of(host, 0).expect("it has a link")
    }
}

fn lossy() -> LinkConfig {
    LinkConfig {
        delay: Duration::from_millis(10),
        loss: Chance::ppm(20_000),
        duplicate: Chance::ppm(10_000),
        corrupt: Chance::ppm(10_000),
        ..LinkConfig::default()
    }
}

fn recorded(seed: u64, link: LinkConfig) -> Run<Recording> {
    Run::new(Seed(seed), Recording::default(), link)
}

/// A packet as an independent reader sees it.
struct Seen {
    at: u64,
    interface: u32,
    inbound: bool,
    bytes: Vec<u8>,
    comment: String,
}

impl Seen {
    /// The number in front of which `name` stands in the comment.
    fn number(&self, name: &str) -> u32 {
        let (_, rest) = self.comment.split_once(name).expect(name);
        let digits: String = rest.trim_start().chars().take_while(char::is_ascii_digit).collect();
        digits.parse().expect("a number")
    }
}

fn read(file: &[u8]) -> Vec<Seen> {
    let mut reader = PcapNgReader::new(file).expect("a section");
    let mut packets = Vec::new();
    while let Some(block) = reader.next_block() {
        let Block::EnhancedPacket(packet) = block.expect("a block") else { continue };
        let (mut comment, mut inbound) = (String::new(), false);
        for option in &packet.options {
            match option {
                EnhancedPacketOption::Comment(text) => comment = text.to_string(),
                EnhancedPacketOption::Flags(flags) => inbound = *flags == 1,
                other => panic!("{other:?}"),
            }
        }
        packets.push(Seen {
            at: packet.timestamp.as_nanos() as u64,
            interface: packet.interface_id,
            inbound,
            bytes: packet.data.to_vec(),
            comment,
        });
    }
    packets
}

fn capture(run: &Run<Recording>, views: &[View<'_>]) -> (Vec<u8>, Vec<Seen>) {
    let mut file = Vec::new();
    let written = write(&mut file, run.world.tap(), views, &run.senders(), START).expect("memory");
    let packets = read(&file);
    assert_eq!(written.frames, packets.len() as u64);
    assert_eq!(written.unrecorded, 0);
    assert!(packets.is_sorted_by_key(|packet| packet.at), "in the order of time");
    assert!(packets.iter().all(|packet| packet.at >= START));
    (file, packets)
}

#[test]
fn every_segment_carries_the_state_of_its_own_connection() {
    let run = recorded(7, lossy());
    let (_, packets) = capture(&run, &[View::nic("server", run.way(run.server))]);
    let mut with_state = 0;
    for packet in packets.iter().filter(|packet| !packet.inbound) {
        let Ok(Frame::Tcp(frame)) = wire::parse(&packet.bytes, false) else {
            assert!(!packet.comment.contains("cwnd"), "{}", packet.comment);
            continue;
        };
        if frame.tcp.flags.contains(TcpFlags::RST) {
            continue;
        }
        with_state += 1;
        let names = ["SYN-", "ESTABLISHED, ", "-WAIT", "LAST-ACK, ", "CLOSING, "];
        assert!(names.iter().any(|name| packet.comment.contains(name)), "{}", packet.comment);
        // The frame itself is in flight, and flight is within both windows, but for a segment that
        // goes out of turn.
        let len = frame.tcp.payload.len() as u32;
        let flight = packet.number("flight");
        assert!(flight >= len, "{len}: {}", packet.comment);
        assert!(flight <= packet.number("window") + 1, "{}", packet.comment);
        let (why, _) = packet.comment.split_once("; ").expect("why");
        match len {
            0 => assert!(!why.contains("text"), "{why}"),
            _ => assert!(why == "new text" || why.contains("retransmit"), "{why}"),
        }
    }
    let again = packets.iter().filter(|packet| {
        packet.comment.starts_with("fast retransmit") || packet.comment.starts_with("retransmit")
    });
    assert_eq!(again.count() as u64, run.probe(run.server).retransmissions());
    assert!(run.probe(run.server).retransmissions() > 0, "the link lost something");
    assert!(with_state > 1_000, "{with_state}");
}

#[test]
fn of_two_copies_of_a_frame_each_is_shown_as_it_arrived() {
    let (corrupt, duplicate) = (Chance::ppm(200_000), Chance::ppm(300_000));
    let run = recorded(9, LinkConfig { corrupt, duplicate, ..lossy() });
    let mut mixed = 0;
    for host in [run.server, run.client] {
        let (_, packets) = capture(&run, &[View::nic("host", run.way(host))]);
        for packet in packets.iter().filter(|packet| packet.inbound) {
            let is_bad = wire::parse(&packet.bytes, true).is_err();
            let damaged = packet.comment.contains("damaged on the way");
            assert_eq!(is_bad, damaged, "{} {:02x?}", packet.comment, packet.bytes);
            mixed += u64::from(packet.comment.contains("it arrived twice"));
        }
        assert!(packets.iter().any(|packet| packet.comment.contains("damaged")));
    }
    assert!(mixed > 20, "{mixed}");
}

#[test]
fn a_link_shows_each_frame_once_and_what_became_of_it() {
    let run = recorded(8, lossy());
    let (_, packets) = capture(&run, &[View::link("wire", run.link)]);
    let both = [Direction::Forward, Direction::Backward].map(|d| run.world.link_stats(run.link, d));
    let count = |what: &str| packets.iter().filter(|p| p.comment.contains(what)).count() as u64;
    assert_eq!(packets.len() as u64, both[0].offered + both[1].offered);
    assert_eq!(count("lost: on the link"), both[0].lost + both[1].lost);
    assert_eq!(count("damaged on the way"), both[0].damaged + both[1].damaged);
    assert!(both[0].lost > 0 && both[0].damaged > 0 && both[0].duplicated > 0);
    let twice = both[0].duplicated + both[1].duplicated;
    // A frame may be damaged and doubled; that it was damaged says more.
    assert!((1..=twice).contains(&count("it arrived twice")), "{twice}");
    let (_, forward) = capture(&run, &[View::way("down", (run.link, Direction::Forward))]);
    assert_eq!(forward.len() as u64, both[0].offered);
}

#[test]
fn a_nic_shows_what_left_and_what_came() {
    let run = recorded(9, lossy());
    let views = [View::nic("a", run.way(run.server)), View::nic("b", run.way(run.client))];
    let (_, packets) = capture(&run, &views);
    let of = |interface: u32, inbound: bool| {
        let mine = packets.iter().filter(move |p| p.interface == interface && p.inbound == inbound);
        mine.collect::<Vec<_>>()
    };
    let down = run.world.link_stats(run.link, Direction::Forward);
    assert_eq!(of(0, false).len() as u64, down.offered);
    assert_eq!(of(1, true).len() as u64, down.offered - down.lost + down.duplicated);
    let damaged =
        of(1, true).into_iter().filter(|p| p.comment.contains("damaged")).collect::<Vec<_>>();
    assert!(!damaged.is_empty());
    for packet in damaged {
        assert!(wire::parse(&packet.bytes, true).is_err(), "shown as it arrived");
    }
    for packet in of(0, false) {
        assert!(wire::parse(&packet.bytes, true).is_ok(), "shown as it was sent");
    }
}

#[test]
fn recording_changes_nothing_and_is_bounded() {
    let run = recorded(10, lossy());
    let bare = Run::new(Seed(10), simoom_sim::hash::NoTap, lossy());
    assert_eq!(run.world.hash(), bare.world.hash());
    let config =
        RecordingConfig { bytes_max: 100_000, frame_bytes_max: 200, ..RecordingConfig::default() };
    let short = Run::new(Seed(10), Recording::new(config), lossy());
    let mut file = Vec::new();
    let views = [View::link("wire", short.link)];
    let written = write(&mut file, short.world.tap(), &views, &short.senders(), START).unwrap();
    let all = run.world.tap().frames().len() as u64;
    assert!(written.unrecorded > 0 && written.frames > 500);
    assert_eq!(written.frames + written.unrecorded, all);
    assert!(read(&file).iter().all(|packet| packet.bytes.len() <= 200));
    // The first frames are kept, and they carry the same notes.
    let (_, whole) = capture(&run, &views);
    for (cut, whole) in read(&file).iter().zip(&whole).take(200) {
        assert_eq!((cut.at, cut.bytes.len()), (whole.at, whole.bytes.len().min(200)));
    }
}

#[test]
fn a_lab_writes_the_frames_of_all_its_hosts() {
    let mut lab = Lab::new(Seed(12));
    let server = lab.serve(&[("/0", BODY_LEN)]);
    let client = lab.fetch(server, "/0", 1);
    let link = lab.join(server, client, lossy());
    lab.record_frames(RecordingConfig::default());
    let seen = lab.run().expect("every answer comes");
    let mut file = Vec::new();
    let way = seen.way_of(server, 0).expect("it is joined");
    let views = [View::nic("server", way), View::link("wire", link)];
    let written = seen.write_capture(&mut file, &views, START).expect("memory");
    let packets = read(&file);
    assert_eq!(packets.len() as u64, written.frames);
    let again = |interface: u32| {
        let mine = packets.iter().filter(move |p| p.interface == interface && !p.inbound);
        mine.filter(|p| p.comment.contains("retransmit")).count() as u64
    };
    let (ours, theirs) = (seen.retransmissions(server), seen.retransmissions(client));
    assert!(ours > 0);
    assert_eq!((again(0), again(1)), (ours, ours + theirs));

    let mut silent = Lab::new(Seed(12));
    let server = silent.serve(&[("/0", 1)]);
    let client = silent.fetch(server, "/0", 1);
    silent.join(server, client, lossy());
    let seen = silent.run().expect("every answer comes");
    assert!(seen.write_capture(Vec::new(), &[], START).is_err(), "nothing was recorded");
}

#[test]
fn wireshark_reads_it_without_a_warning() {
    if Command::new("tshark").arg("--version").output().is_err() {
        println!("skipped: tshark is not installed");
        return;
    }
    let clean = LinkConfig { delay: Duration::from_millis(10), ..LinkConfig::default() };
    let losing = LinkConfig { loss: Chance::ppm(20_000), ..clean.clone() };
    for (name, link) in [("clean", clean), ("losing", losing)] {
        let run = recorded(11, link);
        let (file, packets) = capture(&run, &[View::nic("server", run.way(run.server))]);
        let path =
            std::env::temp_dir().join(format!("simoom-{name}-{}.pcapng", std::process::id()));
        fs::write(&path, file).expect("a file");
        let ask = |args: &[&str]| {
            let output = Command::new("tshark")
                .args(["-n", "-o", "tcp.check_checksum:TRUE", "-o", "ip.check_checksum:TRUE", "-r"])
                .arg(&path)
                .args(args)
                .output()
                .expect("tshark starts");
            assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
            String::from_utf8(output.stdout).expect("text")
        };
        let fields = ["frame.time_epoch", "frame.comment"].iter().flat_map(|f| ["-e", f]);
        let args: Vec<_> =
            ["-T", "fields", "-E", "separator=|"].into_iter().chain(fields).collect();
        let lines = ask(&args);
        assert_eq!(lines.lines().count(), packets.len());
        for (line, packet) in lines.lines().zip(&packets) {
            let (at, comment) = line.split_once('|').expect("two fields");
            let (seconds, nanos) = (packet.at / 1_000_000_000, packet.at % 1_000_000_000);
            assert_eq!(at, format!("{seconds}.{nanos:09}"));
            assert_eq!(comment, packet.comment);
        }
        let wrong = "_ws.malformed || tcp.checksum.status == 0 || ip.checksum.status == 0 \
                     || _ws.expert.severity >= 0x600000";
        assert_eq!(ask(&["-Y", wrong]), "", "{name}");
        fs::remove_file(&path).expect("it is there");
    }
}
