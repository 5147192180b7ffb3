//! The way to the host's own network and back: nothing is lost but what is counted, nothing is copied,
//! neither side starves, and every buffer goes home.

use crate::harness::{
    Faults, ModelPort, Policies, Shape, USUAL, all_policies, frame, open_with_host, submit,
};
use proptest::prelude::*;
use simoom_core::port::{Advance, GatherFull, Piece, Port, TxSync, Unclaimed};
use simoom_core::time::{Duration, Instant};
use simoom_netmap::error::NetmapError;
use simoom_netmap::model::{BindError, CompletionPolicy, DmaPolicy, Model, ModelConfig};
use simoom_netmap::mutants::{Mutant, want};
use simoom_netmap::port::NetmapStats;
use std::panic::{AssertUnwindSafe, catch_unwind};

const PLAIN: Policies = (DmaPolicy::AtDoorbell, CompletionPolicy::AtRead);

fn nic(policies: Policies, shape: Shape) -> Model {
    Model::nic(ModelConfig { host_rings: 1, ..shape.model_config(policies) })
}

fn nic_and_port(policies: Policies, shape: Shape) -> (Model, ModelPort) {
    let model = nic(policies, shape);
    let port = open_with_host(&model, 0, shape);
    (model, port)
}

fn assert_sound(model: &Model) {
    let faults = Faults::default();
    faults.look_at(model);
    assert_eq!(faults.all(), Vec::<String>::new());
}

fn wire(model: &Model) -> Vec<Vec<u8>> {
    let mut wire = Vec::new();
    model.work();
    model.take_wire(0, |frame| wire.push(frame.to_vec()));
    wire
}

/// Receives everything; what `is_ours` says is claimed.
fn receive(port: &mut ModelPort, is_ours: impl Fn(&[u8]) -> bool) -> Vec<Vec<u8>> {
    let mut ours = Vec::new();
    while port.receive(32, |frames| {
        let (mine, left): (Vec<_>, Vec<_>) =
            (0..frames.len()).partition(|&at| is_ours(frames[at].bytes));
        ours.extend(mine.iter().map(|&at| frames[at].bytes.to_vec()));
        left.into_iter().collect::<Unclaimed>()
    }) > 0
    {}
    ours
}

/// Every third is the caller's.
fn is_ours(frame: &[u8]) -> bool {
    frame[17].is_multiple_of(3)
}

#[test]
fn what_is_not_claimed_comes_to_the_host_as_it_came() {
    let (model, mut port) = nic_and_port(PLAIN, USUAL);
    let (mut ours, mut hosts, mut count, mut bytes) = (Vec::new(), Vec::new(), 0, 0);
    for number in 0..300 {
        let came = frame(number, 60 + number as usize % 100);
        assert!(model.inject(0, &came));
        if is_ours(&came) { &mut ours } else { &mut hosts }.push(came);
        if number % 10 == 9 {
            port.flush().unwrap();
            let due = std::mem::take(&mut ours);
            assert_eq!(receive(&mut port, is_ours), due);
            assert_eq!(model.take_host(0), Vec::<Vec<u8>>::new(), "not before a call");
            port.flush().unwrap();
            (count, bytes) = (count + hosts.len() as u64, bytes + hosts.concat().len() as u64);
            assert_eq!(model.take_host(0), std::mem::take(&mut hosts));
        }
    }
    let stats = *port.stats();
    assert_eq!((stats.rx_frames, stats.to_host, stats.to_host_bytes), (300, count, bytes));
    assert_eq!((stats.copied_bytes, stats.host_ring_full), (0, 0));
    port.close().unwrap();
    assert_sound(&model);
}

