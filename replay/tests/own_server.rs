//! A capture of our own server, replayed: no difference, and what was changed on purpose shows as its
//! class and as nothing else.

#[allow(unreachable_pub, reason = "shared by several tests")]
mod world;

use simoom_core::mutants::{Mutant, activate, happened};
use simoom_core::tcp::Why;
use simoom_core::time::Duration;
use simoom_core::wire::rewrite::TcpFrameMut;
use simoom_core::wire::{Frame, TcpFlags, TcpFrame, parse};
use simoom_replay::compare::{Class, Rules};
use simoom_replay::open::wire::frame_between;
use simoom_replay::open::{
    Files, NoOutput, OpenLoop, OpenOptions, OpenTotals, OurFrame, Output, Profile,
};
use simoom_replay::script::End;
use world::{World, prepare, prepare_with, replay};

/// Our own server, on time to the nanosecond.
fn exact() -> Profile {
    let mut profile = Profile::simoom();
    profile.rules = Rules { tolerance: 0, ..Rules::OWN };
    profile.timer_slack = 0;
    profile
}

#[track_caller]
fn assert_same(totals: &OpenTotals, connections: u64) {
    let summary = &totals.summary;
    assert_eq!(summary.connections, connections);
    assert!(summary.is_same() && summary.farthest == 0, "{:#?}", summary.kept.first());
    assert!(summary.compared > 3 * connections);
    assert_eq!(totals.ours, totals.theirs);
    assert_eq!(totals.misfits, 0);
}

/// The only class that is found in any connection.
#[track_caller]
fn assert_only(totals: &OpenTotals, class: Class) {
    assert!(totals.summary.compared > 5);
    let found: Vec<_> = totals.summary.by_weight().into_iter().map(|(class, _)| class).collect();
    assert_eq!(found, [class], "{:#?}", totals.summary.kept.first());
}

#[test]
fn one_answer_is_the_same() {
    let totals = replay(&World::new(&[60_000], 1, 1, 1).record(), &exact());
    assert_same(&totals, 1);
}

#[test]
fn keep_alive_and_pipelining_are_the_same() {
    let mut world = World::new(&[300, 14_480, 20_000, 1], 4, 80, 10);
    world.fetch.pipeline = 4;
    world.fetch.think = Duration::from_millis(3);
    let totals = replay(&world.record(), &exact());
    let connections = totals.summary.connections;
    assert!(connections >= 8);
    assert_same(&totals, connections);
}

#[test]
fn losses_in_both_directions_are_answered_in_the_same_way() {
    for spacing in [0, 12] {
        let mut world = World::new(&[200_000, 500, 40_000], 8, 96, 4);
        world.spacing = Duration::from_micros(spacing);
        world.loses_to_client = |n| n % 23 == 7 || n % 101 < 3;
        world.loses_to_server = |n| n % 29 == 11;
        let totals = replay(&world.record(), &exact());
        let (ours, theirs) = (totals.summary.our_again, totals.summary.their_again);
        assert!(ours.iter().sum::<u64>() > 100);
        assert_eq!(ours.iter().sum::<u64>(), theirs.iter().sum::<u64>());
        let connections = totals.summary.connections;
        assert!(connections >= 24);
        assert_same(&totals, connections);
    }
}

#[test]
fn a_thousand_connections_are_the_same_within_the_default_tolerance_too() {
    let mut world = World::new(&[3_000, 30_000, 100], 100, 1_200, 1);
    world.loses_to_client = |n| n % 97 == 50;
    let capture = world.record();
    assert_same(&replay(&capture, &exact()), 1_200);
    assert_same(&replay(&capture, &Profile::simoom()), 1_200);
}

#[test]
fn another_initial_window_shows_as_that() {
    for segments in [4, 20] {
        let mut world = World::new(&[60_000], 2, 4, 1);
        world.server.tcp.initial_window_segments = segments;
        assert_only(&replay(&world.record(), &exact()), Class::CongestionWindow);
    }
}

#[test]
fn another_minimum_rto_shows_as_a_timeout() {
    for millis in [100, 300] {
        let mut world = World::new(&[20_000], 1, 1, 1);
        world.server.tcp.min_rto = Duration::from_millis(millis);
        // The last segment of the answer, behind the answer to ARP, the SYN-ACK and 13 others.
        world.loses_to_client = |n| n == 16;
        assert_only(&replay(&world.record(), &exact()), Class::Timeout);
    }
}

