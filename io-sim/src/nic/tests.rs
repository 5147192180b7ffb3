use super::*;
use crate::link::Rate;
use crate::seed::{Seed, Stream, check};
use simoom_core::port::{Census, GatherFull, Piece, Pinned, Port, PortCaps, TxFull, Unclaimed};
use simoom_core::seq::SeqNumber;
use simoom_core::time::Duration;
use simoom_core::wire::checksum;
use simoom_core::wire::emit::{HeaderTemplate, TcpHeader, write_tcp_frame};
use simoom_core::wire::ethernet::MacAddr;
use simoom_core::wire::tcp::TcpFlags;
use std::net::Ipv4Addr;

fn caps(tx_slots: u32) -> PortCaps {
    PortCaps { tx_slots, tx_hold_max: tx_slots, buffers: 64, ..NicConfig::default().caps }
}

/// A NIC whose line takes 1 µs for each frame of 101 bytes, with a ring of eight.
fn nic(dma: DmaPolicy, completion: CompletionPolicy) -> SimPort {
    let config =
        NicConfig { rate: Rate::gbit(1), caps: caps(8), dma, completion, ..NicConfig::default() };
    SimPort::new(config, 7, Seed(1).stream(Stream::Dma(7)))
}

fn us(n: u64) -> Instant {
    Instant::ZERO + Duration::from_micros(n)
}

/// Submits a frame of 101 bytes, all of them `fill`.
fn submit(port: &mut SimPort, fill: u8) {
    let mut buf = port.take_free().unwrap();
    port.bytes_mut(&mut buf)[..101].fill(fill);
    port.submit(buf, 101).unwrap();
}

fn push(port: &mut SimPort) {
    port.sync_tx(TxSync::Push).unwrap();
}

/// What was given to the wire: (first byte, microseconds).
fn sent(port: &mut SimPort) -> Vec<(u8, u64)> {
    let mut all = Vec::new();
    while let Some(Sent { frame, at }) = port.take_sent() {
        all.push((port.frames.get(frame)[0], at.as_nanos() / 1000));
        port.frames.remove(frame);
    }
    all
}

fn reclaim(port: &mut SimPort) -> usize {
    port.reclaim(Some)
}

fn assert_conserved(port: &SimPort) {
    let census = port.census();
    assert_eq!(census.free + census.caller + census.device, port.caps().buffers, "{census:?}");
}

/// Lets the device work through its events until nothing is left or `until` has come.
fn run(port: &mut SimPort, until: Instant) {
    while let Some(at) = port.next_event().filter(|at| *at <= until) {
        port.advance(at.max(port.now));
    }
    port.advance(until);
}

#[test]
fn read_at_once_goes_out_at_the_rate_of_the_line() {
    let mut port = nic(DmaPolicy::AtOnce, CompletionPolicy::AtRead);
    submit(&mut port, 1);
    submit(&mut port, 2);
    assert_eq!(sent(&mut port), [], "nothing before the doorbell");
    push(&mut port);
    assert_eq!(sent(&mut port), [(1, 1), (2, 2)]);
    assert_eq!((reclaim(&mut port), port.next_event()), (2, None));
    port.advance(us(10));
    submit(&mut port, 3);
    push(&mut port);
    assert_eq!(sent(&mut port), [(3, 11)]);
}

#[test]
fn a_frame_waits_for_the_wire_where_the_policy_says_so() {
    let mut port = nic(DmaPolicy::WhenWireIsFree, CompletionPolicy::AtRead);
    for fill in 1..=3 {
        submit(&mut port, fill);
    }
    push(&mut port);
    assert_eq!((sent(&mut port), reclaim(&mut port)), (vec![(1, 1)], 1));
    assert_eq!(port.next_event(), Some(us(1)));
    port.advance(us(1));
    assert_eq!((sent(&mut port), reclaim(&mut port)), (vec![(2, 2)], 1));
    port.advance(us(2));
    assert_eq!((sent(&mut port), reclaim(&mut port), port.next_event()), (vec![(3, 3)], 1, None));
}

#[test]
fn next_turn_reads_at_the_next_doorbell_or_when_it_is_late() {
    let mut port = nic(DmaPolicy::NextTurn, CompletionPolicy::AtRead);
    submit(&mut port, 1);
    push(&mut port);
    assert_eq!((sent(&mut port), port.next_event()), (vec![], Some(us(100))));
    port.advance(us(5));
    submit(&mut port, 2);
    push(&mut port);
    assert_eq!((sent(&mut port), port.next_event()), (vec![(1, 6)], Some(us(105))));
    run(&mut port, us(200));
    assert_eq!(sent(&mut port), [(2, 106)]);
}

