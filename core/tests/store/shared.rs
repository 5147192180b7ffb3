//! Payload that many sends share, over a port that gathers: the same text and sum as the slow twin's,
//! one payload a segment, and none given up while a frame uses it.

use super::{TEXT_AT, TEXT_MAX, World, config, cut, pins, slow_sum, slow_text};
use proptest::prelude::*;
use simoom_core::content::{
    Config, Cut, Loan, Mode, PIECE_MIN, Pin, PinnedFields, ReadAt, SharedPiece, Store,
};
use simoom_core::port::{Buf, Piece, Port, TxSync};
use simoom_core::secrets::Secrets;
use simoom_core::server::{Catalogue, FileServer, MemoryBodies, ServerConfig};
use simoom_core::stack::{self, Stack};
use simoom_core::wire::MacAddr;
use simoom_core::wire::checksum::Sum;
use simoom_port_conformance::vec_port::VecPort;
use std::net::Ipv4Addr;

fn world(config: &Config, buffers: u32) -> World {
    let mut world = World::new(config, buffers);
    world.port = VecPort::late(buffers).gathering(2);
    world
}

/// What was lent: to be submitted at once.
struct Lent {
    header: Buf,
    private: u16,
    piece: Option<SharedPiece>,
}

impl World {
    fn ask_shared(&mut self, cut: &Cut, index: u32, pins: &PinnedFields) -> Loan {
        let hint = &mut { u32::MAX };
        self.store.checkout_shared(&mut self.port, &mut self.source, cut, index, pins, hint)
    }

    /// A segment that must be had; its text and sum are compared with the twin's.
    fn borrow(&mut self, cut: &Cut, index: u32, pins: &PinnedFields) -> Lent {
        match self.ask_shared(cut, index, pins) {
            Loan::Ready { header, private, piece, sum } => {
                self.check_loan(Lent { header, private, piece }, cut, index, pins, sum)
            }
            other => panic!("segment {index} of {cut:?}: {other:?}"),
        }
    }

    fn check_loan(&self, lent: Lent, cut: &Cut, index: u32, pins: &PinnedFields, sum: Sum) -> Lent {
        let due = slow_text(cut, index, pins);
        let start = usize::from(TEXT_AT);
        let mut text =
            self.port.bytes(&lent.header)[start..start + usize::from(lent.private)].to_vec();
        if let Some(piece) = &lent.piece {
            let payload = self.port.bytes(self.store.payload(piece).buf());
            text.extend_from_slice(&payload[..usize::from(piece.len)]);
        }
        assert!(text == due, "text of segment {index}");
        assert_eq!(sum.fold(), slow_sum(&due), "sum of segment {index}");
        lent
    }

    /// Puts it in the ring.
    fn send(&mut self, Lent { header, private, piece }: Lent) {
        let len = TEXT_AT + private;
        match &piece {
            Some(piece) => {
                let of = self.store.payload(piece);
                let pieces = [Piece { of, len: piece.len }];
                self.port.submit_gather(header, len, &pieces).unwrap();
            }
            None => self.port.submit(header, len).unwrap(),
        }
    }

    /// Everything in the ring leaves and comes home, but what an idle device keeps; the texts that left.
    fn all_home(&mut self) -> Vec<Vec<u8>> {
        self.port.sync_tx(TxSync::Push).unwrap();
        self.port.work();
        self.port.sync_tx(TxSync::PushAndReclaim).unwrap();
        let World { port, store, .. } = self;
        port.reclaim(|buf| store.on_done(buf));
        let wire = self.port.take_wire();
        wire.into_iter().map(|frame| frame[usize::from(TEXT_AT)..].to_vec()).collect()
    }

    /// The last frame, which an idle device keeps, comes home as well.
    fn flush(&mut self) -> Vec<Vec<u8>> {
        let mut wire = self.all_home();
        let filler = self.store.take_buffer(&mut self.port).unwrap();
        self.port.submit(filler, TEXT_AT).unwrap();
        wire.extend(self.all_home());
        wire.retain(|text| !text.is_empty());
        wire
    }
}

