//! An observer sees every frame that a stack sends, as it is sent, with its sender's state.

use simoom_core::client::{ExpectPatterns, FetchClient, FetchConfig};
use simoom_core::port::Port;
use simoom_core::secrets::Secrets;
use simoom_core::server::{Catalogue, FileInfo, FileServer, MemoryBodies, ServerConfig};
use simoom_core::stack::FlowKey;
use simoom_core::stack::{Config, Stack};
use simoom_core::tcp::{Info, State, Why};
use simoom_core::time::{Duration, Instant};
use simoom_core::trace::Trace;
use simoom_core::wire::MacAddr;
use simoom_port_conformance::vec_port::VecPort;

#[derive(Default)]
struct Notes(Vec<(Vec<u8>, Option<State>)>);

impl Trace for Notes {
    fn on_sent(&mut self, _now: Instant, frame: &[u8], sender: Option<&Info>) {
        self.0.push((frame.to_vec(), sender.map(|info| info.state)));
    }
}

#[test]
fn an_observer_sees_every_frame_as_it_is_sent_with_its_senders_state() {
    let config = |n: u8| Config::new(MacAddr([2, 0, 0, 0, 0, n]), [10, 66, 0, n].into(), 24);
    let mut bodies = MemoryBodies::new();
    let (path, content_type, len) = ("/page", "text/plain", 100_000);
    let file = bodies.add_pattern(7, len);
    let mut catalogue = Catalogue::builder(0);
    catalogue
        .add_file(FileInfo { path, content_type, modified: 0, version: 1, len, file })
        .unwrap();
    let app = FileServer::new(catalogue.build(), bodies, ServerConfig::default());
    let mut server_port = VecPort::at_once(256);
    let secrets = Secrets::new([2; 4]);
    let mut server =
        Stack::with_trace(config(2), secrets, server_port.caps(), app, Notes::default());

    let fetch = FetchConfig::new("10.66.0.2:80".parse().unwrap(), vec![path.into()], 2);
    let app = FetchClient::new(fetch, ExpectPatterns(vec![(7, len)]));
    let mut client_port = VecPort::at_once(256);
    let mut client = Stack::new(config(1), Secrets::new([1; 4]), client_port.caps(), app);

    let mut wire = Vec::new();
    let mut now = Instant::ZERO;
    while !client.app().is_done() {
        client.turn(now, &mut client_port).unwrap();
        client_port.take_wire().iter().for_each(|frame| server_port.arrive(frame));
        server.turn(now, &mut server_port).unwrap();
        let sent = server_port.take_wire();
        sent.iter().for_each(|frame| client_port.arrive(frame));
        wire.extend(sent);
        now += Duration::from_millis(1);
        assert!(now < Instant::ZERO + Duration::from_secs(60), "{:?}", client.app().stats());
    }
    let notes = &server.trace().0;
    assert_eq!(notes.len() as u64, server.stats().frames_out);
    assert!(notes.iter().map(|(frame, _)| frame).eq(&wire), "the observer saw other frames");
    // The first answers an ARP request, the second a SYN; the text goes out in ESTABLISHED.
    assert_eq!((notes[0].1, notes[1].1), (None, Some(State::SynReceived)));
    let established = notes.iter().filter(|(_, state)| *state == Some(State::Established));
    assert!(established.count() > 100);
}

/// What a run over a wire that loses was sent for, with the congestion windows seen after ACKs.
#[derive(Default)]
struct Reasons {
    sent: Vec<(Why, u32, u32)>,
    windows: Vec<u32>,
}

impl Trace for Reasons {
    fn on_sent(&mut self, _now: Instant, frame: &[u8], sender: Option<&Info>) {
        if let Some(info) = sender {
            let outstanding = info.snd_max.since(info.snd_una);
            assert!(info.flight <= outstanding && info.snd_nxt.le(info.snd_max), "{info:?}");
            let why = info.why.expect("a segment is sent for a reason");
            self.sent.push((why, frame.len() as u32, info.flight));
        }
    }

    fn on_state(&mut self, _now: Instant, connection: &FlowKey, after: &Info) {
        assert_eq!(connection.local().port(), 80);
        assert_eq!(after.why, None);
        self.windows.push(after.cwnd);
    }
}