#[test]
fn half_ring_waits_for_half_a_ring_or_the_bound() {
    let mut port = nic(DmaPolicy::HalfRing, CompletionPolicy::AtRead);
    for fill in 1..=3 {
        submit(&mut port, fill);
    }
    push(&mut port);
    assert_eq!((sent(&mut port), port.next_event()), (vec![], Some(us(100))));
    submit(&mut port, 4);
    push(&mut port);
    assert_eq!(sent(&mut port), [(1, 1), (2, 2), (3, 3), (4, 4)]);
    submit(&mut port, 5);
    push(&mut port);
    assert_eq!(sent(&mut port), []);
    run(&mut port, us(100));
    assert_eq!(sent(&mut port), [(5, 101)]);
}

#[test]
fn whole_ring_is_as_late_as_allowed() {
    let mut port = nic(DmaPolicy::WholeRing, CompletionPolicy::AtRead);
    for fill in 1..=7 {
        submit(&mut port, fill);
    }
    push(&mut port);
    assert_eq!((sent(&mut port), port.next_event()), (vec![], Some(us(100))));
    submit(&mut port, 8);
    push(&mut port);
    // The ring is full: from now on at the pace of the wire.
    assert_eq!((sent(&mut port), port.next_event()), (vec![(1, 1)], Some(us(1))));
    run(&mut port, us(7));
    assert_eq!(sent(&mut port), [(2, 2), (3, 3), (4, 4), (5, 5), (6, 6), (7, 7), (8, 8)]);
    assert_eq!(reclaim(&mut port), 8);
    submit(&mut port, 9);
    push(&mut port);
    run(&mut port, us(106));
    assert_eq!(sent(&mut port), []);
    run(&mut port, us(107));
    assert_eq!(sent(&mut port), [(9, 108)]);
}

#[test]
fn what_memory_holds_at_dma_goes_out_and_both_oracles_see_a_late_write() {
    let mut port = nic(DmaPolicy::NextTurn, CompletionPolicy::AtRead);
    submit(&mut port, 1);
    push(&mut port);
    // A second token of the buffer in flight: what a store that reuses too early has.
    let mut forged = Buf::mint(7, 0);
    port.bytes_mut(&mut forged)[0] = 99;
    assert_eq!(port.take_violation(), Some(NicViolation::WrittenWithoutRight { buffer: 0 }));
    push(&mut port);
    assert_eq!(sent(&mut port), [(99, 1)]);
    assert_eq!(
        port.take_violation(),
        Some(NicViolation::FrameChangedAfterSubmit { buffer: 0, len: 101 })
    );
    // Read already: the write changes nothing on the wire, and is still a write without a right.
    port.copy(&Buf::mint(7, 1), &mut forged, 10);
    assert_eq!(port.take_violation(), Some(NicViolation::WrittenWithoutRight { buffer: 0 }));
    assert_eq!(port.take_violation(), None);
}

#[test]
fn a_token_made_twice_is_noticed_where_it_is_used() {
    let mut port = nic(DmaPolicy::AtOnce, CompletionPolicy::WholeRing);
    submit(&mut port, 1);
    port.submit(Buf::mint(7, 0), 101).unwrap();
    assert_eq!(port.take_violation(), Some(NicViolation::TokenOfAnother { buffer: 0 }));
    port.give_back(Buf::mint(7, 0));
    assert_eq!(port.take_violation(), Some(NicViolation::TokenOfAnother { buffer: 0 }));
    port.give_back(Buf::mint(7, 5));
    assert_eq!(port.take_violation(), Some(NicViolation::TokenOfAnother { buffer: 5 }));
    assert_conserved(&port);
}

/// A NIC that makes frames of up to three parts, with a ring of eight slots.
fn gathering(dma: DmaPolicy, completion: CompletionPolicy) -> SimPort {
    let caps = PortCaps { max_frags: 3, ..caps(8) };
    let config = NicConfig { rate: Rate::gbit(1), caps, dma, completion, ..NicConfig::default() };
    SimPort::new(config, 7, Seed(1).stream(Stream::Dma(7)))
}

