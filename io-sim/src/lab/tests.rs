use super::*;
use crate::hash::Fate;
use crate::link::Rate;
use crate::observe::PointKind;
use crate::seed::{Chance, check};
use crate::world::{Direction, Why as EndedWhy};
use simoom_core::tcp::Why;

fn lossy() -> LinkConfig {
    LinkConfig { loss: Chance::ppm(20_000), ..LinkConfig::default() }
}

/// What the probe says was sent again, a SYN-ACK for a client that repeats its SYN among it.
fn sent_again(seen: &Seen<'_>, server: Handle<Server>) -> u64 {
    let probe = seen.probe(server);
    let syn_again = probe.sent(Why::Syn) - probe.connections().len() as u64;
    probe.retransmissions() + syn_again
}

#[test]
fn a_dozen_lines_are_a_world_whose_answers_are_compared() {
    check(0..10, |seed| {
        let mut lab = Lab::new(seed);
        let server = lab.serve(&[("/page", 22_000)]);
        let client = lab.fetch(server, "/page", 50);
        let link = lab.join(client, server, lossy());
        let seen = lab.run().unwrap();
        assert_eq!(seen[client].stats().succeeded, 50);
        assert_eq!(seen[server].stats().requests, 50);
        assert_eq!(seen.completion_times(client).len(), 50);
        assert!(seen.completion_times(client).iter().all(|time| *time >= Duration::from_millis(2)));
        let sent = seen.sent_by(server);
        assert!(sent.delivered_bytes > 50 * 22_000 && sent.delivered_bytes < 50 * 22_500);
        assert_eq!(sent.bytes - sent.retransmitted_bytes, sent.delivered_bytes);
        assert!(sent.retransmitted_segments > 0 && sent.goodput() > 1e6, "{sent:?}");
        // Whatever is retransmitted was lost, or its acknowledgement was.
        let lost =
            seen.link(link, Direction::Forward).lost + seen.link(link, Direction::Backward).lost;
        assert!(lost > 0);
        // The oracles count on the wire what the probe counts in the stack.
        assert_eq!(sent.retransmitted_segments, sent_again(&seen, server));
        assert_eq!(seen.stack_stats(server).frames_out, sent.segments + 1, "and an answer to ARP");
    });
}

#[test]
fn without_loss_nothing_is_sent_twice_and_the_link_is_the_limit() {
    let mut lab = Lab::new(Seed(1));
    let server = lab.serve_with(&[("/big", 4_000_000)], |_| {});
    let client = lab.fetch_with(server, &["/big"], 1, |_, setup| {
        setup.stack.tcp.receive_window = 1 << 20;
    });
    let link = LinkConfig { rate: Rate::mbit(100), ..LinkConfig::default() };
    let link = lab.join(client, server, link);
    let seen = lab.run().unwrap();
    let dropped = seen.link(link, Direction::Backward).queue_full;
    assert_eq!((dropped, seen.retransmissions(server), seen.retransmissions(client)), (0, 0, 0));
    let mut flows = seen.flows();
    let (from_client, from_server) = (flows.next().unwrap(), flows.next().unwrap());
    assert!(flows.next().is_none());
    assert_eq!(from_client.name.to, server.addr(), "the side that opened comes first");
    // 1,448 bytes of every 1,514 are text.
    let ceiling = 100e6 * 1448.0 / 1514.0;
    let goodput = from_server.goodput();
    assert!((0.97..1.0).contains(&(goodput / ceiling)), "{goodput}");
    assert_eq!(seen.goodput(server), goodput);
    // The first round trip finds an empty queue: 2 ms, and the time of some frames on the line.
    let rtt = from_server.rtt;
    assert!(rtt.samples > 10 && rtt.mean() < rtt.max, "{rtt:?}");
    assert!((2_000..2_200).contains(&rtt.min.as_micros()), "{rtt:?}");
    let cwnd = seen.cwnd(server);
    assert_eq!(cwnd[0].1, 14_480, "ten segments");
    assert!(cwnd.is_sorted() && cwnd.len() > 100, "it only grows");
}