#[test]
fn every_segment_in_parts_has_the_text_and_sum_of_the_slow_twin() {
    let none = PinnedFields::NONE;
    // The last segment is a whole one, a short one, one too short for a piece.
    for last in [0, 300, 77] {
        let cut = cut(3, 19 * u64::from(TEXT_MAX) + last);
        let segments = 19 + u32::from(last > 0);
        let mut world = world(&config(Mode::Gather), 256);
        for round in 0..3u8 {
            for index in 0..segments {
                let pins = if index == 0 { pins(round * 50 + 7) } else { none };
                let lent = world.borrow(&cut, index, &pins);
                world.check_census(1);
                let due = slow_text(&cut, index, &pins);
                let has_piece = index != segments - 1 || last != 77;
                assert_eq!(lent.piece.is_some(), has_piece, "{} bytes", due.len());
                if index == 0 {
                    assert_eq!(lent.private, 105, "what is pinned ends there");
                }
                world.send(lent);
                assert_eq!(world.flush(), [due]);
                world.check_census(0);
            }
        }
        let stats = *world.store.stats();
        assert_eq!((stats.cuts, stats.copies_made), (u64::from(segments), 0));
        assert_eq!((stats.checkouts, stats.shared), (3 * u64::from(segments), stats.checkouts));
        assert_eq!(world.source.reads, segments, "each segment is read once");
        world.flush();
        world.store.release(&mut world.port);
        assert_eq!((world.store.kept(), world.store.idle()), (0, 0));
        assert_eq!(world.port.census().caller, 0);
    }
}

#[test]
fn one_payload_serves_all_who_want_the_segment_at_once() {
    let mut world = world(&config(Mode::Gather), 256);
    let cut = cut(1, 6_000);
    let mut due = Vec::new();
    for response in 0..20 {
        for index in [0, 4] {
            let pins = if index == 0 { pins(response) } else { PinnedFields::NONE };
            let lent = world.borrow(&cut, index, &pins);
            world.send(lent);
            due.push(slow_text(&cut, index, &pins));
        }
    }
    assert_eq!((world.store.kept(), world.store.idle(), world.store.away()), (2, 2, 0));
    assert_eq!((world.source.reads, world.store.stats().copies_made), (2, 0));
    assert_eq!(world.flush(), due, "each response shows its own pinned fields");
}

/// Short text is copied rather than shared, whether it is a whole segment or what pins leave of one.
#[test]
fn pieces_below_the_minimum_are_private() {
    let mut world = world(&config(Mode::Gather), 64);
    let min = PIECE_MIN as u64;
    for (len, pins, private) in [
        (min - 1, PinnedFields::NONE, min - 1),
        (min, PinnedFields::NONE, 0),
        (105, pins(1), 105),
        (105 + min - 1, pins(1), 105 + min - 1),
        (105 + min, pins(1), 105),
    ] {
        let lent = world.borrow(&cut(len as u32, len), 0, &pins);
        assert_eq!(u64::from(lent.private), private, "{len} bytes");
        assert_eq!(
            lent.piece.map(|piece| u64::from(piece.len)),
            (private < len).then(|| len - private)
        );
        world.send(lent);
    }
    assert_eq!(world.flush().len(), 5);
}

/// An application keeps its pinned fields where they are. Where it does not, the text is right all the
/// same.
#[test]
fn response_that_pins_more_or_less_than_the_first_has_its_own_text() {
    let field = |offset| PinnedFields::new(&[Some(Pin { offset, bytes: b"0123456789" }), None]);
    for (first, then, private) in [(100, 40, 110), (40, 100, 600), (40, 40, 50)] {
        let mut world = world(&config(Mode::Gather), 64);
        let cut = cut(1, 600);
        for (offset, private) in [(first, u16::from(first as u8) + 10), (then, private)] {
            // The sum is that of a text whose other pinned fields were cleared.
            let Loan::Ready { header, private: is, piece, .. } =
                world.ask_shared(&cut, 0, &field(offset))
            else {
                panic!("no loan")
            };
            assert_eq!(is, private, "{first}, then {then}");
            assert_eq!(piece.map_or(0, |piece| piece.len), 600 - private);
            let start = usize::from(TEXT_AT);
            let mut text = world.port.bytes(&header)[start..start + usize::from(is)].to_vec();
            if let Some(piece) = &piece {
                let payload = world.port.bytes(world.store.payload(piece).buf());
                text.extend_from_slice(&payload[..usize::from(piece.len)]);
            }
            let mut due = slow_text(&cut, 0, &field(offset));
            if offset != first {
                due[usize::from(first)..usize::from(first) + 10].fill(0);
            }
            assert!(text == due, "{first}, then {then}");
            world.port.give_back(header);
        }
    }
}

