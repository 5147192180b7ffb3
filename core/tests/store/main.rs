//! The store of prepared segments over a port in memory, compared with a slow twin that reads the
//! source anew, writes the pinned fields and sums word by word.

mod shared;
mod walk;

use simoom_core::content::{
    Checkout, Config, ContentSource, Cut, Mode, ObjectId, Pin, PinnedFields, ReadAt,
    SEGMENTS_PER_RUN, Store,
};
use simoom_core::port::{Buf, Port, TxSync};
use simoom_core::server::bodies::pattern_fill;
use simoom_core::wire::checksum::Sum;
use simoom_port_conformance::vec_port::VecPort;

const RUN: u32 = SEGMENTS_PER_RUN as u32;
const TEXT_AT: u16 = 54;
const TEXT_MAX: u16 = 600;

/// Objects are patterns named by their number.
struct Patterns {
    answer: ReadAt,
    reads: u32,
    /// Not zero: objects changed, against the promise.
    shift: u64,
}

impl ContentSource for Patterns {
    fn read_at(&mut self, object: ObjectId, offset: u64, out: &mut [u8]) -> ReadAt {
        self.reads += 1;
        if self.answer == ReadAt::Done {
            pattern_fill(u64::from(object.0) + self.shift, offset, out);
        } else {
            out.fill(0xee);
        }
        self.answer
    }
}

/// A buffer that was checked out, and what for.
struct Out {
    buf: Buf,
    cut: Cut,
    index: u32,
    pins: PinnedFields,
}

struct World {
    port: VecPort,
    store: Store,
    source: Patterns,
}

fn config(mode: Mode) -> Config {
    Config { mode, copies_max: 1_000, reserve: 4, runs_max: 8, ..Config::default() }
}

fn cut(object: u32, object_len: u64) -> Cut {
    Cut { object: ObjectId(object), object_len, text_max: TEXT_MAX, text_at: TEXT_AT }
}

/// Two fields, one at an odd offset.
fn pins(byte: u8) -> PinnedFields {
    let (date, state) = ([byte; 29], [byte.wrapping_add(1); 5]);
    PinnedFields::new(&[
        Some(Pin { offset: 33, bytes: &date }),
        Some(Pin { offset: 100, bytes: &state }),
    ])
}

/// The one's-complement sum as RFC 1071 §1 words it.
fn slow_sum(bytes: &[u8]) -> u16 {
    let mut total = 0u32;
    for pair in bytes.chunks(2) {
        total += u32::from(pair[0]) << 8 | u32::from(*pair.get(1).unwrap_or(&0));
        total = (total & 0xffff) + (total >> 16);
    }
    total as u16
}

/// What the segment must show.
fn slow_text(cut: &Cut, index: u32, pins: &PinnedFields) -> Vec<u8> {
    let start = u64::from(index) * u64::from(cut.text_max);
    let len = (cut.object_len - start).min(u64::from(cut.text_max));
    let mut text = vec![0; len as usize];
    pattern_fill(u64::from(cut.object.0), start, &mut text);
    pins.apply(start, &mut text);
    text
}

impl World {
    fn new(config: &Config, buffers: u32) -> Self {
        Self {
            port: VecPort::at_once(buffers),
            store: Store::new(config, buffers, 0x0123_4567_89ab_cdef),
            source: Patterns { answer: ReadAt::Done, reads: 0, shift: 0 },
        }
    }

    fn ask(&mut self, cut: &Cut, index: u32, pins: &PinnedFields, hint: &mut u32) -> Checkout {
        self.store.checkout(&mut self.port, &mut self.source, cut, index, pins, hint)
    }

    /// A segment that must be had; its text and sum are compared with the twin's.
    fn take(&mut self, cut: &Cut, index: u32) -> Out {
        self.take_pinned(cut, index, PinnedFields::NONE)
    }

    fn take_pinned(&mut self, cut: &Cut, index: u32, pins: PinnedFields) -> Out {
        match self.ask(cut, index, &pins, &mut { u32::MAX }) {
            Checkout::Ready { buf, sum } => self.check(Out { buf, cut: *cut, index, pins }, sum),
            other => panic!("segment {index} of {cut:?}: {other:?}"),
        }
    }

