//! Packets in and out with times, against our stack as server and as client.

use super::*;
use simoom_core::client::{ExpectBytes, FetchClient, FetchConfig};
use simoom_core::wire::TcpFlags;
use simoom_sim::hosts::scripted::{
    Packet, Script, ScriptFailure, Scripted, ScriptedConfig, ack, data, fin, reset, syn, syn_ack,
    text,
};
use simoom_sim::hosts::tcp_peer::Station;
use simoom_sim::seed::check;
use simoom_sim::stack_host::StackHost;

fn ms(n: u64) -> Duration {
    Duration::from_millis(n)
}

/// 1 ms each way, as fast as can be.
fn link() -> LinkConfig {
    LinkConfig { rate: simoom_sim::link::Rate::UNLIMITED, ..LinkConfig::default() }
}

/// What a client's script comes to, with our server at the other end.
fn play(script: Script) -> Result<(), ScriptFailure> {
    let config = ScriptedConfig {
        // ARP is over by then.
        start_at: Instant::ZERO + ms(100),
        ..ScriptedConfig::client(SERVER, script)
    };
    let peer = Scripted::new(Station::numbered(2), config);
    let (mut world, _, peer) = pair(Seed(1), peer, link());
    world.run_until(|world| endpoint(world, peer).is_done()).unwrap();
    endpoint(&world, peer).verdict()
}

const GET: &str = "GET /3 HTTP/1.1\r\nHost: sim\r\n\r\n";

fn opened() -> Script {
    Script::new()
        .send(syn().mss(1000).window_scale(0))
        .expect(syn_ack().seq(0).ack(1).mss(1460))
        .send(ack(1))
        .send(data(1..1).text(GET))
}

/// RFC 6298 (5.5): each timeout is twice the one before; only the first segment is sent again.
#[test]
fn the_retransmission_timeouts_double_exactly() {
    let initial_window = (0..10).fold(opened(), |script, n| {
        script.expect(data(1 + 1000 * n..1001 + 1000 * n).ack(1 + GET.len() as u32))
    });
    // ARP, the handshake and the request take 6 ms; the shortest timeout is 200 ms.
    let mut at = 6;
    let script = (0..7).fold(initial_window, |script, n| {
        at += 200 << n;
        script.at(ms(at)).expect(data(1..1001))
    });
    play(script.silence(ms(5_000))).unwrap();
}

/// The same conversation as text.
#[test]
fn a_text_plays_like_rust() {
    let script = text::parse(
        r#"
        send S mss 1000 ws 0
        expect S. 0..0 ack 1 mss 1460
        send . ack 1 win 1500
        send P. 1..1 text "HEAD /3 HTTP/1.1\r\nHost: sim\r\nConnection: close\r\n\r\n"
        expect F. seq 1
        send R
        silence 10s
        "#,
    );
    play(script.unwrap()).unwrap();
}

/// RFC 5681 §3.2: three duplicates, and the segment comes at once.
#[test]
fn three_duplicate_acknowledgements_bring_the_segment_again() {
    let initial_window =
        (0..10).fold(opened(), |script, n| script.expect(data(1 + 1000 * n..1001 + 1000 * n)));
    let script = initial_window
        .after(ms(20))
        .send(ack(1))
        .send(ack(1))
        .silence(ms(10))
        .send(ack(1))
        .after(ms(2))
        .expect(data(1..1001));
    play(script).unwrap();
}

#[test]
fn a_half_closed_client_gets_all_and_then_the_end() {
    let request = "GET /1 HTTP/1.1\r\nHost: sim\r\n\r\n";
    let end = 2 + request.len() as u32;
    let script = Script::new()
        .send(syn().mss(1460))
        .expect(syn_ack())
        .send(ack(1))
        .send(fin().text(request))
        .expect(Packet::with(TcpFlags::ACK).seq(1).ack(end))
        .expect(fin().ack(end).seq(186))
        .send(ack(187))
        .silence(ms(100));
    play(script).unwrap();
}

/// A script says at which step, in which line and why it failed.
#[test]
fn a_mismatch_is_told_with_its_step_and_line() {
    let script = "send S mss 1000\nexpect S. ack 2\n";
    let failure = play(text::parse(script).unwrap()).unwrap_err();
    assert_eq!((failure.step, failure.line), (2, Some(2)));
    assert!(failure.why.contains("ack is 1, not 2"), "{failure}");
    assert_eq!(failure.log.len(), 2, "{failure}");

    let late = Script::new().send(syn()).at(ms(50)).expect(syn_ack());
    assert!(play(late).unwrap_err().why.starts_with("time "));
    let silent = Script::new().send(syn()).silence(ms(50));
    assert!(play(silent).unwrap_err().why.contains("expected silence"));
    let nothing = Script::new().send(reset().seq(7)).expect(syn_ack());
    assert!(play(nothing).unwrap_err().why.contains("nothing came"));
}

/// Our stack as client, a script as server: the answer comes in two halves, the second one first.
#[test]
fn a_server_can_be_scripted() {
    check(0..3, |seed| {
        let head = "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n";
        let body = 1 + head.len() as u32;
        let script = Script::new()
            .expect(syn().seq(0))
            .send(syn_ack().mss(1460))
            .expect(ack(1))
            .after(ms(5))
            .send(data(body..body).text("0123456789"))
            .expect(ack(1))
            .after(ms(5))
            .send(data(1..1).text(head))
            .expect(fin().ack(body + 10))
            .send(fin().seq(body + 10))
            .expect(ack(body + 11));
        type Client = StackHost<FetchClient<ExpectBytes>>;
        let mut world: World<Either<Client, EndpointHost<Scripted>>> = World::new(seed);
        let mut fetch = FetchConfig::new(SERVER, vec![String::from("/")], 1);
        fetch.completions_max = 1;
        let app = FetchClient::new(fetch, ExpectBytes(vec![b"0123456789"[..].into()]));
        let client = world.add_host(Either::Left(StackSetup::new(2).host(seed, app)));
        let config = ScriptedConfig::server(80, script);
        let peer = Scripted::new(Station::numbered(1), config);
        // It leaves a gap on purpose, which a host that is judged must not.
        let peer = world.add_lawless_host(Either::Right(EndpointHost::new(peer)));
        world.connect((client, 0), (peer, 0), link(), link());
        world.run_for(Duration::from_secs(30)).unwrap_or_else(|error| panic!("{error}"));
        world.host(peer).right().unwrap().endpoint.verdict().unwrap_or_else(|e| panic!("{e}"));
        let stats = world.host(client).left().unwrap().stack.app().stats();
        assert_eq!((stats.succeeded, stats.failed), (1, 0));
    });
}

#[test]
fn same_twice_and_forked_at_any_event() {
    let make = || {
        let config = ScriptedConfig::client(SERVER, opened().silence(ms(1)));
        pair(Seed(1), Scripted::new(Station::numbered(2), config), link()).0
    };
    same_twice_and_forked(make, Duration::from_secs(3));
}