#[test]
fn what_the_host_sends_leaves_the_nic_between_frames_of_the_callers() {
    for policies in all_policies() {
        let (model, mut port) = nic_and_port(policies, USUAL);
        let (mut sent, mut left) = (Vec::new(), Vec::new());
        for round in 0..60 {
            for number in 0..3 {
                let bytes = frame(1_000 + round * 3 + number, 70);
                assert!(model.host_send(0, &bytes));
                sent.push(bytes);
            }
            let bytes = frame(round, 80);
            if submit(&mut port, &bytes).is_ok() {
                sent.push(bytes);
            }
            port.sync_tx(TxSync::PushAndReclaim).unwrap();
            port.flush().unwrap();
            model.work();
            port.sync_tx(TxSync::PushAndReclaim).unwrap();
            port.reclaim(Some);
            left.extend(wire(&model));
        }
        for _ in 0..20 {
            port.sync_tx(TxSync::PushAndReclaim).unwrap();
            port.flush().unwrap();
            model.work();
            port.reclaim(Some);
        }
        left.extend(wire(&model));
        // Each side's own order is kept.
        for is_hosts in [false, true] {
            let of = |all: &[Vec<u8>]| -> Vec<Vec<u8>> {
                let is = |frame: &&Vec<u8>| (frame.len() == 70) == is_hosts;
                all.iter().filter(is).cloned().collect()
            };
            assert_eq!(of(&left), of(&sent), "{policies:?} {is_hosts}");
        }
        let stats = *port.stats();
        assert_eq!((stats.from_host, stats.from_host_bytes, stats.copied_bytes), (180, 12_600, 0));
        let census = port.census();
        assert_eq!(census.free + census.caller + census.device, USUAL.extra);
        assert!(census.device <= 1 && census.caller == 0, "{census:?}");
        port.close().unwrap();
        assert_sound(&model);
    }
}

#[test]
fn full_ring_to_the_host_drops_and_counts_what_is_beyond() {
    let (model, mut port) = nic_and_port(PLAIN, USUAL);
    let all: Vec<_> = (0..40).map(|number| frame(number, 60)).collect();
    assert!(all.iter().all(|frame| model.inject(0, frame)));
    port.flush().unwrap();
    assert!(receive(&mut port, |_| false).is_empty());
    port.flush().unwrap();
    assert_eq!(model.take_host(0), all[..15], "a ring of 16 holds 15");
    assert_eq!((port.stats().to_host, port.stats().host_ring_full), (15, 25));
    port.close().unwrap();
    assert_sound(&model);
}

/// Received frames are done before anything waits, but not while a full ring makes them lost.
#[test]
fn busy_port_calls_the_kernel_when_half_a_ring_waits_for_the_host() {
    let (model, mut port) = nic_and_port(PLAIN, USUAL);
    let all: Vec<_> = (0..70).map(|number| frame(number, 60)).collect();
    assert!(all.iter().all(|frame| model.inject(0, frame)));
    let mut came = Vec::new();
    for _ in 0..12 {
        port.advance(Some(Instant::ZERO)).unwrap();
        port.receive(8, |frames| (0..frames.len()).collect());
        came.extend(model.take_host(0));
    }
    assert_eq!((came, port.stats().host_ring_full), (all, 0));
}

#[test]
fn host_and_caller_share_the_slots_and_neither_starves() {
    for policies in all_policies() {
        let (model, mut port) = nic_and_port(policies, USUAL);
        let mut number = 0;
        let mut host_number = 0;
        for _ in 0..400 {
            while model.host_send(0, &frame(host_number, 70)) {
                host_number += 1;
            }
            port.sync_tx(TxSync::PushAndReclaim).unwrap();
            port.flush().unwrap();
            model.work();
            port.reclaim(Some);
            while submit(&mut port, &frame(number, 80)).is_ok() {
                number += 1;
            }
        }
        let NetmapStats { tx_frames, from_host, .. } = *port.stats();
        let (least, most) = (tx_frames.min(from_host), tx_frames.max(from_host));
        assert!(least * 2 >= most && least > 400, "{policies:?}: {tx_frames} and {from_host}");
        port.close().unwrap();
        assert_sound(&model);
    }
}

#[test]
fn what_the_host_sends_beyond_its_ring_is_the_kernels_to_drop() {
    let (model, mut port) = nic_and_port(PLAIN, USUAL);
    let sent = (0..200).filter(|&number| model.host_send(0, &frame(number, 70))).count();
    assert_eq!((sent, model.host_dropped()), (79, 121));
    let mut left = Vec::new();
    for _ in 0..40 {
        port.flush().unwrap();
        port.reclaim(Some);
        port.sync_tx(TxSync::PushAndReclaim).unwrap();
        left.extend(wire(&model));
    }
    assert_eq!(left, (0..79).map(|number| frame(number, 70)).collect::<Vec<_>>());
}