#[test]
fn payload_in_use_is_not_given_up_and_unused_payload_is() {
    let bounded = Config { copies_max: 2, ..config(Mode::Gather) };
    let mut world = world(&bounded, 64);
    let none = PinnedFields::NONE;
    for object in [1, 2] {
        let lent = world.borrow(&cut(object, 6_000), 4, &none);
        world.send(lent);
    }
    // Both are in the ring: no third can be had, however often one asks.
    for _ in 0..3 {
        assert!(matches!(world.ask_shared(&cut(3, 6_000), 4, &none), Loan::Miss));
        assert_eq!((world.store.kept(), world.store.stats().stolen), (2, 0));
    }
    assert_eq!(world.flush().len(), 2);
    let lent = world.borrow(&cut(3, 6_000), 4, &none);
    world.send(lent);
    assert_eq!(world.store.stats().stolen, 1);
    assert!(world.store.kept() <= 2);
    world.flush();
    let reads = world.source.reads;
    for object in [1, 2, 3] {
        let lent = world.borrow(&cut(object, 6_000), 4, &none);
        world.send(lent);
        world.flush();
    }
    assert!(world.source.reads > reads, "what was given up is read again");
}

#[test]
fn over_a_port_of_whole_frames_the_mode_is_copies_on_demand() {
    for (max_frags, is) in [(1, Mode::CopiesOnDemand), (2, Mode::Gather), (4, Mode::Gather)] {
        let port = VecPort::at_once(64).gathering(max_frags);
        let mut stack = stack::Config::new(MacAddr([2, 0, 0, 0, 0, 1]), Ipv4Addr::LOCALHOST, 24);
        stack.content = config(Mode::Gather);
        let app = FileServer::new(
            Catalogue::builder(0).build(),
            MemoryBodies::new(),
            ServerConfig::default(),
        );
        let stack = Stack::new(stack, Secrets::new([1; 4]), port.caps(), app);
        assert_eq!(stack.config().content.mode, is);
    }
}

/// A release with frames in flight leaves what they use; the next one takes that as well.
#[test]
fn release_leaves_what_is_in_use() {
    let mut world = world(&config(Mode::Gather), 64);
    let cut = cut(1, 6_000);
    for index in 0..4 {
        let lent = world.borrow(&cut, index, &PinnedFields::NONE);
        if index == 3 { world.send(lent) } else { world.port.give_back(lent.header) }
    }
    world.store.release(&mut world.port);
    assert_eq!((world.store.kept(), world.port.census().caller), (1, 1));
    let due = slow_text(&cut, 3, &PinnedFields::NONE);
    assert_eq!(world.flush(), [due]);
    world.store.release(&mut world.port);
    assert_eq!((world.store.kept(), world.port.census().caller), (0, 0));
}

#[test]
fn source_that_is_late_or_gone_leaves_no_payload() {
    let mut world = world(&config(Mode::Gather), 32);
    for answer in [ReadAt::NotYet, ReadAt::Gone] {
        world.source.answer = answer;
        let loan = world.ask_shared(&cut(1, 6_000), 2, &PinnedFields::NONE);
        let right = match answer {
            ReadAt::NotYet => matches!(loan, Loan::NotYet),
            _ => matches!(loan, Loan::Gone),
        };
        assert!(right, "{loan:?}");
        assert_eq!((world.store.kept(), world.port.census().caller), (0, 0));
    }
}