    fn check(&self, out: Out, sum: Sum) -> Out {
        self.check_text(&out);
        let text = slow_text(&out.cut, out.index, &out.pins);
        assert_eq!(sum.fold(), slow_sum(&text), "sum of segment {}", out.index);
        out
    }

    fn check_text(&self, out: &Out) {
        let text = slow_text(&out.cut, out.index, &out.pins);
        let start = usize::from(out.cut.text_at);
        assert_eq!(self.port.bytes(&out.buf)[start..start + text.len()], text[..]);
    }

    fn is_miss(&mut self, cut: &Cut, index: u32) -> bool {
        matches!(self.ask(cut, index, &PinnedFields::NONE, &mut { u32::MAX }), Checkout::Miss)
    }

    /// Hands a buffer back as a port does that is done with it.
    fn give_back(&mut self, buf: Buf) {
        if let Some(free) = self.store.on_done(buf) {
            self.port.give_back(free);
        }
    }

    /// The caller's tokens are those of the store and `outside`.
    fn check_census(&self, outside: usize) {
        let census = self.port.census();
        assert_eq!(census.caller, self.store.idle() + outside as u32);
        assert_eq!(self.store.idle() + self.store.away(), self.store.kept());
        assert_eq!(self.port.free() as u32, census.free);
    }

    /// Everything is given back, and the port has all it had.
    fn check_release(&mut self) {
        self.store.release(&mut self.port);
        assert_eq!((self.store.kept(), self.store.idle(), self.store.away()), (0, 0, 0));
        assert_eq!(self.port.free() as u32, self.port.caps().buffers);
    }
}

/// How whole segments are sent. Over a port that does not gather, the mode *gather* is copies on demand.
const MODES: [Mode; 4] = [Mode::Copy, Mode::CopiesInAdvance(2), Mode::CopiesOnDemand, Mode::Gather];

#[test]
fn every_segment_has_the_text_and_sum_of_the_slow_twin() {
    for mode in MODES {
        // The last segment is short, and odd.
        let cut = cut(3, 19 * u64::from(TEXT_MAX) + 77);
        let mut world = World::new(&config(mode), 256);
        for round in 0..3u8 {
            for index in 0..20 {
                // Another response of the same object: other bytes are pinned.
                let pins = pins(round * 50 + 7);
                let out = world.take_pinned(&cut, index, pins);
                world.check_census(1);
                world.give_back(out.buf);
                world.check_census(0);
            }
        }
        assert_eq!(world.store.stats().cuts, 20, "{mode:?} cuts each segment once");
        assert_eq!(world.source.reads, 20, "{mode:?} reads each segment once");
        assert_eq!(world.store.stats().checkouts, 60);
        world.check_release();
    }
}

#[test]
fn an_object_shorter_than_a_segment_is_one_segment() {
    for len in [1, 2, 105, 599, 600] {
        let mut world = World::new(&config(Mode::CopiesOnDemand), 32);
        // The first pinned field ends at 62, the second at 105.
        let fields = if len >= 105 { pins(9) } else { PinnedFields::NONE };
        let out = world.take_pinned(&cut(1, len), 0, fields);
        world.give_back(out.buf);
        world.check_release();
    }
}

#[test]
fn variants_and_objects_do_not_share_segments() {
    let mut world = World::new(&config(Mode::CopiesOnDemand), 64);
    let len = 5_000;
    let other_size = Cut { text_max: 512, ..cut(1, len) };
    let other_place = Cut { text_at: 66, ..cut(1, len) };
    let outs: Vec<Out> = [cut(1, len), cut(2, len), other_size, other_place]
        .iter()
        .map(|cut| world.take(cut, 3))
        .collect();
    assert_eq!(world.store.stats().cuts, 4);
    for out in outs {
        world.check_text(&out);
        world.give_back(out.buf);
    }
    world.check_release();
}

