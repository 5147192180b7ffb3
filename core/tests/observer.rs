//! An observer sees every frame that a stack sends, as it is sent, with its sender's state.

use simoom_core::client::{ExpectPatterns, FetchClient, FetchConfig};
use simoom_core::port::Port;
use simoom_core::secrets::Secrets;
use simoom_core::server::{Catalogue, FileInfo, FileServer, MemoryBodies, ServerConfig};
use simoom_core::stack::{Config, Stack};
use simoom_core::tcp::{Info, State};
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