/// A payload of 200 bytes, each its number.
fn payload(port: &mut SimPort) -> Pinned {
    let mut buf = port.take_free().unwrap();
    port.bytes_mut(&mut buf)[..200].iter_mut().zip(0..).for_each(|(byte, n)| *byte = n);
    port.pin(buf)
}

/// Submits a frame of one byte `fill` and 100 bytes of the payload from 50 on.
fn submit_shared(port: &mut SimPort, fill: u8, of: &Pinned) -> Result<(), GatherFull> {
    let mut header = port.take_free().unwrap();
    port.bytes_mut(&mut header)[0] = fill;
    port.submit_gather(header, 1, &[Piece { of, at: 50, len: 100 }])
}

#[test]
fn frame_of_parts_goes_out_as_one_under_every_policy() {
    for dma in DmaPolicy::ALL {
        for completion in CompletionPolicy::ALL {
            let mut port = gathering(dma, completion);
            let [one, two] = [payload(&mut port), payload(&mut port)];
            submit_shared(&mut port, 9, &one).unwrap();
            let header = port.take_free().unwrap();
            let pieces = [Piece { of: &two, at: 7, len: 3 }, Piece { of: &one, at: 198, len: 2 }];
            port.submit_gather(header, 2, &pieces).unwrap();
            assert_eq!(port.tx_free(), 8 - 2 - 3);
            port.sync_tx(TxSync::PushAndReclaim).unwrap();
            run(&mut port, us(1_000));
            let first = port.take_sent().unwrap().frame;
            assert_eq!(port.frames.get(first)[..3], [9, 50, 51]);
            assert_eq!(port.frames.get(first).len(), 101);
            let second = port.take_sent().unwrap().frame;
            assert_eq!(port.frames.get(second)[2..], [7, 8, 9, 198, 199]);
            let [one, two] = [one, two].map(|pinned| port.unpin(pinned).unwrap_err());
            assert_eq!((reclaim(&mut port), port.tx_free()), (2, 8), "{dma:?} {completion:?}");
            for pinned in [one, two] {
                let buf = port.unpin(pinned).unwrap();
                port.give_back(buf);
            }
            assert_eq!(port.census(), Census { free: 64, caller: 0, device: 0 });
            assert_eq!((port.stats().tx_gathered, port.take_violation()), (2, None));
        }
    }
}

/// What a store has that unpins too early: a token to write with.
#[test]
fn payload_reused_in_flight_is_seen_as_it_happens_and_at_dma() {
    let mut port = gathering(DmaPolicy::NextTurn, CompletionPolicy::AtRead);
    let pinned = payload(&mut port);
    let buffer = pinned.buf().index();
    submit_shared(&mut port, 1, &pinned).unwrap();
    push(&mut port);
    let pinned = port.unpin(pinned).unwrap_err();
    let mut early = pinned.into_buf();
    port.bytes_mut(&mut early)[149] = 0;
    assert_eq!(port.take_violation(), Some(NicViolation::WrittenWithoutRight { buffer }));
    push(&mut port);
    let changed = NicViolation::FrameChangedAfterSubmit { buffer, len: 101 };
    assert_eq!(port.take_violation(), Some(changed));
    let sent = port.take_sent().unwrap().frame;
    assert_eq!(port.frames.get(sent)[99..], [148, 0], "what memory holds goes out");
    port.give_back(early);
    assert_eq!(port.take_violation(), Some(NicViolation::TokenOfAnother { buffer }));
    let loose = Pinned::mint(port.take_free().unwrap());
    let buffer = loose.buf().index();
    submit_shared(&mut port, 2, &loose).unwrap();
    assert_eq!(port.take_violation(), Some(NicViolation::NotPinned { buffer }));
}

/// The longest frame takes three slots: with two left the ring is full as far as anybody can tell.
#[test]
fn ring_without_room_for_the_longest_frame_is_full() {
    let mut port = gathering(DmaPolicy::WholeRing, CompletionPolicy::WholeRing);
    let pinned = payload(&mut port);
    for fill in 0..2 {
        submit_shared(&mut port, fill, &pinned).unwrap();
    }
    push(&mut port);
    assert_eq!((port.tx_free(), sent(&mut port)), (4, vec![]));
    submit_shared(&mut port, 2, &pinned).unwrap();
    push(&mut port);
    run(&mut port, us(50));
    assert_eq!(sent(&mut port).len(), 3);
    assert!(port.has_awaited_completions());
    assert_eq!((reclaim(&mut port), port.tx_free()), (3, 8));
    for fill in 0..3 {
        submit_shared(&mut port, fill, &pinned).unwrap();
    }
    let header = port.take_free().unwrap();
    let piece = Piece { of: &pinned, at: 0, len: 9 };
    let GatherFull(header) = port.submit_gather(header, 1, &[piece, piece]).unwrap_err();
    port.submit_gather(header, 1, &[piece]).unwrap();
    assert_eq!(port.tx_free(), 0);
}