/// The reasons for which a server sends, where the wire towards the client loses the frames with
/// these numbers, counted from 1. One answer of 60,000 bytes, 10 ms each way.
fn reasons(lost: &[usize]) -> Reasons {
    let config = |n: u8| Config::new(MacAddr([2, 0, 0, 0, 0, n]), [10, 66, 0, n].into(), 24);
    let mut bodies = MemoryBodies::new();
    let (path, content_type, len) = ("/page", "text/plain", 60_000);
    let file = bodies.add_pattern(7, len);
    let mut catalogue = Catalogue::builder(0);
    catalogue
        .add_file(FileInfo { path, content_type, modified: 0, version: 1, len, file })
        .unwrap();
    let app = FileServer::new(catalogue.build(), bodies, ServerConfig::default());
    let mut server_port = VecPort::at_once(256);
    let mut server = Stack::with_trace(
        config(2),
        Secrets::new([2; 4]),
        server_port.caps(),
        app,
        Reasons::default(),
    );
    let fetch = FetchConfig::new("10.66.0.2:80".parse().unwrap(), vec![path.into()], 1);
    let app = FetchClient::new(fetch, ExpectPatterns(vec![(7, len)]));
    let mut client_port = VecPort::at_once(256);
    let mut client_config = config(1);
    client_config.tcp.receive_window = 65_535;
    let mut client = Stack::new(client_config, Secrets::new([1; 4]), client_port.caps(), app);
    let (mut now, mut number) = (Instant::ZERO, 0);
    while !client.app().is_done() {
        client.turn(now, &mut client_port).unwrap();
        client_port.take_wire().iter().for_each(|frame| server_port.arrive(frame));
        now += Duration::from_millis(10);
        server.turn(now, &mut server_port).unwrap();
        for frame in server_port.take_wire() {
            number += 1;
            if !lost.contains(&number) {
                // A turn for each: an ACK for each, so that duplicates are seen.
                client_port.arrive(&frame);
                client.turn(now, &mut client_port).unwrap();
            }
        }
        now += Duration::from_millis(10);
        assert!(now < Instant::ZERO + Duration::from_secs(60), "{:?}", client.app().stats());
    }
    assert_eq!(client.app().stats().wrong_bytes, 0);
    std::mem::take(server.trace_mut())
}

fn count(reasons: &Reasons, why: Why) -> usize {
    reasons.sent.iter().filter(|(sent, ..)| *sent == why).count()
}

#[test]
fn every_segment_is_sent_for_the_reason_that_the_observer_is_told() {
    let calm = reasons(&[]);
    assert_eq!(calm.sent[0].0, Why::Syn);
    assert!(calm.sent.iter().all(|(why, ..)| !why.is_retransmission()), "{:?}", calm.sent);
    assert!(calm.windows.is_sorted(), "without loss the window never shrinks");
    // Within a burst every segment adds itself to what is in flight.
    let burst: Vec<_> = calm.sent.iter().filter(|(why, ..)| *why == Why::NewText).collect();
    assert!(burst.windows(2).take(9).all(|two| two[1].2 > two[0].2), "{burst:?}");

    // Frame 1 is the answer to ARP, 2 the SYN-ACK, 3 a pure ACK or text. Two of the window of text
    // are lost: a fast retransmit, then a partial ACK.
    let holes = reasons(&[8, 10]);
    assert_eq!((count(&holes, Why::FastRetransmit), count(&holes, Why::PartialAck)), (1, 1));
    assert_eq!(count(&holes, Why::Timeout), 0, "{:?}", holes.sent);
    assert!(!holes.windows.is_sorted());

    // The SYN-ACK is lost, and so is the tail of the answer: both go again by the timer.
    let last = 1 + calm.sent.iter().rposition(|(why, ..)| *why == Why::NewText).unwrap() + 1;
    let tail = reasons(&[2]);
    assert_eq!((count(&tail, Why::Timeout), tail.sent[0].0), (1, Why::Syn));
    let tail = reasons(&[last]);
    assert_eq!(count(&tail, Why::Timeout), 1, "{:?}", tail.sent);
    assert_eq!(count(&tail, Why::FastRetransmit), 0);
}