#[test]
fn a_buffer_comes_home_through_the_ports_completions() {
    let mut world = World::new(&config(Mode::CopiesOnDemand), 32);
    let cut = cut(1, 6_000);
    let first = world.take(&cut, 4);
    let index = first.buf.index();
    world.port.submit(first.buf, 654).unwrap();
    assert_eq!((world.store.kept(), world.store.away(), world.store.idle()), (1, 1, 0));
    world.port.sync_tx(TxSync::Push).unwrap();
    let World { port, store, .. } = &mut world;
    assert_eq!(port.reclaim(|buf| store.on_done(buf)), 1);
    assert_eq!((store.kept(), store.away(), store.idle()), (1, 0, 1));
    let again = world.take(&cut, 4);
    assert_eq!(again.buf.index(), index, "the same copy is sent again");
    assert_eq!(world.source.reads, 1, "and was not read again");
    world.give_back(again.buf);
}

/// The memory behind the token is another: nothing may be sent from it before it is cut again.
#[test]
fn a_copy_that_comes_back_without_its_bytes_is_cut_again() {
    for mode in MODES {
        let mut world = World::new(&config(mode), 32);
        let cut = cut(1, 6_000);
        for round in 1..4 {
            let mut out = world.take(&cut, 4);
            world.port.bytes_mut(&mut out.buf).fill(0xcc);
            let lost = Buf::mint_without_bytes(1, out.buf.index());
            assert!(lost.has_lost_bytes() && lost.index() == out.buf.index());
            assert!(!out.buf.has_lost_bytes());
            world.give_back(lost);
            world.check_census(0);
            let copied = mode == Mode::Copy;
            assert_eq!(world.store.stats().bytes_lost, if copied { 0 } else { round });
        }
        let again = world.take(&cut, 4);
        world.give_back(again.buf);
        world.check_release();
    }
}

#[test]
fn a_copy_more_is_made_when_all_are_away_and_stays() {
    let mut world = World::new(&config(Mode::CopiesOnDemand), 64);
    let cut = cut(1, 6_000);
    let outs: Vec<Out> = (0..5).map(|_| world.take_pinned(&cut, 0, pins(1))).collect();
    let stats = *world.store.stats();
    assert_eq!((stats.cuts, stats.copies_made, stats.kept_high, stats.away_high), (1, 4, 5, 5));
    for out in outs {
        world.check_text(&out);
        world.give_back(out.buf);
    }
    assert_eq!((world.store.kept(), world.store.idle()), (5, 5), "the high-water mark stays");
    let outs: Vec<Out> = (0..5).map(|_| world.take_pinned(&cut, 0, pins(2))).collect();
    assert_eq!(world.store.stats().copies_made, 4, "and serves as many again");
    assert_eq!(world.source.reads, 5);
    for out in outs {
        world.check_text(&out);
        world.give_back(out.buf);
    }
    world.check_release();
}

#[test]
fn so_many_copies_are_made_in_advance_and_no_more() {
    let mut world = World::new(&config(Mode::CopiesInAdvance(3)), 64);
    let cut = cut(1, 6_077);
    for index in [0, 10] {
        let kept = world.store.kept();
        let mut outs = vec![world.take_pinned(&cut, index, pins(4))];
        assert_eq!(world.store.kept(), kept + 3, "made at the first sending");
        outs.extend((0..2).map(|n| world.take_pinned(&cut, index, pins(n))));
        assert!(world.is_miss(&cut, index));
        assert_eq!(world.store.kept(), kept + 3);
        for out in outs {
            world.check_text(&out);
            world.give_back(out.buf);
        }
        let again = world.take_pinned(&cut, index, pins(9));
        world.give_back(again.buf);
    }
    let stats = *world.store.stats();
    assert_eq!((stats.cuts, stats.copies_made, stats.misses_all_away), (2, 4, 2));
    assert_eq!(world.source.reads, 2, "further copies are copied, not read");
    world.check_release();
}

#[test]
fn zero_copies_in_advance_are_one() {
    let mut world = World::new(&config(Mode::CopiesInAdvance(0)), 64);
    let out = world.take(&cut(1, 6_000), 1);
    assert!(world.is_miss(&cut(1, 6_000), 1));
    assert_eq!(world.store.kept(), 1);
    world.give_back(out.buf);
}

