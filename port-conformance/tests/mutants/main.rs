//! Ports with one fault each. The suite must catch every one, by the claim that is broken, and pass
//! the same port without its fault.

mod mutant;

use mutant::{Fault, Mutant, MutantHarness};
use simoom_port_conformance::{Claim, failures, run_suite};

#[test]
fn port_without_a_fault_passes() {
    run_suite(|| MutantHarness::new(Mutant::new(Fault::None)));
}

/// One test a fault: the suite reports this claim as broken.
macro_rules! caught {
    ($($test:ident: $fault:ident => $claim:ident;)*) => {$(
        #[test]
        fn $test() {
            let failures = failures(|| MutantHarness::new(Mutant::new(Fault::$fault)));
            let caught = failures.iter().any(|failure| failure.claim == Claim::$claim);
            assert!(caught, "{:?} is not among {failures:#?}", Claim::$claim);
        }
    )*};
}

caught! {
    // Who owns a buffer.
    pool_that_starts_short_is_caught: PoolStartsShort => PoolStartsFull;
    token_given_twice_is_caught: TokenTwice => TokensDistinct;
    token_beyond_the_buffers_is_caught: TokenBeyond => TokensDistinct;
    buffer_handed_out_while_away_is_caught: HandsOutAway => AwayIsAway;
    pool_that_hides_its_last_buffer_is_caught: HidesLast => PoolEmpties;
    buffer_lost_when_given_back_is_caught: LosesGivenBack => CensusRight;
    buffer_lost_by_the_device_is_caught: LosesCompletion => ReclaimOrder;
    buffer_lost_when_refused_is_caught: SwallowsTxFull => TxFullAtZero;
    census_that_does_not_add_up_is_caught: CensusOff => CensusRight;
    free_that_disagrees_with_the_census_is_caught: FreeOff => CensusRight;
    returned_completion_that_is_lost_is_caught: LosesReturned => CensusRight;
    kept_completion_that_is_pooled_too_is_caught: PoolsKept => CensusRight;
    completion_pooled_for_another_is_caught: PoolsShownNotReturned => TokensDistinct;
    capabilities_that_drift_are_caught: CapsDrift => CapsConstant;
    capabilities_without_slots_are_caught: NoSlots => CapsPlausible;
    // Bytes.
    short_buffers_are_caught: ShortBuffers => BufferHoldsAFrame;
    overlapping_buffers_are_caught: BuffersOverlap => BuffersApart;
    copy_of_one_byte_too_many_is_caught: CopiesTooMuch => CopyExact;
    copy_of_one_byte_too_few_is_caught: CopiesTooLittle => CopyExact;
    // Slots.
    frame_that_takes_two_slots_is_caught: TwoSlotsAFrame => OneSlotAFrame;
    more_slots_than_the_ring_has_are_caught: SlotTooMany => SlotsBounded;
    refusal_with_a_slot_free_is_caught: RefusesEarly => TxFullAtZero;
    refusal_that_returns_another_buffer_is_caught: RefusesWithAnother => TxFullGivesBack;
    refusal_that_changes_the_bytes_is_caught: RefusesWithOtherBytes => TxFullGivesBack;
    doorbell_that_fails_is_caught: SyncFails => SyncSucceeds;
    // The wire.
    frames_that_change_places_are_caught: SwapsFrames => WireOrder;
    frame_altered_after_submit_is_caught: AltersAfterSubmit => WireBytes;
    frame_cut_short_is_caught: CutsFrames => WireBytes;
    frame_padded_is_caught: PadsFrames => WireBytes;
    frame_that_leaves_twice_is_caught: SendsTwice => WireOnlySubmitted;
    frame_that_never_leaves_is_caught: LosesFrames => WireComplete;
    // Completions.
    completion_before_reading_is_caught: ReportsBeforeReading => ReadBeforeReported;
    completions_out_of_order_are_caught: ReportsReversed => ReclaimOrder;
    completion_reported_twice_is_caught: ReportsTwice => ReclaimOrder;
    wrong_count_of_completions_is_caught: MiscountsCompletions => ReclaimCounts;
    longer_hold_than_promised_is_caught: HoldsLonger => HoldBounded;
    idle_device_that_keeps_more_is_caught: IdleKeepsMore => ComesHome;
    doorbell_that_does_not_force_is_caught: IgnoresPushAndReclaim => SmallPoolProgress;
    // Reception.
    newest_first_is_caught: NewestFirst => ReceiveFaithful;
    frame_received_short_is_caught: ReceivesShort => ReceiveFaithful;
    frame_received_twice_is_caught: ReceivesTwice => ReceiveFaithful;
    frame_received_altered_is_caught: ReceivesAltered => ReceiveFaithful;
    more_than_asked_for_is_caught: IgnoresMax => ReceiveBounded;
    batch_over_the_bound_is_caught: BigBatch => ReceiveBounded;
    two_calls_are_caught: CallsTwice => ReceiveOneCall;
    call_for_nothing_is_caught: CallsForNothing => ReceiveOneCall;
    wrong_count_of_frames_is_caught: MiscountsFrames => ReceiveCounts;
    receive_slots_that_leak_are_caught: LeaksRx => ReceiveReleases;
    // Frames of several parts.
    payload_unpinned_while_in_flight_is_caught: UnpinsInUse => UnpinRefusedInUse;
    use_counted_down_twice_is_caught: CountsDownTwice => UnpinRefusedInUse;
    use_never_counted_down_is_caught: NeverCountsDown => UnpinGivesUnused;
    buffer_exchanged_by_unpin_is_caught: UnpinsAnother => PinKeepsTheBuffer;
    buffer_exchanged_by_pin_is_caught: PinsAnother => PinKeepsTheBuffer;
    pinned_buffer_handed_out_is_caught: HandsOutPinned => PinnedStays;
    pinned_buffer_written_to_is_caught: WritesPinned => PinnedStays;
    header_reused_early_is_caught: ReportsHeaderEarly => ReadBeforeReported;
    payload_reported_for_the_header_is_caught: ReportsPayload => HeaderComesHome;
    wrong_piece_is_caught: TakesWrongPiece => PiecesOnTheWire;
    piece_of_another_payload_is_caught: TakesWrongPayload => PiecesOnTheWire;
    pieces_that_change_places_are_caught: ExchangesPieces => PiecesOnTheWire;
    piece_cut_short_is_caught: CutsLastPiece => PiecesOnTheWire;
    parts_that_share_a_slot_are_caught: OneSlotForAll => OneSlotAPart;
    parts_refused_with_slots_free_are_caught: RefusesPartsEarly => GatherFullWhenShort;
    parts_lost_when_refused_are_caught: SwallowsGatherFull => GatherFullWhenShort;
    refusal_that_returns_another_header_is_caught: RefusesWithAnotherHeader => TxFullGivesBack;
}