#[test]
fn a_lost_buffer_stays_in_the_callers_column() {
    let mut port = nic(DmaPolicy::AtOnce, CompletionPolicy::AtRead);
    let _lost = port.take_free();
    assert_eq!(port.census(), Census { free: 63, caller: 1, device: 0 });
    assert_conserved(&port);
}

#[test]
fn a_full_ring_gives_the_buffer_back() {
    let mut port = nic(DmaPolicy::WhenWireIsFree, CompletionPolicy::AtRead);
    for fill in 0..8 {
        submit(&mut port, fill);
    }
    assert_eq!(port.tx_free(), 0);
    let buf = port.take_free().unwrap();
    let index = buf.index();
    let Err(TxFull(back)) = port.submit(buf, 64) else { panic!("the ring was full") };
    assert_eq!(back.index(), index);
    port.give_back(back);
    push(&mut port);
    assert!(port.has_awaited_completions(), "the first was read and the ring was full");
    assert_eq!((reclaim(&mut port), port.tx_free()), (1, 1));
    assert_conserved(&port);
}

#[test]
fn completions_show_when_the_policy_says() {
    let shown = |completion, frames: usize| {
        let mut port = nic(DmaPolicy::AtOnce, completion);
        let mut shown = Vec::new();
        for fill in 0..frames {
            submit(&mut port, fill as u8);
            push(&mut port);
            shown.push(reclaim(&mut port));
        }
        shown
    };
    assert_eq!(shown(CompletionPolicy::AtRead, 3), [1, 1, 1]);
    assert_eq!(shown(CompletionPolicy::HalfRing, 9), [0, 0, 0, 4, 0, 0, 0, 4, 0]);
    assert_eq!(shown(CompletionPolicy::WholeRing, 9), [0, 0, 0, 0, 0, 0, 0, 8, 0]);
    let mut port = nic(DmaPolicy::AtOnce, CompletionPolicy::AtSent);
    submit(&mut port, 1);
    submit(&mut port, 2);
    push(&mut port);
    assert_eq!(reclaim(&mut port), 0);
    port.advance(us(1));
    assert_eq!(reclaim(&mut port), 1);
    port.advance(us(2));
    assert_eq!(reclaim(&mut port), 1);
}

#[test]
fn whoever_asks_gets_every_completion_as_soon_as_it_was_read() {
    for completion in CompletionPolicy::ALL {
        let mut port = nic(DmaPolicy::WhenWireIsFree, completion);
        for fill in 1..=3 {
            submit(&mut port, fill);
        }
        port.sync_tx(TxSync::PushAndReclaim).unwrap();
        assert!(port.has_awaited_completions());
        assert_eq!(reclaim(&mut port), 1, "{completion:?}");
        assert!(!port.has_awaited_completions());
        run(&mut port, us(2));
        assert!(port.has_awaited_completions());
        assert_eq!(reclaim(&mut port), 2, "{completion:?}");
        submit(&mut port, 4);
        push(&mut port);
        assert!(!port.has_awaited_completions(), "the demand has been met");
    }
}

#[test]
fn a_full_ring_that_reports_when_sent_has_an_event_for_it() {
    let mut port = nic(DmaPolicy::AtOnce, CompletionPolicy::AtSent);
    for fill in 0..8 {
        submit(&mut port, fill);
    }
    push(&mut port);
    assert_eq!((reclaim(&mut port), port.next_event()), (0, Some(us(1))));
    port.advance(us(1));
    assert!(port.has_awaited_completions());
    assert_eq!(reclaim(&mut port), 1);
}