#[test]
fn the_probe_knows_why_each_segment_was_sent() {
    check(0..5, |seed| {
        let mut lab = Lab::new(seed);
        let server = lab.serve(&[("/big", 1_000_000)]);
        let client = lab.fetch_with(server, &["/big"], 1, |_, setup| {
            setup.stack.tcp.receive_window = 200_000;
        });
        lab.join(client, server, lossy());
        let seen = lab.run().unwrap();
        let probe = seen.probe(server);
        let [connection] = probe.connections() else { panic!("{}", probe.connections().len()) };
        assert_eq!(connection.unrecorded, 0);
        let sent = |why| {
            let kind = PointKind::Sent(why);
            connection.points.iter().filter(move |point| point.kind == kind)
        };
        for why in Why::ALL {
            assert_eq!(sent(why).count() as u64, connection.sent(why), "{why}");
        }
        assert!(connection.sent(Why::FastRetransmit) > 0);
        // New text is the stream, in order and without a gap.
        let mut end = 0;
        for point in sent(Why::NewText) {
            assert_eq!(point.from, end);
            end = point.upto;
        }
        assert!(end > 1_000_000);
        // What is sent again was sent before, and fast retransmit begins recovery.
        for point in connection.points.iter() {
            match point.kind {
                PointKind::Sent(why) if why.is_retransmission() && point.upto > point.from => {
                    assert!(point.upto <= end && point.flight > 0);
                }
                _ => {}
            }
            let recovers = point.kind == PointKind::Sent(Why::FastRetransmit);
            assert!(!recovers || point.in_recovery, "{point:?}");
        }
        assert!(connection.points.is_sorted_by_key(|point| point.at));
    });
}

#[test]
fn the_timeline_has_every_segment_and_the_queue() {
    let mut lab = Lab::new(Seed(3));
    let server = lab.serve(&[("/big", 300_000)]);
    let client = lab.fetch_with(server, &["/big"], 1, |_, setup| {
        setup.stack.tcp.receive_window = 100_000;
    });
    let narrow = LinkConfig { rate: Rate::mbit(20), queue_frames_max: 20, ..lossy() };
    let narrow = lab.join(client, server, narrow);
    lab.record_timeline(TimelineConfig::default());
    let seen = lab.run().unwrap();
    let timeline = seen.timeline().unwrap();
    assert_eq!(timeline.unrecorded(), 0);
    let flows = timeline.flows();
    let [_, answers] = &flows[..] else { panic!("{} flows", flows.len()) };
    assert_eq!((answers.name.from, answers.direction), (server.addr(), 1));
    let wire = seen.flows().find(|flow| flow.name == answers.name).unwrap();
    let again = answers.segments.iter().filter(|segment| segment.again).count() as u64;
    assert_eq!(again, wire.retransmitted_segments);
    let bytes: u64 = answers.segments.iter().map(|segment| segment.upto - segment.from).sum();
    assert_eq!(bytes, wire.bytes);
    let lost = |fate| answers.segments.iter().filter(|segment| segment.fate == fate).count() as u64;
    let link = seen.link(narrow, Direction::Backward);
    assert!(lost(Fate::Lost) <= link.lost && lost(Fate::Lost) > 0);
    assert!(lost(Fate::QueueFull) > 0 && lost(Fate::QueueFull) <= link.queue_full);
    assert!(answers.segments.is_sorted_by_key(|segment| segment.sent_at));
    // Everything is acknowledged; the ACK of the FIN may still be under way.
    let last = answers.acks.iter().map(|ack| ack.ack).max().unwrap();
    assert!((0..=1).contains(&(last - wire.delivered_bytes)), "{last}");
    assert!(answers.acks.iter().all(|ack| ack.edge >= ack.ack));
    let duplicates = answers.acks.iter().filter(|ack| ack.duplicate).count();
    assert!(duplicates > 2);
    let queue = timeline.queues().iter().find(|queue| queue.direction == 1).unwrap();
    assert_eq!(queue.depths.iter().map(|depth| depth.frames).max(), Some(20));
    assert!(queue.depths.is_sorted_by_key(|depth| depth.at) && queue.unrecorded == 0);
}

#[test]
fn what_goes_through_a_switch_is_counted_once() {
    check(0..5, |seed| {
        let mut lab = Lab::new(seed);
        let server = lab.serve(&[("/page", 22_000)]);
        let switch = lab.switch(5);
        let up = lab.join(server, switch, LinkConfig::default());
        let clients: Vec<_> = (0..4).map(|_| lab.fetch(server, "/page", 5)).collect();
        let link = LinkConfig { corrupt: Chance::ppm(20_000), ..lossy() };
        clients.iter().for_each(|client| {
            lab.join(*client, switch, link.clone());
        });
        let seen = lab.run().unwrap();
        assert_eq!(seen[switch].known(), 5);
        let sent = seen.sent_by(server);
        assert_eq!(sent.connections, 4);
        assert_eq!(sent.retransmitted_segments, sent_again(&seen, server));
        assert!(sent.retransmitted_segments > 0);
        let link = seen.link(up, Direction::Forward);
        assert_eq!(link.offered, seen.stack_stats(server).frames_out);
        assert!(sent.segments < link.offered && sent.segments + 5 > link.offered, "and ARP");
        let delivered: u64 = clients.iter().map(|client| seen[*client].stats().bytes).sum();
        assert_eq!(delivered, 4 * 5 * 22_000);
        assert!((delivered..delivered + 20 * 500).contains(&sent.delivered_bytes));
    });
}