#[test]
fn wait_ends_for_a_frame_of_the_host_and_sends_it() {
    let (model, mut port) = nic_and_port(PLAIN, USUAL);
    assert!(model.host_send(0, &frame(1, 70)));
    let far = Some(Instant::ZERO + Duration::from_secs(1_000));
    let now = port.advance(far).unwrap();
    assert!(now < Instant::ZERO + Duration::from_secs(1), "{now:?}");
    port.reclaim(Some);
    assert_eq!(port.stats().system_calls(), 1);
    port.advance(Some(Instant::ZERO)).unwrap();
    assert_eq!(wire(&model), [frame(1, 70)]);
    assert_eq!(port.stats().system_calls(), 2);
}

/// A NIC that does nothing while frames of the host wait must not keep a core busy.
#[test]
fn frames_of_the_host_that_find_no_slot_let_the_port_wait() {
    let (model, mut port) = nic_and_port((DmaPolicy::AtWork, CompletionPolicy::WholeRing), USUAL);
    while submit(&mut port, &frame(0, 60)).is_ok() {}
    assert!((0..3).all(|number| model.host_send(0, &frame(number, 70))));
    port.flush().unwrap();
    let (calls, mut turns) = (model.calls(), 0);
    while port.stats().from_host < 3 {
        let soon = port.now() + Duration::from_millis(10);
        port.advance(Some(soon)).unwrap();
        port.reclaim(Some);
        turns += 1;
        assert!(turns < 20, "{:?}", port.stats());
    }
    assert!(model.calls() - calls <= 2 * turns, "{} calls", model.calls() - calls);
}

#[test]
fn hundred_opens_and_closes_with_frames_of_the_host_everywhere_give_every_buffer_back() {
    for policies in all_policies() {
        let model = nic(policies, USUAL);
        // Nothing is set right by the last one to close.
        model.hold(true);
        let free = model.buffers_free();
        for round in 0..100_u32 {
            let mut port = open_with_host(&model, 0, USUAL);
            for number in 0..round % 23 {
                model.host_send(0, &frame(number, 70));
                model.inject(0, &frame(number, 90));
                if number % 3 == 0 {
                    port.flush().unwrap();
                    port.reclaim(|buf| (round % 3 == 0).then_some(buf));
                }
                port.receive(2, |frames| (0..frames.len()).filter(|at| at % 2 == 0).collect());
                let _ = submit(&mut port, &frame(number, 100));
            }
            let _lost = port.take_free();
            match round % 4 {
                0 => drop(port),
                1 => port.close().unwrap(),
                2 => {
                    port.sync_tx(TxSync::PushAndReclaim).unwrap();
                    model.work();
                    port.reclaim(Some);
                    drop(port);
                }
                _ => {
                    let panic = catch_unwind(AssertUnwindSafe(move || {
                        let _port = port;
                        panic!("while serving");
                    }));
                    assert!(panic.is_err());
                }
            }
            assert_eq!(model.buffers_free(), free, "{policies:?}, round {round}");
        }
        assert_sound(&model);
    }
}

#[test]
fn closing_lets_frames_for_the_host_and_of_the_host_arrive() {
    let (model, mut port) = nic_and_port((DmaPolicy::NextCall, CompletionPolicy::HalfRing), USUAL);
    assert!(model.inject(0, &frame(1, 60)) && model.host_send(0, &frame(2, 70)));
    port.flush().unwrap();
    port.receive(32, |frames| (0..frames.len()).collect());
    port.reclaim(Some);
    port.close().unwrap();
    assert_eq!((model.take_host(0), wire(&model)), (vec![frame(1, 60)], vec![frame(2, 70)]));
    assert_sound(&model);
}