#[test]
fn an_idle_device_keeps_what_it_said_it_would() {
    let config =
        NicConfig { caps: PortCaps { tx_hold_idle: 1, ..caps(8) }, ..NicConfig::default() };
    let mut port = SimPort::new(config, 7, Seed(1).stream(Stream::Dma(7)));
    for fill in 1..=3 {
        submit(&mut port, fill);
    }
    port.sync_tx(TxSync::PushAndReclaim).unwrap();
    assert_eq!((reclaim(&mut port), port.census().device), (2, 1));
    assert!(!port.has_awaited_completions(), "what is held idle is not awaited");
    submit(&mut port, 4);
    push(&mut port);
    assert_eq!((reclaim(&mut port), port.census().device), (1, 1));
}

#[test]
fn no_completion_is_later_than_the_hold() {
    let config = NicConfig {
        caps: PortCaps { tx_hold_max: 2, ..caps(8) },
        completion: CompletionPolicy::WholeRing,
        ..NicConfig::default()
    };
    let mut port = SimPort::new(config, 7, Seed(1).stream(Stream::Dma(7)));
    let shown: Vec<_> = (0..5)
        .map(|fill| {
            submit(&mut port, fill);
            push(&mut port);
            reclaim(&mut port)
        })
        .collect();
    assert_eq!(shown, [0, 0, 1, 1, 1]);
}

#[test]
fn received_frames_are_shown_oldest_first_in_batches_and_a_full_ring_drops() {
    let config = NicConfig { rx_slots: 40, ..NicConfig::default() };
    let mut port = SimPort::new(config, 7, Seed(1).stream(Stream::Dma(7)));
    for n in 0..45u8 {
        let frame = port.frames.add(&[n; 60]);
        if !port.deliver(frame) {
            port.frames.remove(frame);
        }
    }
    assert_eq!((port.stats().rx, port.stats().rx_ring_full, port.rx_len()), (40, 5, 40));
    let mut seen = Vec::new();
    let mut take = |port: &mut SimPort, max| {
        port.receive(max, |batch| {
            seen.extend(batch.iter().map(|frame| frame.bytes[0]));
            Unclaimed::NONE
        })
    };
    assert_eq!([take(&mut port, 3), take(&mut port, 99), take(&mut port, 99)], [3, 32, 5]);
    assert_eq!(port.receive(99, |_| panic!("nothing is there")), 0);
    assert_eq!(seen, (0..40).collect::<Vec<_>>());
    assert!(port.frames.is_empty());
}

/// Any order of doing, under every policy: buffers are conserved, frames leave in order and whole,
/// and an idle device has sent everything within the bound.
#[test]
fn random_use_conserves_buffers_and_sends_everything_in_order() {
    check(0..200, |seed| {
        let mut draws = seed.stream(Stream::Choice);
        let dma = *draws.one_of(&DmaPolicy::ALL);
        let completion = *draws.one_of(&CompletionPolicy::ALL);
        let mut port = nic(dma, completion);
        let (mut submitted, mut out, mut reclaimed) = (0u8, Vec::new(), 0);
        for _ in 0..200 {
            match draws.below(6) {
                0 | 1 if port.tx_free() > 0 && port.free() > 0 => {
                    submit(&mut port, submitted);
                    submitted = submitted.wrapping_add(1);
                }
                2 => port.sync_tx(TxSync::Push).unwrap(),
                3 => port.sync_tx(TxSync::PushAndReclaim).unwrap(),
                4 => reclaimed += reclaim(&mut port),
                _ => {
                    let until = port.now + draws.duration_upto(Duration::from_micros(3));
                    run(&mut port, until);
                }
            }
            out.extend(sent(&mut port));
            assert_conserved(&port);
            assert_eq!(port.take_violation(), None);
        }
        push(&mut port);
        let until = port.now + Duration::from_micros(100 + 8);
        run(&mut port, until);
        assert!(
            port.next_event().is_none_or(|at| at > until || completion == CompletionPolicy::AtSent)
        );
        out.extend(sent(&mut port));
        assert!(out.iter().map(|(fill, _)| *fill).eq((0..out.len()).map(|n| n as u8)), "{out:?}");
        assert_eq!(out.len() % 256, usize::from(submitted));
        assert!(out.is_sorted_by_key(|(_, at)| *at));
        port.sync_tx(TxSync::PushAndReclaim).unwrap();
        reclaimed += reclaim(&mut port);
        assert_eq!((reclaimed, port.census().device), (out.len(), 0), "{dma:?} {completion:?}");
    });
}

