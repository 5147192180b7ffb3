//! Several stacks with one address, each behind a ring of its own: what one of them has to do without,
//! and what it counts.

use simoom_core::content::NoContent;
use simoom_core::port::Port;
use simoom_core::secrets::Secrets;
use simoom_core::server::{Catalogue, FileInfo, FileServer, MemoryBodies, ServerConfig};
use simoom_core::stack::app::{App, CloseReason, ConnId, Cx, OpenError, OpenRequest, Peer, Source};
use simoom_core::stack::{Config, Stack, Stats};
use simoom_core::time::{Duration, Instant};
use simoom_core::wire::rss::{MICROSOFT_KEY, Shard, Spread};
use simoom_core::wire::{self, Frame, MacAddr};
use simoom_port_conformance::vec_port::VecPort;

const LEN: u64 = 22_000;
const RINGS: u8 = 2;

/// Says what it has to say, more of it later, and counts what it hears.
struct Asker {
    say: Vec<u8>,
    conn: Option<ConnId>,
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

    fn on_open(&mut self, cx: &mut Cx<'_>, _peer: Peer) {
        self.conn = Some(cx.conn());
    }

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

fn config(n: u8) -> Config {
    Config::new(MacAddr([2, 0, 0, 0, 0, n]), [10, 66, 0, n].into(), 24)
}

fn server(ring: u8, port: &VecPort) -> Stack<FileServer<MemoryBodies>> {
    let mut bodies = MemoryBodies::new();
    let file = bodies.add_pattern(7, LEN);
    let (path, content_type) = ("/page", "text/plain");
    let mut catalogue = Catalogue::builder(0);
    let info = FileInfo { path, content_type, modified: 0, version: 1, len: LEN, file };
    catalogue.add_file(info).unwrap();
    let patient =
        ServerConfig { idle_timeout: Duration::from_secs(1_000), ..ServerConfig::default() };
    let app = FileServer::new(catalogue.build(), bodies, patient);
    let spread = Spread::in_turn(MICROSOFT_KEY, RINGS);
    let config = Config { shard: Some(Shard { spread, ring }), ..config(2) };
    Stack::new(config, Secrets::new([2 + u64::from(ring); 4]), port.caps(), app)
}

/// One connection asks twice, `pause` apart. An interface with two rings brings all that is not TCP to
/// ring 0, and the connection to the ring that the hash chooses, or to the other one. What each of the
/// two stacks counted, and on which ring the connection was.
fn exchange(pause: Duration, fits: bool) -> ([Stats; RINGS as usize], usize) {
    let mut ports = [VecPort::at_once(256), VecPort::at_once(256)];
    let mut stacks = [server(0, &ports[0]), server(1, &ports[1])];
    let request = b"GET /page HTTP/1.1\r\nHost: x\r\n\r\n";
    let app =
        Asker { say: request.to_vec(), conn: None, asked: false, heard: 0, content: NoContent };
    let mut client_port = VecPort::at_once(256);
    let mut client = Stack::new(config(1), Secrets::new([1; 4]), client_port.caps(), app);
    let spread = Spread::in_turn(MICROSOFT_KEY, RINGS);
    let mut of_connection = None;
    let mut now = Instant::ZERO;
    let again_at = now + pause;
    let mut heard_first = None;
    while now < again_at + Duration::from_secs(2) {
        if now >= again_at && heard_first.is_none() {
            heard_first = Some(client.app().heard);
            client.app_mut().say.extend(request);
            let conn = client.app().conn.expect("it was opened");
            assert!(client.wake(conn));
        }
        let deadline = client.turn(now, &mut client_port).unwrap();
        let sent = client_port.take_wire();
        for frame in &sent {
            let ring = match wire::parse(frame, true).unwrap() {
                Frame::Tcp(frame) => {
                    let end = |ip, port| std::net::SocketAddrV4::new(ip, port);
                    let (src, dst) = (frame.ip.src, frame.ip.dst);
                    let hashed = spread
                        .ring_of_tcp(end(src, frame.tcp.src_port), end(dst, frame.tcp.dst_port));
                    let ring = usize::from(if fits { hashed } else { 1 - hashed });
                    assert_eq!(*of_connection.get_or_insert(ring), ring, "one flow, one ring");
                    ring
                }
                _ => 0,
            };
            ports[ring].arrive(frame);
        }
        now += Duration::from_millis(1);
        let mut wake = deadline;
        for (stack, port) in stacks.iter_mut().zip(&mut ports) {
            let deadline = stack.turn(now, port).unwrap();
            wake = wake.into_iter().chain(deadline).min_by_key(|deadline| deadline.at);
            port.take_wire().iter().for_each(|frame| client_port.arrive(frame));
        }
        // Nothing on the way: on to whatever comes next.
        if sent.is_empty() && client.app().heard > 0 {
            let next = wake.map_or(again_at, |deadline| deadline.at);
            now = now.max(if now < again_at { next.min(again_at) } else { next });
        }
    }
    let first = heard_first.expect("it asked again");
    assert!(first as u64 > LEN && client.app().heard == 2 * first, "{}", client.app().heard);
    assert!(client.stats().arp_requests > 0);
    (stacks.map(|stack| stack.stats().clone()), of_connection.expect("there was one"))
}

/// Where ARP comes to ring 0 alone, the stack of another ring never hears one. It answers to the
/// hardware address that frames came from, also when whatever was learned has been forgotten since.
#[test]
fn shard_that_hears_no_address_resolution_answers_within_the_minute_and_after_it() {
    for (pause, fits) in [(5, true), (5, false), (300, true), (300, false)] {
        let (stats, ring) = exchange(Duration::from_secs(pause), fits);
        let [first, second] = &stats;
        assert!(first.arp_replies > 0 && second.arp_replies == 0);
        assert_eq!((first.arp_requests, second.arp_requests), (0, 0), "nobody had to ask");
        assert_eq!((stats[ring].opened, stats[1 - ring].opened), (1, 0), "{pause} {fits}");
    }
    let on_ring_1 = [true, false].map(|fits| exchange(Duration::from_secs(300), fits).1 == 1);
    assert!(on_ring_1.contains(&true), "one of them was the ring without ARP");
}

#[test]
fn connection_on_a_ring_that_the_hash_does_not_choose_is_counted_once() {
    for fits in [true, false] {
        let (stats, ring) = exchange(Duration::from_secs(1), fits);
        let counted = |stats: &Stats| (stats.rx_hashed, stats.rx_other_ring);
        assert_eq!(counted(&stats[ring]), (1, u64::from(!fits)));
        assert_eq!(counted(&stats[1 - ring]), (0, 0));
    }
}