#[test]
fn shards_have_a_pair_of_the_hosts_rings_each() {
    let config = ModelConfig { rings: 3, host_rings: 2, ..USUAL.model_config(PLAIN) };
    let model = Model::nic(config);
    let mut ports = [0, 1].map(|ring| open_with_host(&model, ring, USUAL));
    assert_eq!(model.bind_with_host(1, 9).unwrap_err(), BindError::Busy);
    assert_eq!(model.bind_with_host(2, 9).unwrap_err(), BindError::NoRing);
    for (ring, port) in ports.iter_mut().enumerate() {
        let ring_number = ring as u16;
        assert!(model.inject(ring_number, &frame(ring_number.into(), 60)));
        assert!(model.host_send(ring_number, &frame(10 + u32::from(ring_number), 70)));
        port.flush().unwrap();
        port.receive(32, |frames| (0..frames.len()).collect());
        port.reclaim(Some);
        port.flush().unwrap();
        model.work();
    }
    for ring in 0..2 {
        assert_eq!(model.take_host(ring), [frame(ring.into(), 60)]);
        let mut left = Vec::new();
        model.take_wire(ring, |frame| left.push(frame.to_vec()));
        assert_eq!(left, [frame(10 + u32::from(ring), 70)]);
    }
    drop(ports);
    assert_sound(&model);
}

#[test]
fn frames_of_the_host_that_are_none_are_dropped_and_counted() {
    let (model, mut port) = nic_and_port(PLAIN, USUAL);
    for frame in [&frame(1, 70)[..], &[0xaa; 13], &[], &frame(2, 70)] {
        assert!(model.host_send(0, frame));
    }
    for _ in 0..4 {
        port.flush().unwrap();
        port.reclaim(Some);
        port.flush().unwrap();
    }
    assert_eq!(wire(&model), [frame(1, 70), frame(2, 70)]);
    assert_eq!((port.stats().from_host, port.stats().from_host_bad), (2, 2));
    port.close().unwrap();
    assert_sound(&model);
}

#[test]
fn frame_of_several_slots_does_not_come_to_the_host_and_is_counted_or_dropped_before() {
    let (model, mut port) = nic_and_port(PLAIN, USUAL);
    let whole = frame(3, 120);
    assert!(model.inject_fragments(0, &[&whole[..60], &whole[60..]]));
    assert!(model.inject(0, &frame(4, 60)));
    port.flush().unwrap();
    receive(&mut port, |_| false);
    port.flush().unwrap();
    assert_eq!(model.take_host(0), [frame(4, 60)]);
    let stats = port.stats();
    assert_eq!(stats.to_host_fragmented + stats.rx_fragmented, 1);
    port.close().unwrap();
    assert_sound(&model);
}

/// Where the rings of the host are, found by their cursors: the interface of the pair lists them.
fn host_rings(model: &Model) -> [usize; 2] {
    let attachment = model.bind_with_host(0, 8).unwrap();
    let interface = attachment.host.unwrap().interface as usize;
    // One pair of the NIC's, one of the host's: tx, host's tx, rx, host's rx, 8 bytes each.
    [1, 3].map(|place| interface + model.word(interface + 56 + place * 8) as usize)
}

#[test]
fn rings_of_the_host_that_cannot_be_are_one_error_and_nothing_leaks() {
    const HEAD: usize = 20;
    const NUM_SLOTS: usize = 8;
    const BUF_OFS: usize = 0;
    for (ring, field, word, what) in [
        (0, HEAD, 99, "the head of a ring"),
        (1, NUM_SLOTS, 1, "the number of slots"),
        (1, NUM_SLOTS, u32::MAX, "the number of slots"),
        (0, BUF_OFS, 64, "the place of buffers"),
        (1, BUF_OFS, 64, "the place of buffers"),
    ] {
        let model = nic(PLAIN, USUAL);
        let at = host_rings(&model)[ring] + field;
        let attachment = model.bind_with_host(0, USUAL.extra).unwrap();
        let before = model.word(at);
        model.overwrite(at, word);
        let error = simoom_netmap::port::NetmapPort::over(attachment, &USUAL.port_config());
        let error = error.unwrap_err();
        assert!(error.to_string().contains(what), "{error}");
        model.overwrite(at, before);
        assert_sound(&model);
    }
}