/// A TCP frame, with checksums or without.
fn tcp_frame(offload: bool) -> Vec<u8> {
    let mac = MacAddr([2; 6]);
    let template = HeaderTemplate::new(mac, None, Ipv4Addr::new(10, 0, 0, 1), 64);
    let header = TcpHeader {
        dst_mac: mac,
        dst_ip: Ipv4Addr::new(10, 0, 0, 2),
        src_port: 1,
        dst_port: 2,
        seq: SeqNumber(3),
        ack: SeqNumber(4),
        flags: TcpFlags::ACK,
        window: 5,
        timestamps: None,
        syn: None,
    };
    let mut out = vec![0; 54];
    let sum = checksum::sum(b"text");
    write_tcp_frame(&template, &mut out, &header, 4, sum, offload);
    out.extend_from_slice(b"text");
    out
}

#[test]
fn a_device_that_completes_checksums_does_so_when_it_reads() {
    let mut config = NicConfig { caps: caps(8), ..NicConfig::default() };
    config.caps.checksum.tx = true;
    let mut port = SimPort::new(config, 7, Seed(1).stream(Stream::Dma(7)));
    let mut buf = port.take_free().unwrap();
    let frame = tcp_frame(true);
    port.bytes_mut(&mut buf)[..frame.len()].copy_from_slice(&frame);
    port.submit(buf, frame.len() as u16).unwrap();
    push(&mut port);
    let sent = port.take_sent().unwrap().frame;
    assert_eq!(port.frames.get(sent), tcp_frame(false));
    assert_ne!(frame, tcp_frame(false));
}

#[test]
fn a_device_that_checks_received_frames_ends_those_with_a_wrong_checksum() {
    let mut config = NicConfig { caps: caps(8), ..NicConfig::default() };
    config.caps.checksum.rx = true;
    let mut port = SimPort::new(config, 7, Seed(1).stream(Stream::Dma(7)));
    let mut bad = tcp_frame(false);
    bad[55] ^= 1;
    for frame in [tcp_frame(false), bad, vec![0; 5]] {
        let frame = port.frames.add(&frame);
        assert!(port.deliver(frame));
    }
    let stats = *port.stats();
    assert_eq!((stats.rx, stats.rx_bad_checksum, port.frames.len()), (2, 1, 2));
}

#[test]
fn a_fork_goes_on_alike() {
    let mut port = nic(DmaPolicy::Random, CompletionPolicy::HalfRing);
    for fill in 0..5 {
        submit(&mut port, fill);
    }
    push(&mut port);
    let mut fork = port.clone();
    for port in [&mut port, &mut fork] {
        submit(port, 9);
        push(port);
        run(port, us(1000));
    }
    let (one, other) = (sent(&mut port), sent(&mut fork));
    assert_eq!((one.len(), &one), (6, &other));
}

fn stall(at: u64, lasts: u64, what: Stalled) -> Stall {
    Stall { at: us(at), lasts: Duration::from_micros(lasts), what }
}

#[test]
fn a_stalled_device_reads_nothing_until_the_stall_ends() {
    for dma in DmaPolicy::ALL {
        let mut port = nic(dma, CompletionPolicy::AtRead);
        let transmit = Stalled { transmit: true, ..Stalled::default() };
        port.plan_stall(stall(0, 500, transmit));
        // Overlaps the first and lasts longer.
        port.plan_stall(stall(400, 200, transmit));
        port.advance(us(1));
        for fill in 1..=8 {
            submit(&mut port, fill);
        }
        push(&mut port);
        run(&mut port, us(599));
        assert_eq!((sent(&mut port), reclaim(&mut port)), (vec![], 0), "{dma:?}");
        run(&mut port, us(2_000));
        let all = sent(&mut port);
        assert_eq!(all.len(), 8, "{dma:?}");
        assert!(all.iter().zip(1..).all(|(sent, fill)| sent.0 == fill), "{dma:?}: {all:?}");
        assert!(all[0].1 >= 601, "{dma:?}: not on the wire before the stall ended: {all:?}");
        assert!(all.windows(2).all(|two| two[1].1 > two[0].1), "{dma:?}: at the line's pace");
        assert_eq!((port.next_event(), port.stats().stall_changes > 1), (None, true));
    }
}

