//! Faults of the port that must be found: by the suite, by what the model notes, or by a panic.

use crate::harness::{Faults, NicHarness, PipeHarness, Shape, USUAL, open};
use simoom_core::port::{Piece, Port};
use simoom_netmap::model::{CompletionPolicy, DmaPolicy, Model};
use simoom_netmap::mutants::{Mutant, want};
use simoom_port_conformance::{Harness, failures};
use std::panic::{AssertUnwindSafe, catch_unwind};

/// Everything that was noticed of a fault, as text.
fn found<H: Harness>(mutant: Option<Mutant>, mut make: impl FnMut(&Faults) -> H) -> Vec<String> {
    let faults = Faults::default();
    want(mutant);
    let suite = catch_unwind(AssertUnwindSafe(|| failures(|| make(&faults))));
    want(None);
    let mut all = faults.all();
    match suite {
        Ok(failures) => all.extend(failures.iter().map(ToString::to_string)),
        Err(_) => all.push("a panic".into()),
    }
    all
}

fn found_on_a_nic(mutant: Option<Mutant>) -> Vec<String> {
    let policies = (DmaPolicy::AtWork, CompletionPolicy::HalfRing);
    found(mutant, |faults| NicHarness::new(policies, USUAL, faults))
}

fn found_on_a_pipe(mutant: Option<Mutant>) -> Vec<String> {
    let shape = Shape { tx_slots: 128, rx_slots: 128, ..USUAL };
    found(mutant, |faults| PipeHarness::new(shape, faults))
}

#[test]
fn port_without_a_fault_is_found_right() {
    assert_eq!(found_on_a_nic(None), Vec::<String>::new());
    assert_eq!(found_on_a_pipe(None), Vec::<String>::new());
}

/// One test a fault: among what is noticed is this.
macro_rules! caught {
    ($($test:ident: $mutant:ident on $link:ident => $sign:literal;)*) => {$(
        #[test]
        fn $test() {
            let found = $link(Some(Mutant::$mutant));
            let caught = found.iter().any(|line| line.contains($sign));
            assert!(caught, "{:?} is not among {found:#?}", $sign);
        }
    )*};
}

caught! {
    missing_buf_changed_sends_other_bytes:
        BufChangedMissing on found_on_a_nic => "WireBytes";
    missing_buf_changed_is_noticed_by_the_kernel:
        BufChangedMissing on found_on_a_nic => "BufChangedMissing";
    cursor_too_far_sends_what_was_not_submitted:
        CursorTooFar on found_on_a_nic => "WireOnlySubmitted";
    cursor_too_far_is_refused_by_the_kernel:
        CursorTooFar on found_on_a_nic => "BadCursor";
    cursor_too_far_is_caught_on_a_pipe:
        CursorTooFar on found_on_a_pipe => "BadCursor";
    cursor_too_short_keeps_a_frame_back:
        CursorShort on found_on_a_nic => "WireComplete";
    cursor_too_short_is_caught_on_a_pipe:
        CursorShort on found_on_a_pipe => "WireComplete";
    early_reclaim_sends_what_was_written_later:
        EarlyReclaim on found_on_a_nic => "ReadBeforeReported";
    early_reclaim_is_noticed_at_dma:
        EarlyReclaim on found_on_a_nic => "ChangedInFlight";
    early_release_loses_what_came:
        EarlyRelease on found_on_a_nic => "ReceiveReleases";
    extras_not_linked_at_close_are_lost:
        ExtrasNotRestored on found_on_a_nic => "were not given back";
    extras_not_linked_at_close_of_a_pipe_are_lost:
        ExtrasNotRestored on found_on_a_pipe => "were not given back";
    slots_forgotten_at_close_free_a_buffer_twice:
        SlotsForgotten on found_on_a_nic => "FreedTwice";
    slot_without_a_buffer_of_its_own_is_caught:
        SlotNotRefilled on found_on_a_nic => "FreedTwice";
    header_that_does_not_go_on_leaves_alone:
        MoreFragmentsMissing on found_on_a_nic => "PiecesOnTheWire";
    piece_of_another_buffer_is_caught:
        PieceOfAnother on found_on_a_nic => "PiecesOnTheWire";
    piece_that_is_too_short_is_caught:
        PieceTooShort on found_on_a_nic => "PiecesOnTheWire";
    payload_unpinned_in_flight_is_caught:
        UnpinnedInFlight on found_on_a_nic => "UnpinRefusedInUse";
    use_that_is_not_counted_down_is_caught:
        UseNotCounted on found_on_a_nic => "UnpinGivesUnused";
    kept_buffer_in_two_slots_is_caught:
        KeptOfAnotherSlot on found_on_a_nic => "FreedTwice";
    kept_buffer_of_the_pieces_slot_is_lost:
        KeptOfAnotherSlot on found_on_a_nic => "were not given back";
    header_slot_emptied_early_is_caught:
        HeaderBackEarly on found_on_a_nic => "FreedTwice";
    cursor_within_a_frame_is_noticed_by_the_kernel:
        CursorShort on found_on_a_nic => "EndsWithinFrame";
    doorbell_that_forces_nothing_is_caught:
        ReclaimNotForced on found_on_a_nic => "SmallPoolProgress";
}

/// Three frames share a payload; its owner asks for it back, writes to it where it is given, and closes.
fn found_in_flight(mutant: Option<Mutant>) -> Vec<String> {
    want(mutant);
    let model = Model::nic(USUAL.model_config((DmaPolicy::AtWork, CompletionPolicy::WholeRing)));
    let mut port = open(&model, 0, USUAL);
    let buf = port.take_free().unwrap();
    let payload = port.pin(buf);
    for _ in 0..3 {
        let header = port.take_free().unwrap();
        port.submit_gather(header, 60, &[Piece { of: &payload, len: 100 }]).unwrap();
    }
    port.flush().unwrap();
    if let Ok(mut buf) = port.unpin(payload) {
        port.bytes_mut(&mut buf).fill(1);
    }
    model.work();
    drop(port);
    want(None);
    let faults = Faults::default();
    faults.look_at(&model);
    faults.all()
}

#[test]
fn payload_unpinned_in_flight_is_noticed_at_dma() {
    assert_eq!(found_in_flight(None), Vec::<String>::new());
    let found = found_in_flight(Some(Mutant::UnpinnedInFlight));
    assert!(found.iter().any(|line| line.contains("ChangedInFlight")), "{found:?}");
}

#[test]
fn payload_left_in_its_slots_at_close_is_freed_twice() {
    let found = found_in_flight(Some(Mutant::PiecesForgotten));
    assert!(found.iter().any(|line| line.contains("FreedTwice")), "{found:?}");
    assert!(found.iter().any(|line| line.contains("were not given back")), "{found:?}");
}