#[test]
fn tail_of_the_hosts_ring_beyond_its_end_ends_the_port() {
    const TAIL: usize = 28;
    for ring in [0, 1] {
        let model = nic(PLAIN, USUAL);
        let at = host_rings(&model)[ring] + TAIL;
        let mut port = open_with_host(&model, 0, USUAL);
        assert!(model.inject(0, &frame(1, 60)));
        port.flush().unwrap();
        model.overwrite(at, 4_000);
        port.receive(32, |frames| (0..frames.len()).collect());
        port.reclaim(Some);
        assert!(matches!(port.fatal(), Some(NetmapError::Corrupt { .. })), "ring {ring}");
        assert_eq!(port.advance(None), None);
    }
}

/// What a random walk does next.
#[derive(Clone, Debug)]
enum Act {
    Inject(u8),
    HostSends(u8),
    Submit(u8),
    SubmitShared(u8),
    Receive(u8),
    Reclaim,
    Push(bool),
    Advance,
    Work,
}

fn acts() -> impl Strategy<Value = Vec<Act>> {
    let act = prop_oneof![
        (1..40u8).prop_map(Act::Inject),
        (1..30u8).prop_map(Act::HostSends),
        (1..20u8).prop_map(Act::Submit),
        (1..9u8).prop_map(Act::SubmitShared),
        (0..33u8).prop_map(Act::Receive),
        Just(Act::Reclaim),
        any::<bool>().prop_map(Act::Push),
        Just(Act::Advance),
        Just(Act::Work),
    ];
    prop::collection::vec(act, 1..120)
}

/// Everything wrong that a walk shows.
fn walk(acts: &[Act], policies: Policies, close: bool) -> Vec<String> {
    let (model, mut port) = nic_and_port(policies, USUAL);
    model.hold(true);
    let free = model.buffers_free() + USUAL.extra;
    let mut wrong = Vec::new();
    let mut number = 0;
    // The second half of frames of two slots.
    let half = frame(u32::MAX, 80).split_off(40);
    let mut payload = port.take_free().expect("all are free");
    port.bytes_mut(&mut payload)[..40].copy_from_slice(&half);
    let payload = port.pin(payload);
    let mut fresh = |len| {
        number += 1;
        frame(number, len)
    };
    let (mut for_caller, mut for_host, mut ours, mut left) = (vec![], vec![], vec![], vec![]);
    let (mut of_host, mut of_caller) = (vec![], vec![]);
    let mut step = |port: &mut ModelPort, act: &Act| match *act {
        Act::Inject(count) => {
            for _ in 0..count {
                let bytes = fresh(60);
                if model.inject(0, &bytes) {
                    if is_ours(&bytes) { &mut for_caller } else { &mut for_host }.push(bytes);
                }
            }
        }
        Act::HostSends(count) => {
            for _ in 0..count {
                let bytes = fresh(70);
                if model.host_send(0, &bytes) {
                    of_host.push(bytes);
                }
            }
        }
        Act::Submit(count) => {
            for _ in 0..count {
                let bytes = fresh(80);
                match submit(port, &bytes) {
                    Ok(_) => of_caller.push(bytes),
                    Err(Some(buf)) => port.give_back(buf),
                    Err(None) => {}
                }
            }
        }
        Act::SubmitShared(count) => {
            for _ in 0..count {
                let Some(mut header) = port.take_free() else { break };
                let bytes = [fresh(40), half.clone()].concat();
                port.bytes_mut(&mut header)[..40].copy_from_slice(&bytes[..40]);
                match port.submit_gather(header, 40, &[Piece { of: &payload, len: 40 }]) {
                    Ok(()) => of_caller.push(bytes),
                    Err(GatherFull(header)) => port.give_back(header),
                }
            }
        }
        Act::Receive(max) => {
            port.receive(max.into(), |frames| {
                let (mine, hosts): (Vec<_>, Vec<_>) =
                    (0..frames.len()).partition(|&at| is_ours(frames[at].bytes));
                ours.extend(mine.iter().map(|&at| frames[at].bytes.to_vec()));
                hosts.into_iter().collect()
            });
        }
        Act::Reclaim => {
            port.reclaim(Some);
        }
        Act::Push(force) => {
            port.sync_tx(if force { TxSync::PushAndReclaim } else { TxSync::Push }).unwrap();
        }
        Act::Advance => {
            let soon = port.now() + Duration::from_micros(3);
            port.advance(Some(soon));
        }
        Act::Work => model.work(),
    };
    for act in acts {
        step(&mut port, act);
        let census = port.census();
        // The payload is the caller's all the time.
        if census.free + census.caller + census.device != USUAL.extra || census.caller != 1 {
            wrong.push(format!("{census:?} after {act:?}"));
            break;
        }
    }
    if close {
        // Everything comes to rest.
        for _ in 0..60 {
            for act in [Act::Receive(32), Act::Push(true), Act::Advance, Act::Work, Act::Reclaim] {
                step(&mut port, &act);
            }
        }
    }
    let stats = *port.stats();
    if close {
        port.flush().unwrap();
        left.extend(wire(&model));
        let hosts = model.take_host(0);
        // Drops of a full ring are within the order, and counted.
        let mut due = for_host.iter();
        if !hosts.iter().all(|frame| due.any(|other| other == frame)) {
            wrong.push("the host got other frames than came for it".into());
        }
        if hosts.len() as u64 + stats.host_ring_full != for_host.len() as u64 {
            wrong.push(format!("{} of {} for the host: {stats:?}", hosts.len(), for_host.len()));
        }
        if ours != for_caller {
            wrong.push("the caller got other frames than came for it".into());
        }
        for (whose, len, sent) in [("the host", 70, of_host), ("the caller", 80, of_caller)] {
            if !left.iter().filter(|frame| frame.len() == len).eq(&sent) {
                wrong.push(format!("the wire has other frames than {whose} sent"));
            }
        }
        if let Err(error) = port.close() {
            wrong.push(error.to_string());
        }
    } else {
        drop(port);
    }
    wrong.extend(model.violations().iter().map(|violation| format!("{violation:?}")));
    if model.buffers_free() + USUAL.extra < free {
        wrong.push("buffers were not given back".into());
    }
    wrong
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn any_traffic_between_three_arrives_and_every_buffer_goes_home(
        acts in acts(),
        at in 0..16_usize,
        close in any::<bool>(),
    ) {
        let policies = all_policies().nth(at).unwrap();
        prop_assert_eq!(walk(&acts, policies, close), Vec::<String>::new());
    }
}