#[test]
fn copying_mode_keeps_the_master_at_home() {
    let mut world = World::new(&config(Mode::Copy), 64);
    let cut = cut(1, 6_000);
    let outs: Vec<Out> = (0..4).map(|n| world.take_pinned(&cut, 0, pins(n))).collect();
    assert_eq!((world.store.kept(), world.store.idle(), world.store.away()), (1, 1, 0));
    assert_eq!(world.store.stats().master_copies, 4);
    world.check_census(4);
    for out in outs {
        world.check_text(&out);
        let buf = world.store.on_done(out.buf).expect("a frame of the copying mode is not kept");
        world.port.give_back(buf);
    }
    assert_eq!(world.source.reads, 1);
    world.check_release();
}

#[test]
fn copying_mode_without_a_free_buffer_misses_and_keeps_its_master() {
    let mut world = World::new(&config(Mode::Copy), 8);
    let cut = cut(1, 600);
    let outs: Vec<Out> = (0..7).map(|_| world.take(&cut, 0)).collect();
    assert!(world.is_miss(&cut, 0));
    assert_eq!(world.store.stats().misses_no_buffer, 1);
    assert_eq!(world.store.idle(), 1);
    for out in outs {
        world.give_back(out.buf);
    }
    world.check_release();
}

#[test]
fn all_modes_send_the_same_text() {
    let cut = cut(9, 10 * u64::from(TEXT_MAX) + 1);
    let frames = MODES.map(|mode| {
        let mut world = World::new(&config(mode), 64);
        let one = |world: &mut World, index| {
            let out = world.take_pinned(&cut, index, pins(5));
            let len = slow_text(&cut, index, &out.pins).len();
            let text = world.port.bytes(&out.buf)[usize::from(TEXT_AT)..][..len].to_vec();
            world.give_back(out.buf);
            text
        };
        (0..11).flat_map(|index| one(&mut world, index)).collect::<Vec<u8>>()
    });
    assert_eq!(frames[0].len() as u64, cut.object_len);
    assert_eq!(frames[0], frames[1]);
    assert_eq!(frames[0], frames[2]);
}

#[test]
fn the_reserve_is_left_in_the_pool() {
    let mut world = World::new(&config(Mode::CopiesOnDemand), 10);
    let cut = cut(1, 6_000);
    let outs: Vec<Out> = (0..6).map(|index| world.take(&cut, index)).collect();
    assert_eq!(world.port.free(), 4);
    assert!(world.is_miss(&cut, 6), "the rest is reserved");
    assert_eq!(world.store.stats().misses_no_buffer, 1);
    for out in outs {
        world.give_back(out.buf);
    }
    world.check_release();
}

#[test]
fn the_bound_of_copies_holds_with_buffers_to_spare() {
    let bounded = Config { copies_max: 3, ..config(Mode::CopiesOnDemand) };
    let mut world = World::new(&bounded, 100);
    let cut = cut(1, 6_000);
    let outs: Vec<Out> = (0..3).map(|_| world.take(&cut, 0)).collect();
    assert!(world.is_miss(&cut, 0));
    assert!(world.is_miss(&cut, 1));
    assert_eq!((world.store.kept(), world.store.stats().kept_high), (3, 3));
    for out in outs {
        world.give_back(out.buf);
    }
}

#[test]
fn idle_runs_are_stolen_and_cut_again_with_the_same_bytes() {
    let bounded = Config { copies_max: 4, ..config(Mode::CopiesOnDemand) };
    let mut world = World::new(&bounded, 64);
    let objects: Vec<Cut> = (0..8).map(|object| cut(object, 2_400)).collect();
    for round in 0..3u64 {
        for cut in &objects {
            for index in 0..4 {
                let out = world.take_pinned(cut, index, pins(8));
                world.give_back(out.buf);
                world.check_census(0);
                assert!(world.store.kept() <= 4);
            }
        }
        // Four copies hold one object of eight: each is cut anew in every round.
        assert_eq!(world.store.stats().cuts, (round + 1) * 32);
    }
    assert_eq!(world.store.stats().stolen, 92);
    assert_eq!(world.store.stats().misses_no_buffer, 0);
    world.check_release();
}