/// The straight way finds what the long way has cut, and nothing in another run or variant.
#[test]
fn places_of_a_run_are_those_of_its_payloads() {
    let mut world = world(&config(Mode::Gather), 64);
    let cut = cut(1, 40 * u64::from(TEXT_MAX));
    let mut hint = u32::MAX;
    for index in [17, 18, 20] {
        let World { port, store, source } = &mut world;
        let loan = store.checkout_shared(port, source, &cut, index, &PinnedFields::NONE, &mut hint);
        let Loan::Ready { header, .. } = loan else { panic!("{loan:?}") };
        port.give_back(header);
    }
    let store: &mut Store = &mut world.store;
    let place = store.shared_run(&cut, 17, hint).unwrap();
    for (at, is) in [(0, true), (1, true), (2, false), (3, true), (4, false)] {
        let found = store.payload_at(place + at);
        assert_eq!(found.is_some(), is, "segment {}", 17 + at);
        if let Some((payload, sum)) = found {
            let due = slow_text(&cut, 17 + at, &PinnedFields::NONE);
            assert!(world.port.bytes(payload.buf())[..due.len()] == due[..], "segment {}", 17 + at);
            assert_eq!(sum.fold(), slow_sum(&due));
        }
    }
    assert_eq!(store.shared_run(&cut, 15, hint), None);
    assert_eq!(store.shared_run(&Cut { text_at: 66, ..cut }, 17, hint), None);
    assert_eq!(store.shared_run(&cut, 17, u32::MAX), None);
}

proptest! {
    /// Whatever is asked for, sent and evicted in which order ever: what leaves is what was asked for,
    /// bounds hold, nothing is lost.
    #[test]
    fn random_walks_with_shared_payload_keep_every_bound(
        steps in prop::collection::vec((0..8u8, 0..4u32, 0..40u32, any::<u8>()), 1..200),
        buffers in 12..80u32,
        copies_max in 1..40u32,
        reserve in 0..8u32,
        runs_max in 1..9u32,
    ) {
        let config = Config { mode: Mode::Gather, copies_max, reserve, runs_max, ..Config::default() };
        let mut world = world(&config, buffers);
        let bound = copies_max.min(buffers.saturating_sub(reserve));
        let bytes = world.store.table_bytes();
        let (mut due, mut left) = (Vec::new(), Vec::new());
        for (step, object, index, pin) in steps {
            match step {
                0..=4 => {
                    let cut = cut(object, 39 * u64::from(TEXT_MAX) + 1);
                    let pins = if index == 0 { pins(pin) } else { PinnedFields::NONE };
                    if world.port.tx_free() < 2 {
                        left.extend(world.all_home());
                        continue;
                    }
                    match world.ask_shared(&cut, index, &pins) {
                        Loan::Ready { header, private, piece, sum } => {
                            let lent = Lent { header, private, piece };
                            let lent = world.check_loan(lent, &cut, index, &pins, sum);
                            world.send(lent);
                            due.push(slow_text(&cut, index, &pins));
                        }
                        Loan::Miss => {}
                        other => prop_assert!(false, "{:?}", other),
                    }
                }
                5 => left.extend(world.all_home()),
                6 => world.store.release(&mut world.port),
                _ => {
                    if let Some(buf) = world.store.take_buffer(&mut world.port) {
                        world.port.give_back(buf);
                    }
                }
            }
            prop_assert!(world.store.kept() <= bound);
            prop_assert_eq!(world.store.away(), 0);
            world.check_census(0);
            prop_assert_eq!(world.store.table_bytes(), bytes, "nothing grows");
        }
        left.extend(world.all_home());
        world.store.release(&mut world.port);
        left.extend(world.flush());
        left.retain(|text| !text.is_empty());
        prop_assert!(left == due, "other texts left than were asked for");
        world.store.release(&mut world.port);
        world.check_census(0);
        prop_assert_eq!(world.store.kept(), 0);
    }
}
