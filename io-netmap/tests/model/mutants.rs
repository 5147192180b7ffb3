//! Faults of the port that must be found: by the suite, by what the model notes, or by a panic.

use crate::harness::{Faults, NicHarness, PipeHarness, Shape, USUAL};
use simoom_netmap::model::{CompletionPolicy, DmaPolicy};
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
    doorbell_that_forces_nothing_is_caught:
        ReclaimNotForced on found_on_a_nic => "SmallPoolProgress";
}