#[test]
fn copies_that_are_away_are_never_stolen() {
    let bounded = Config { copies_max: 4, ..config(Mode::CopiesOnDemand) };
    let mut world = World::new(&bounded, 64);
    let hot = cut(1, 6_000);
    let away = world.take_pinned(&hot, 0, pins(3));
    for index in 1..4 {
        let out = world.take(&hot, index);
        world.give_back(out.buf);
    }
    for (object, index) in (2..6).flat_map(|object| (0..3).map(move |index| (object, index))) {
        let out = world.take(&cut(object, 6_000), index);
        world.give_back(out.buf);
        world.check_text(&away);
        world.check_census(1);
        assert!(world.store.kept() <= 4);
    }
    assert!(world.store.stats().stolen >= 3, "idle neighbours of the copy away may go");
    assert_eq!(world.store.away(), 1);
    let index = away.buf.index();
    assert_eq!(world.store.on_done(away.buf), None, "the store still knows it");
    let again = world.take_pinned(&hot, 0, pins(4));
    assert_eq!(again.buf.index(), index, "and sends it again");
    world.give_back(again.buf);
    world.check_release();
}

#[test]
fn a_run_is_not_robbed_for_its_own_neighbour() {
    let bounded = Config { copies_max: 4, ..config(Mode::CopiesOnDemand) };
    let mut world = World::new(&bounded, 64);
    let cut = cut(1, 6_000);
    for index in 0..4 {
        let out = world.take(&cut, index);
        world.give_back(out.buf);
    }
    assert!(world.is_miss(&cut, 4), "an object larger than the store would only chase itself");
    assert_eq!((world.store.stats().stolen, world.store.idle()), (0, 4));
    world.check_release();
}

#[test]
fn runs_are_bounded_and_those_with_copies_away_stay() {
    let bounded = Config { runs_max: 2, ..config(Mode::CopiesOnDemand) };
    let mut world = World::new(&bounded, 64);
    let long = cut(1, 100 * u64::from(TEXT_MAX));
    let first = world.take(&long, 0);
    let second = world.take(&long, RUN);
    assert!(world.is_miss(&long, 2 * RUN), "both runs have copies away");
    assert_eq!(world.store.stats().misses_no_run, 1);
    assert_eq!(world.store.stats().cuts, 2);
    world.give_back(first.buf);
    let third = world.take(&long, 2 * RUN);
    assert_eq!(world.store.stats().stolen, 1, "the idle run made way");
    assert!(world.is_miss(&long, 0), "and is no longer known");
    world.check_text(&second);
    world.give_back(second.buf);
    world.give_back(third.buf);
    world.check_release();
}

#[test]
fn a_new_run_takes_the_place_of_one_and_no_more() {
    let bounded = Config { runs_max: 3, ..config(Mode::CopiesOnDemand) };
    let mut world = World::new(&bounded, 64);
    for object in 1..5 {
        let out = world.take(&cut(object, 6_000), 0);
        world.give_back(out.buf);
    }
    assert_eq!((world.store.stats().stolen, world.store.kept()), (1, 3));
    // Robbing a run with a copy away frees no run: the search goes on.
    let away = [world.take(&cut(5, 6_000), 0), world.take(&cut(5, 6_000), 0)];
    let [first, second] = away;
    world.give_back(first.buf);
    for object in 6..10 {
        let out = world.take(&cut(object, 6_000), 0);
        world.give_back(out.buf);
        world.check_text(&second);
    }
    assert_eq!(world.store.stats().misses_no_run, 0);
    world.give_back(second.buf);
    world.check_release();
}

#[test]
fn a_hint_of_a_run_that_was_evicted_or_replaced_is_not_believed() {
    let bounded = Config { runs_max: 1, ..config(Mode::CopiesOnDemand) };
    let mut world = World::new(&bounded, 64);
    let (one, two) = (cut(1, 6_000), cut(2, 6_000));
    let mut hints = [u32::MAX; 2];
    for index in [0, 1, 0, 5] {
        for (cut, hint) in [one, two].iter().zip(&mut hints) {
            let Checkout::Ready { buf, sum } = world.ask(cut, index, &pins(1), hint) else {
                panic!("a single run serves both in turn");
            };
            let out = world.check(Out { buf, cut: *cut, index, pins: pins(1) }, sum);
            world.give_back(out.buf);
        }
    }
    assert_eq!(world.store.stats().cuts, 8, "each evicts the other");
    // The run of the hint is there, but forgotten.
    world.check_release();
    assert!(world.store.idle_run(&two, 5, hints[1]).is_none());
    let Checkout::Ready { buf, sum } = world.ask(&two, 5, &pins(1), &mut hints[1]) else {
        panic!("the run is made anew");
    };
    let out = world.check(Out { buf, cut: two, index: 5, pins: pins(1) }, sum);
    world.give_back(out.buf);
    world.check_release();
}