#[test]
fn an_option_left_out_shows_as_that() {
    let mut world = World::new(&[60_000], 2, 8, 1);
    world.server.tcp.timestamps = false;
    let capture = world.record();
    // What the capture shows is imitated; the difference is there where it is not.
    assert_same(&replay(&capture, &exact()), 8);
    let mut profile = exact();
    profile.announces.timestamps = Some(true);
    assert_only(&replay(&capture, &profile), Class::Options);

    let mut world = World::new(&[60_000], 2, 8, 1);
    world.server.tcp.window_scaling = false;
    let capture = world.record();
    assert_same(&replay(&capture, &exact()), 8);
    let mut profile = exact();
    profile.announces.window_scaling = Some(true);
    assert_only(&replay(&capture, &profile), Class::Options);
}

/// Server and fault: what the replay finds where the captured server has the fault and ours has not.
fn with_fault(world: World, mutant: Mutant) -> OpenTotals {
    activate(Some(mutant));
    let capture = world.record();
    assert!(happened() > 0, "{mutant:?} did not happen");
    activate(None);
    replay(&capture, &exact())
}

fn lossy() -> World {
    let mut world = World::new(&[100_000], 1, 1, 1);
    world.loses_to_client = |n| n == 20;
    world
}

#[test]
fn a_wrong_retransmission_shows_as_its_kind() {
    assert_same(&replay(&lossy().record(), &exact()), 1);
    assert_only(&with_fault(lossy(), Mutant::DuplicateThresholdOne), Class::FastRetransmit);
    assert_only(&with_fault(lossy(), Mutant::SkippedRetransmission), Class::FastRetransmit);
    let mut tail = World::new(&[20_000], 1, 1, 1);
    tail.loses_to_client = |n| n > 14 && n < 18;
    assert_only(&with_fault(tail, Mutant::NoBackoff), Class::Timeout);
}

#[test]
fn a_wrong_window_shows_as_that() {
    let world = || {
        let mut world = World::new(&[600_000], 1, 1, 1);
        world.client.tcp.receive_window = 1 << 20;
        world.client.receive_buffers = 4;
        world
    };
    let lossy = || World { loses_to_client: |n| n == 60, ..world() };
    assert_only(&with_fault(world(), Mutant::InitialWindowTripled), Class::CongestionWindow);
    assert_only(&with_fault(lossy(), Mutant::WindowNotHalved), Class::CongestionWindow);
}