#[test]
fn a_device_that_does_not_report_keeps_its_buffers_and_sends() {
    let mut port = nic(DmaPolicy::AtOnce, CompletionPolicy::AtRead);
    port.plan_stall(stall(5, 10, Stalled { report: true, ..Stalled::default() }));
    port.advance(us(6));
    submit(&mut port, 1);
    port.sync_tx(TxSync::PushAndReclaim).unwrap();
    assert_eq!((sent(&mut port), reclaim(&mut port)), (vec![(1, 7)], 0));
    assert_eq!(port.next_event(), Some(us(15)), "the caller waits");
    port.advance(us(15));
    assert!(port.has_awaited_completions());
    assert_eq!(reclaim(&mut port), 1);
    assert_conserved(&port);
}

#[test]
fn frames_that_come_during_a_stall_are_shown_when_it_ends_and_fill_the_ring_meanwhile() {
    let config = NicConfig { rx_slots: 4, caps: caps(8), ..NicConfig::default() };
    let mut port = SimPort::new(config, 7, Seed(1).stream(Stream::Dma(7)));
    let deliver = |port: &mut SimPort, fill: u8| {
        let frame = port.frames.add(&[fill; 60]);
        port.deliver(frame)
    };
    assert!(deliver(&mut port, 0), "before the stall");
    port.plan_stall(stall(10, 10, Stalled { receive: true, ..Stalled::default() }));
    port.catch_up(us(11));
    assert!((1..4).all(|fill| deliver(&mut port, fill)));
    assert!(!deliver(&mut port, 9) && port.rx_is_full());
    assert_eq!((port.stats().rx_ring_full, port.stats().rx_high), (1, 4));
    let shown = |port: &mut SimPort| {
        let mut seen = Vec::new();
        port.receive(32, |batch| {
            seen.extend(batch.iter().map(|frame| frame.bytes[0]));
            Unclaimed::NONE
        });
        seen
    };
    assert_eq!(
        (port.rx_len(), port.next_event()),
        (1, Some(us(10))),
        "what the stall let out is to be taken"
    );
    port.advance(us(11));
    assert_eq!((port.rx_len(), port.next_event()), (1, Some(us(20))));
    assert_eq!(shown(&mut port), [0]);
    assert_eq!((shown(&mut port), port.take_rx_released()), (vec![], false));
    port.advance(us(20));
    assert!(port.take_rx_released() && !port.take_rx_released());
    assert_eq!((shown(&mut port), port.next_event()), (vec![1, 2, 3], None));
}

#[test]
fn random_stalls_come_at_the_rate_asked_for_and_draw_nothing_when_off() {
    let random = RandomStalls {
        gap_mean: Duration::from_micros(90),
        lasts_max: Duration::from_micros(20),
        what: Stalled::EVERYTHING,
    };
    let config = NicConfig { stalls: Some(random), caps: caps(8), ..NicConfig::default() };
    let mut port = SimPort::new(config, 7, Seed(1).stream(Stream::Dma(7)));
    let mut stalled = 0;
    for at in 1..=100_000 {
        port.advance(us(at));
        stalled += u32::from(port.rx_is_stalled());
    }
    // One in a hundred microseconds, of which it lasts ten.
    assert!((1_900..2_100).contains(&port.stats().stall_changes), "{:?}", port.stats());
    assert!((9_000..11_000).contains(&stalled), "{stalled}");
    let draws = |config| SimPort::new(config, 7, Seed(1).stream(Stream::Dma(7))).draws.word();
    let off = NicConfig { stalls: None, ..config };
    assert_eq!(draws(off), Seed(1).stream(Stream::Dma(7)).word());
    assert_ne!(draws(config), Seed(1).stream(Stream::Dma(7)).word());
}

#[test]
fn a_doorbell_that_is_held_is_heard_when_released() {
    let mut port = nic(DmaPolicy::AtOnce, CompletionPolicy::AtRead);
    port.hold_doorbell();
    submit(&mut port, 1);
    port.sync_tx(TxSync::PushAndReclaim).unwrap();
    submit(&mut port, 2);
    push(&mut port);
    assert_eq!((sent(&mut port), port.next_event(), port.stats().doorbells), (vec![], None, 2));
    port.advance(us(30));
    port.release_doorbell();
    assert_eq!(sent(&mut port), [(1, 31), (2, 32)]);
    assert_eq!(port.stats().reclaims_asked, 1, "the stronger of what was rung");
    assert_eq!(reclaim(&mut port), 2);
}