#[test]
fn observers_change_nothing() {
    let hash = |timeline: bool| {
        let mut lab = Lab::new(Seed(7));
        let server = lab.serve(&[("/a", 50_000)]);
        let client = lab.fetch(server, "/a", 5);
        lab.join(client, server, lossy());
        if timeline {
            lab.record_timeline(TimelineConfig::default());
        }
        lab.run().unwrap().hash()
    };
    let expected = hash(false);
    assert_eq!(hash(true), expected);
    // The same world without a lab, without probes.
    let seed = Seed(7);
    let mut bodies = MemoryBodies::new();
    let file = bodies.add_pattern(1, 50_000);
    let mut catalogue = Catalogue::builder(0);
    let (content_type, modified, version) = ("application/octet-stream", 0, 1);
    let info = FileInfo { path: "/a", content_type, modified, version, len: 50_000, file };
    catalogue.add_file(info).unwrap();
    let server = FileServer::new(catalogue.build(), bodies, ServerConfig::default());
    let fetch = FetchConfig::new("10.66.0.1:80".parse().unwrap(), vec!["/a".into()], 5);
    let client = FetchClient::new(fetch, ExpectPatterns(vec![(1, 50_000)]));
    let mut world: World<Box<dyn crate::endpoint::Host>> = World::new(seed);
    let server = world.add_host(Box::new(StackSetup::new(1).host(seed, server)));
    let client_host = StackSetup::new(2).host(seed, client);
    let client = world.add_host(Box::new(client_host));
    world.connect((client, 0), (server, 0), lossy(), lossy());
    while world.hash() != expected {
        assert!(world.step().unwrap(), "the worlds differ");
    }
}

#[test]
fn a_client_that_gets_something_else_fails_the_run_with_a_name() {
    let mut lab = Lab::new(Seed(1));
    let server = lab.serve(&[("/a", 1000)]);
    // As if the file were of another length.
    lab.note_files("10.66.0.1:80".parse().unwrap(), &[("/b", 5)]);
    let client = lab.fetch(server, "/b", 1);
    lab.join(client, server, LinkConfig::default());
    let error = lab.run().map(|seen| seen.hash()).unwrap_err();
    let text = format!("{error:?}");
    assert!(text.starts_with("seed v1:1, event ") && text.contains("wrong_status: 1"), "{text}");
}

#[test]
fn a_run_that_cannot_end_says_where_and_what_hosts_wait_for() {
    let mut lab = Lab::new(Seed(2));
    let server = lab.serve(&[("/a", 1_000_000)]);
    let client = lab.fetch(server, "/a", 1);
    let dead = LinkConfig { loss: Chance::ALWAYS, ..LinkConfig::default() };
    lab.join(client, server, dead);
    lab.set_limits(Limits {
        time_max: Instant::ZERO + Duration::from_secs(9),
        ..Limits::default()
    });
    let error = lab.run().map(|seen| seen.hash()).unwrap_err();
    let LabError::Run(run) = &error else { panic!("{error}") };
    assert_eq!(run.why, EndedWhy::TimeMax(Instant::ZERO + Duration::from_secs(9)));
    assert!(error.to_string().contains("host 1: "), "{error}");
}

#[test]
#[should_panic(expected = "and a link on each")]
fn a_host_without_a_free_port_cannot_be_joined() {
    let mut lab = Lab::new(Seed(1));
    let server = lab.serve(&[]);
    let (one, other) = (lab.serve(&[]), lab.serve(&[]));
    lab.join(server, one, LinkConfig::default());
    lab.join(server, other, LinkConfig::default());
}

#[test]
#[should_panic(expected = "no server of this lab that has \"/nothing\"")]
fn a_file_that_nobody_has_cannot_be_fetched() {
    let mut lab = Lab::new(Seed(1));
    let server = lab.serve(&[("/a", 1)]);
    lab.fetch(server, "/nothing", 1);
}

#[cfg(feature = "smoltcp")]
#[test]
fn smoltcp_takes_either_side() {
    check(0..10, |seed| {
        let mut lab = Lab::new(seed);
        let server = lab.serve(&[("/page", 22_000), ("/other", 100)]);
        let client = lab.fetch_smoltcp_with(server, &["/page", "/other"], 9, |_, _| {});
        lab.join(client, server, lossy());
        let seen = lab.run().unwrap();
        assert!(seen.delivered(server) > 5 * 22_000);
        assert_eq!(lab[client].stats().completed, 9);

        let mut lab = Lab::new(seed);
        let server = lab.serve_smoltcp(&[("/page", 22_000)]);
        let client = lab.fetch(server, "/page", 5);
        lab.join(client, server, lossy());
        let seen = lab.run().unwrap();
        assert_eq!(seen[server].requests(), 5);
        // The wire is read for whoever sends.
        let traffic = seen.sent_by(server);
        assert!(traffic.delivered_bytes > 5 * 22_000 && traffic.segments > 70, "{traffic:?}");
    });
}