/// The nth frame of a capture in pcapng, counted from 0, that `wanted` wants, changed by `change`,
/// its checksums made right.
fn changed(
    capture: &[u8],
    nth: usize,
    wanted: fn(&TcpFrame<'_>) -> bool,
    change: fn(&mut [u8]),
) -> Vec<u8> {
    let mut out = capture.to_vec();
    let (mut at, mut seen) = (0, 0);
    while at < out.len() {
        let word = |at: usize| u32::from_le_bytes(capture[at..at + 4].try_into().unwrap());
        let (kind, len) = (word(at), word(at + 4) as usize);
        if kind == 6 {
            let frame = at + 28..at + 28 + word(at + 20) as usize;
            if let Ok(Frame::Tcp(tcp)) = parse(&capture[frame.clone()], true)
                && wanted(&tcp)
            {
                if seen == nth {
                    change(&mut out[frame.clone()]);
                    let mut tcp = TcpFrameMut::new(&mut out[frame]).unwrap().unwrap();
                    tcp.repair_checksums();
                    return out;
                }
                seen += 1;
            }
        }
        at += len;
    }
    panic!("no such frame")
}

#[test]
fn one_altered_ack_in_the_file_is_reported() {
    let capture = World::new(&[60_000], 5, 10, 1).record();
    let pure = |tcp: &TcpFrame<'_>| {
        tcp.tcp.dst_port == 80 && tcp.tcp.payload.is_empty() && tcp.tcp.flags == TcpFlags::ACK
    };
    let theirs = |tcp: &TcpFrame<'_>| tcp.tcp.src_port == 80 && !tcp.tcp.payload.is_empty();
    assert_same(&replay(&capture, &exact()), 10);
    // In the middle of an answer, by 1,000 octets less; of something never sent; of the server's.
    let less = |frame: &mut [u8]| {
        let ack = u32::from_be_bytes(frame[42..46].try_into().unwrap()).wrapping_sub(1_000);
        frame[42..46].copy_from_slice(&ack.to_be_bytes());
    };
    let more = |frame: &mut [u8]| {
        let ack = u32::from_be_bytes(frame[42..46].try_into().unwrap()).wrapping_add(1_000_000);
        frame[42..46].copy_from_slice(&ack.to_be_bytes());
    };
    for (nth, wanted, change) in [
        (40, pure as fn(&TcpFrame<'_>) -> bool, less as fn(&mut [u8])),
        (41, pure, less),
        (33, theirs, less),
    ] {
        let summary = replay(&changed(&capture, nth, wanted, change), &exact()).summary;
        assert_eq!((summary.connections, summary.same), (10, 9), "{nth}");
    }
    // The server must have sent something that is not there.
    let left_out = prepare(&changed(&capture, 60, pure, more)).1.left_out;
    assert_eq!(left_out, [(simoom_replay::flow::Class::GapInTheCapture, 1)].into());
}

/// Our frames' text by stream offset.
#[derive(Default)]
struct Text(Vec<u8>);

impl Output for Text {
    fn on_frame(&mut self, frame: &OurFrame<'_>) -> std::io::Result<()> {
        let mut bytes = Vec::new();
        frame_between(frame, &mut bytes);
        let Ok(Frame::Tcp(tcp)) = parse(&bytes, true) else { panic!("a bad frame: {bytes:?}") };
        assert_eq!(tcp.tcp.dst_port, frame.client.port());
        if !tcp.tcp.payload.is_empty() && frame.info.unwrap().why == Some(Why::NewText) {
            self.0.extend_from_slice(tcp.tcp.payload);
        }
        Ok(())
    }
}

#[test]
fn captured_text_is_sent_again_octet_by_octet_and_its_gaps_are_made_up() {
    let mut world = World::new(&[100_000], 1, 2, 2);
    world.loses_to_client = |n| n == 20 || n == 90;
    let capture = world.record();
    let sent = |keeps: bool, capture: &[u8]| {
        let (tape, mut prepared) = prepare_with(capture, keeps);
        let options = OpenOptions { profile: exact(), wants_frames: true, files: None };
        let mut text = Text::default();
        let totals = OpenLoop::run(&tape[..], &mut prepared, &options, &mut text).unwrap();
        assert_same(&totals, 1);
        (text.0, prepared.text_gaps)
    };
    let (text, gaps) = sent(true, &capture);
    assert_eq!(gaps, (0, 0));
    assert!(text.starts_with(b"HTTP/1.1 200 OK\r\n"));
    let body = text.windows(4).position(|window| window == b"\r\n\r\n").unwrap() + 4;
    assert!(simoom_core::server::bodies::pattern_matches(0, 0, &text[body..body + 100_000]));
    let (made_up, _) = sent(false, &capture);
    assert_eq!(made_up.len(), text.len());
    assert_ne!(made_up[..1_000], text[..1_000]);
}

#[test]
fn other_octets_at_the_same_place_are_found_where_text_is_kept() {
    activate(Some(Mutant::ByteChangedOnRetransmission));
    let mut world = World::new(&[100_000], 1, 1, 1);
    world.loses_to_client = |n| n % 20 == 19;
    world.checks_bodies = false;
    let capture = world.record();
    assert!(happened() > 0);
    activate(None);
    let (tape, mut prepared) = prepare_with(&capture, true);
    let options = OpenOptions { profile: exact(), wants_frames: false, files: None };
    let totals = OpenLoop::run(&tape[..], &mut prepared, &options, &mut NoOutput).unwrap();
    assert_only(&totals, Class::Octets);
}

#[test]
fn a_script_has_the_turns_of_the_conversation() {
    let mut world = World::new(&[5_000, 20_000], 1, 4, 4);
    world.fetch.think = Duration::from_millis(50);
    let (_, mut prepared) = prepare(&world.record());
    let script = prepared.scripts.get(0).unwrap().unwrap();
    let turns = script.turns();
    assert_eq!(turns.len(), 4);
    for (turn, body) in turns.iter().zip([5_000, 20_000, 5_000, 20_000]) {
        assert!((40..200).contains(&turn.request_bytes), "{turn:?}");
        assert!((body..body + 400).contains(&turn.response_bytes), "{turn:?}");
        assert_eq!((turn.think, turn.request_at), (0, turn.response_first_at));
        assert!(turn.response_last_acked_at > turn.response_first_at);
    }
    // The last acknowledgement waited 40 ms for text to ride on.
    let between = turns[1].request_at - turns[0].response_last_acked_at;
    assert!((10_000_000..11_000_000).contains(&between), "{between}");
    assert_eq!(script.segment_text_max(), 1_448);
    assert!(script.uses_timestamps() && script.ts_per_second == 1_000 && !script.goes_on);
    assert!(matches!(script.end, End::Fin { with_text: true, .. }));
}

/// Replayed with our file server over files of these sizes and this type.
fn from_files(capture: &[u8], files: &[u64], content_type: &str) -> (OpenTotals, Text) {
    let (tape, mut prepared) = prepare_with(capture, true);
    let (catalogue, bodies) = world::site(files, content_type);
    let files = Some(Files::new(catalogue, bodies));
    let options = OpenOptions { profile: exact(), wants_frames: true, files };
    let mut text = Text::default();
    let totals = OpenLoop::run(&tape[..], &mut prepared, &options, &mut text).unwrap();
    (totals, text)
}

#[test]
fn answers_from_the_same_files_are_the_same_octets() {
    let files = [300, 14_480, 20_000, 1];
    let mut world = World::new(&files, 4, 80, 10);
    world.fetch.pipeline = 4;
    world.fetch.think = Duration::from_millis(3);
    world.loses_to_client = |n| n % 23 == 7;
    let capture = world.record();
    let (totals, _) = from_files(&capture, &files, "text/plain");
    let connections = totals.summary.connections;
    assert_same(&totals, connections);
    // A client that found nothing left to ask for asked nothing.
    let (_, mut prepared) = prepare_with(&capture, true);
    let scripts = (0..connections).map(|n| prepared.scripts.get(n as u32).unwrap().unwrap());
    let asked = scripts.filter(|script| script.client_bytes > 0).count() as u64;
    assert!(asked >= 8);
    assert_eq!((totals.from_files, totals.heads_unread), (asked, 0));
    assert!(totals.heads_compared >= 80, "{}", totals.heads_compared);

    // One connection with one answer: octet by octet what the captured server said.
    let capture = World::new(&[60_000], 1, 1, 1).record();
    let (totals, said) = from_files(&capture, &[60_000], "text/plain");
    assert_same(&totals, 1);
    let (_, mut prepared) = prepare_with(&capture, true);
    let script = prepared.scripts.get(0).unwrap().unwrap();
    let kept = script.kept.unwrap();
    let spool = prepared.text.take().unwrap();
    let spool = spool.borrow();
    let captured: Vec<u8> = kept
        .regions
        .iter()
        .flat_map(|at| spool.get_ref()[*at as usize..].iter().take(65_536).copied())
        .take(script.server_bytes as usize)
        .collect();
    assert!(said.0.starts_with(b"HTTP/1.1 200 OK\r\nDate: Thu, 01 Jan 2026"));
    assert!(said.0 == captured);
}

#[test]
fn another_status_length_or_type_shows_as_a_head_and_as_nothing_else() {
    let capture = World::new(&[5_000, 70_000], 2, 8, 2).record();
    let text = "text/plain";
    for (files, content_type, status, field) in [
        (&[5_000, 70_000][..], "text/html", [200, 200], "content-type"),
        (&[5_000][..], text, [404, 200], "content-length"),
        (&[5_000, 69_999][..], text, [200, 200], "content-length"),
        (&[5_000, 90_000][..], text, [200, 200], "content-length"),
    ] {
        let totals = from_files(&capture, files, content_type).0;
        let found: Vec<_> = totals.summary.by_weight().into_iter().map(|(c, _)| c).collect();
        assert_eq!(found, [Class::HttpHead], "{files:?} {:#?}", totals.summary.kept.first());
        let kept = &totals.summary.kept;
        let head = kept.iter().find_map(|one| one.head.as_ref()).expect("a head");
        assert_eq!(head.status, status);
        assert!(head.fields.iter().any(|one| one.name == field), "{head:?}");
    }
}

#[test]
fn what_does_not_read_as_http_is_replayed_from_its_script() {
    let (tape, mut prepared) = prepare(&World::new(&[60_000], 1, 1, 1).record());
    let (catalogue, bodies) = world::site(&[60_000], "text/plain");
    let files = Some(Files::new(catalogue, bodies));
    let options = OpenOptions { profile: exact(), wants_frames: false, files };
    // The clients' octets were not kept: nothing can be read.
    let totals = OpenLoop::run(&tape[..], &mut prepared, &options, &mut NoOutput).unwrap();
    assert_same(&totals, 1);
    assert_eq!((totals.from_files, totals.heads_compared), (0, 0));
}