#[test]
fn a_hint_survives_a_step_to_the_next_run() {
    let mut world = World::new(&config(Mode::CopiesOnDemand), 128);
    let long = cut(1, 40 * u64::from(TEXT_MAX));
    let mut hint = u32::MAX;
    let mut runs = Vec::new();
    for index in 0..40 {
        let Checkout::Ready { buf, sum } = world.ask(&long, index, &pins(1), &mut hint) else {
            panic!("there is room");
        };
        runs.push(hint);
        let out = world.check(Out { buf, cut: long, index, pins: pins(1) }, sum);
        world.give_back(out.buf);
    }
    runs.dedup();
    assert_eq!(runs.len(), 3, "one run every sixteen segments");
}

#[test]
fn the_straight_way_takes_the_idle_copies_and_counts_them_away() {
    let mut world = World::new(&config(Mode::CopiesOnDemand), 64);
    let long = cut(1, 40 * u64::from(TEXT_MAX));
    let mut hint = u32::MAX;
    let mut outs = Vec::new();
    for index in RUN..RUN + 3 {
        let Checkout::Ready { buf, .. } = world.ask(&long, index, &PinnedFields::NONE, &mut hint)
        else {
            panic!("there is room");
        };
        outs.push(buf);
    }
    outs.drain(..).for_each(|buf| world.give_back(buf));
    assert!(world.store.idle_run(&long, 0, hint).is_none(), "another run");
    assert!(world.store.idle_run(&cut(2, 99_999), RUN, hint).is_none(), "another object");
    assert!(world.store.idle_run(&long, RUN, u32::MAX).is_none(), "no hint");
    let mut run = world.store.idle_run(&long, RUN, hint).expect("the run of the hint");
    let taken: Vec<_> = (RUN..RUN + 3).map(|index| (index, run.take(index))).collect();
    assert!(run.take(RUN).is_none(), "it is away");
    assert!(run.take(RUN + 3).is_none(), "it was never cut");
    drop(run);
    assert_eq!((world.store.away(), world.store.idle()), (3, 0));
    assert_eq!(world.store.stats().checkouts, 6);
    assert_eq!(world.store.stats().away_high, 3);
    for (index, taken) in taken {
        let (buf, sum) = taken.expect("at home");
        let out = world.check(Out { buf, cut: long, index, pins: PinnedFields::NONE }, sum);
        world.give_back(out.buf);
    }
    world.check_release();
}

#[test]
fn the_straight_way_is_closed_in_copying_mode() {
    let mut world = World::new(&config(Mode::Copy), 64);
    let mut hint = u32::MAX;
    let Checkout::Ready { buf, .. } = world.ask(&cut(1, 6_000), 1, &pins(1), &mut hint) else {
        panic!("there is room");
    };
    world.give_back(buf);
    assert!(world.store.idle_run(&cut(1, 6_000), 1, hint).is_none(), "the master must stay");
}

#[test]
fn content_that_is_late_or_gone_costs_no_buffer() {
    for mode in MODES {
        let mut world = World::new(&config(mode), 32);
        let cut = cut(1, 6_000);
        for _ in 0..100 {
            world.source.answer = ReadAt::NotYet;
            let answer = world.ask(&cut, 0, &pins(1), &mut { u32::MAX });
            assert!(matches!(answer, Checkout::NotYet), "{answer:?}");
            world.source.answer = ReadAt::Gone;
            let answer = world.ask(&cut, 0, &pins(1), &mut { u32::MAX });
            assert!(matches!(answer, Checkout::Gone), "{answer:?}");
            world.check_census(0);
            assert_eq!(world.port.free(), 32);
        }
        assert_eq!(world.store.stats().cuts, 0);
        world.source.answer = ReadAt::Done;
        let out = world.take_pinned(&cut, 0, pins(2));
        assert_eq!(world.store.stats().cuts, 1);
        world.give_back(out.buf);
        world.check_release();
    }
}