/// A walk on which every kind of frame goes every way.
fn found(mutant: Mutant) -> Vec<String> {
    let round = [
        Act::Inject(9),
        Act::HostSends(5),
        Act::Advance,
        Act::Reclaim,
        Act::Receive(32),
        Act::Submit(2),
        Act::SubmitShared(1),
        Act::Push(false),
        Act::Work,
    ];
    let acts: Vec<_> = round.iter().cycle().take(400).cloned().collect();
    assert_eq!(walk(&acts, PLAIN, true), Vec::<String>::new());
    want(Some(mutant));
    let found = catch_unwind(AssertUnwindSafe(|| walk(&acts, PLAIN, true)));
    want(None);
    found.unwrap_or_else(|_| vec!["a panic".into()])
}

#[test]
fn faults_between_the_rings_are_found() {
    for (mutant, sign) in [
        (Mutant::HostBufChangedMissing, "BufChangedMissing"),
        (Mutant::ToHostLost, "for the host"),
        (Mutant::FromHostLost, "other frames than the host sent"),
        (Mutant::HostSlotNotRefilled, "FreedTwice"),
        // The pool has one buffer twice.
        (Mutant::HostSlotMistaken, "a panic"),
    ] {
        let found = found(mutant);
        assert!(found.iter().any(|line| line.contains(sign)), "{mutant:?}: {found:#?}");
    }
}

#[test]
fn host_that_takes_all_slots_is_found() {
    want(Some(Mutant::HostTakesAll));
    let starved = catch_unwind(host_and_caller_share_the_slots_and_neither_starves);
    want(None);
    assert!(starved.is_err());
}
