//! Nagle's rule where a burst ends with less than a segment: the short tail waits while the whole
//! segments before it are in flight, though nothing was when the burst began. RFC 9293 §3.7.4.

use simoom_core::content::NoContent;
use simoom_core::port::Port;
use simoom_core::secrets::Secrets;
use simoom_core::server::{Catalogue, FileInfo, FileServer, MemoryBodies, ServerConfig};
use simoom_core::stack::app::{App, CloseReason, Cx, OpenError, OpenRequest, Peer, Source};
use simoom_core::stack::{Config, Stack};
use simoom_core::time::{Duration, Instant};
use simoom_core::wire::{self, Frame, MacAddr};
use simoom_port_conformance::vec_port::VecPort;

/// Bytes of text of a whole segment with timestamps.
const WHOLE: usize = 1_448;

/// Says one thing and counts what it hears.
struct Asker {
    say: Vec<u8>,
    asked: bool,
    heard: usize,
    content: NoContent,
}

impl App for Asker {
    type Conn = ();
    type Content = NoContent;

    fn content(&mut self) -> &mut NoContent {
        &mut self.content
    }

    fn poll_open(&mut self) -> Option<OpenRequest> {
        let remote = "10.66.0.2:80".parse().expect("an address");
        let first = !std::mem::replace(&mut self.asked, true);
        first.then_some(OpenRequest { remote, token: 1 })
    }

    fn on_open(&mut self, _cx: &mut Cx<'_>, _peer: Peer) {}

    fn on_open_failed(&mut self, _token: u64, why: OpenError) {
        panic!("{why:?}");
    }

    fn on_bytes(&mut self, _cx: &mut Cx<'_>, _conn: &mut (), bytes: &[u8]) -> usize {
        self.heard += bytes.len();
        bytes.len()
    }

    fn source(&mut self, _conn: &(), at: u64, _max: u32) -> Source<'_> {
        match self.say.get(at as usize..) {
            Some(bytes) if !bytes.is_empty() => Source::Bytes { bytes, fin: false },
            _ => Source::Pending,
        }
    }

    fn on_acked(&mut self, _cx: &mut Cx<'_>, _conn: &mut (), _upto: u64) {}

    fn on_close(&mut self, _conn: (), why: CloseReason) {
        panic!("{why:?}");
    }
}

/// When a segment with text was sent, and how long its text was.
type Sent = (Instant, usize);

fn note(sent: &mut Vec<Sent>, now: Instant, frames: &[Vec<u8>]) {
    for frame in frames {
        if let Ok(Frame::Tcp(frame)) = wire::parse(frame, true)
            && !frame.tcp.payload.is_empty()
        {
            sent.push((now, frame.tcp.payload.len()));
        }
    }
}

/// A request of two whole segments and `tail` bytes, answered by a head and `len` bytes of a file:
/// what the client sent, and what the server did. 10 ms each way.
fn exchange(nagle: bool, tail: usize, len: u64) -> [Vec<Sent>; 2] {
    let config = |n: u8| {
        let mut config = Config::new(MacAddr([2, 0, 0, 0, 0, n]), [10, 66, 0, n].into(), 24);
        config.tcp.nagle = nagle;
        config
    };
    let mut bodies = MemoryBodies::new();
    let file = bodies.add_pattern(7, len);
    let (path, content_type) = ("/page", "text/plain");
    let mut catalogue = Catalogue::builder(0);
    catalogue
        .add_file(FileInfo { path, content_type, modified: 0, version: 1, len, file })
        .unwrap();
    let app = FileServer::new(catalogue.build(), bodies, ServerConfig::default());
    let mut server_port = VecPort::at_once(256);
    let mut server = Stack::new(config(2), Secrets::new([2; 4]), server_port.caps(), app);
    let mut say = b"GET /page HTTP/1.1\r\nHost: x\r\nX-Long: ".to_vec();
    say.resize(2 * WHOLE + tail - 4, b'x');
    say.extend(b"\r\n\r\n");
    let app = Asker { say, asked: false, heard: 0, content: NoContent };
    let mut client_port = VecPort::at_once(256);
    let mut client = Stack::new(config(1), Secrets::new([1; 4]), client_port.caps(), app);

    let [mut asked, mut answered] = [Vec::new(), Vec::new()];
    let mut now = Instant::ZERO;
    while now < Instant::ZERO + Duration::from_secs(2) {
        client.turn(now, &mut client_port).unwrap();
        let sent = client_port.take_wire();
        note(&mut asked, now, &sent);
        now += Duration::from_millis(10);
        sent.iter().for_each(|frame| server_port.arrive(frame));
        server.turn(now, &mut server_port).unwrap();
        let sent = server_port.take_wire();
        note(&mut answered, now, &sent);
        now += Duration::from_millis(10);
        sent.iter().for_each(|frame| client_port.arrive(frame));
    }
    assert!(client.app().heard as u64 > len, "{} of {len}", client.app().heard);
    [asked, answered]
}

/// The tail of a burst that begins with nothing in flight goes when all before it is acknowledged: a
/// round trip later. Two whole segments are acknowledged at once.
#[test]
fn the_short_end_of_a_burst_waits_for_what_is_in_flight() {
    for (tail, len) in [(1, 3_000), (700, 4 * 1_448), (1_447, 2_900)] {
        for sent in exchange(true, tail, len) {
            let (short, whole) = sent.split_last().expect("text was sent");
            assert!(short.1 < WHOLE && whole.iter().all(|(_, len)| *len == WHOLE), "{sent:?}");
            let (first, last) = (whole[0].0, whole.last().expect("whole ones").0);
            assert_eq!(first, last, "one burst: {sent:?}");
            assert_eq!(short.0, last + Duration::from_millis(20), "{sent:?}");
        }
        for sent in exchange(false, tail, len) {
            assert!(sent.iter().all(|(at, _)| *at == sent[0].0), "without the rule: {sent:?}");
        }
    }
}