#[test]
fn content_that_vanished_leaves_the_copies_there_are() {
    let mut world = World::new(&config(Mode::CopiesOnDemand), 32);
    let cut = cut(1, 6_000);
    let first = world.take(&cut, 2);
    world.source.answer = ReadAt::Gone;
    assert!(matches!(world.ask(&cut, 2, &pins(1), &mut { u32::MAX }), Checkout::Gone));
    world.give_back(first.buf);
    let again = world.take(&cut, 2);
    world.give_back(again.buf);
    world.check_release();
}

#[test]
fn a_second_copy_of_changed_content_is_refused() {
    let mut world = World::new(&config(Mode::CopiesOnDemand), 32);
    let cut = cut(1, 6_000);
    let first = world.take(&cut, 2);
    world.source.shift = 1;
    assert!(matches!(world.ask(&cut, 2, &pins(1), &mut { u32::MAX }), Checkout::Gone));
    world.source.shift = 0;
    let second = world.take(&cut, 2);
    world.give_back(first.buf);
    world.give_back(second.buf);
    world.check_release();
}

#[test]
fn a_buffer_for_copying_is_stolen_where_the_pool_is_empty() {
    let frugal = Config { reserve: 0, ..config(Mode::CopiesOnDemand) };
    let mut world = World::new(&frugal, 4);
    let outs: Vec<Out> = (0..4).map(|index| world.take(&cut(1, 6_000), index)).collect();
    assert!(world.store.take_buffer(&mut world.port).is_none(), "all are away");
    for out in outs {
        world.give_back(out.buf);
    }
    let taken = world.store.take_buffer(&mut world.port).expect("an idle copy goes");
    assert_eq!(world.store.stats().stolen, 4);
    assert_eq!(world.store.kept(), 0);
    let free = world.store.on_done(taken).expect("not the store's");
    world.port.give_back(free);
    world.check_release();
}

#[test]
fn a_store_without_segments_has_nothing_to_steal() {
    let mut world = World::new(&config(Mode::CopiesOnDemand), 1);
    let only = world.store.take_buffer(&mut world.port).expect("the pool has one");
    assert!(world.store.take_buffer(&mut world.port).is_none());
    world.port.give_back(only);
    world.check_release();
}

#[test]
fn no_more_than_one_run_is_stolen_at_once() {
    let frugal = Config { reserve: 0, ..config(Mode::CopiesOnDemand) };
    let mut world = World::new(&frugal, 4);
    for (object, index) in [(1, 0), (1, 1), (2, 0), (2, 1)] {
        let out = world.take(&cut(object, 6_000), index);
        world.give_back(out.buf);
    }
    let taken = world.store.take_buffer(&mut world.port).expect("an idle copy goes");
    assert_eq!((world.store.stats().stolen, world.store.kept()), (2, 2));
    world.port.give_back(taken);
    world.check_release();
}

#[test]
fn a_class_serves_an_mss_up_to_an_eighth_above_it() {
    let config = Config { mss_classes: vec![1_460, 1_220, 536], ..Config::default() };
    for (mss, class) in [
        (9_000, None),
        (1_669, None),
        (1_668, Some(1_460)),
        (1_460, Some(1_460)),
        (1_459, None),
        (1_394, Some(1_220)),
        (1_220, Some(1_220)),
        (1_219, None),
        (612, Some(536)),
        (536, Some(536)),
        (535, None),
        (0, None),
    ] {
        assert_eq!(config.class_for(mss), class, "MSS {mss}");
    }
}

#[test]
fn tables_take_what_was_foretold() {
    for (runs_max, buffers) in [(1, 0), (8, 100), (14, 1), (28, 10), (1_000, 5), (4_096, 16_384)] {
        let store = Store::new(&Config { runs_max, ..Config::default() }, buffers, 1);
        let foretold = Store::table_bytes_for(runs_max.into(), buffers.into());
        let bytes = store.table_bytes() as u64;
        assert!(bytes >= foretold, "{runs_max} runs, {buffers} buffers: {bytes} < {foretold}");
        // The table of hashes rounds up to a power of two.
        let rounding = 16 * u64::from(runs_max) + 64;
        assert!(bytes <= foretold + rounding, "{runs_max}, {buffers}: {bytes} > {foretold}");
    }
}
