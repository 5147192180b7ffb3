//! Faults put between a server and a sound NIC, or between its stack and its application. The
//! simulator's oracles must catch every one, and the same seeds must pass without it.
//!
//! The store holds no token of a buffer that is away, so it can reuse one too early only when it is
//! given the token too early: that is how the first fault is made.

mod faulty;
mod newer_date;
mod world;

use faulty::{Fault, Silent};
use newer_date::NewerDate;
use simoom_core::content::Mode;
use simoom_sim::endpoint::HostFault;
use simoom_sim::oracle::WireViolation;
use simoom_sim::seed::{Seed, check};
use simoom_sim::world::{RunError, Why};
use world::{caps, run, sim_port};

/// Seeds of each test: every policy of reading three times.
const SEEDS: std::ops::Range<u64> = 0..18;

/// A server with this fault below it, behind the simulator's NIC.
fn watched(seed: Seed, fault: Fault) -> Result<(), RunError> {
    watched_in(Mode::CopiesOnDemand, seed, fault)
}

fn watched_in(mode: Mode, seed: Seed, fault: Fault) -> Result<(), RunError> {
    run(seed, (mode, fault), sim_port(seed, mode), |server| server)
}

/// The same behind a device without oracles of its own: what is on the wire has to tell.
fn silent(seed: Seed, fault: Fault) -> Result<(), RunError> {
    silent_in(Mode::CopiesOnDemand, seed, fault)
}

fn silent_in(mode: Mode, seed: Seed, fault: Fault) -> Result<(), RunError> {
    run(seed, (mode, fault), Silent::new(caps(mode)), |server| server)
}

/// A server whose retransmissions show a newer `Date`.
fn newer_date(seed: Seed) -> Result<(), RunError> {
    newer_date_in(Mode::CopiesOnDemand, seed)
}

fn newer_date_in(mode: Mode, seed: Seed) -> Result<(), RunError> {
    run(seed, (mode, Fault::None), sim_port(seed, mode), NewerDate::new)
}

/// What ended each run that did not end well.
fn caught(run: impl Fn(Seed) -> Result<(), RunError>) -> Vec<Why> {
    SEEDS.filter_map(|seed| run(Seed(seed)).err()).map(|error| error.why).collect()
}

/// The NIC saw a buffer misused, before or after the wire saw the consequence.
fn by_nic(why: &Why) -> bool {
    matches!(why, Why::Host(_, HostFault::Nic(_)))
}

/// What left was not what TCP meant to send: a wrong checksum, a byte that changed, a segment of
/// another connection.
fn by_wire(why: &Why) -> bool {
    matches!(why, Why::Wire(..))
}

/// Whether so many runs ended by these oracles and the others ended well. A fault needs an
/// occasion: not every seed has one.
#[track_caller]
fn assert_caught(caught: &[Why], at_least: usize, by: impl Fn(&Why) -> bool) {
    eprintln!("{} of {} seeds", caught.len(), SEEDS.count());
    assert!(caught.len() >= at_least, "{} seeds only: {caught:#?}", caught.len());
    assert!(caught.iter().all(by), "{caught:#?}");
}

#[test]
fn server_without_a_fault_passes() {
    check(SEEDS, |seed| {
        watched(seed, Fault::None).unwrap_or_else(|error| panic!("{error}"));
        silent(seed, Fault::None).unwrap_or_else(|error| panic!("{error}"));
        watched_in(Mode::Gather, seed, Fault::None).unwrap_or_else(|error| panic!("{error}"));
        silent_in(Mode::Gather, seed, Fault::None).unwrap_or_else(|error| panic!("{error}"));
    });
}

#[test]
fn payload_unpinned_while_in_flight_is_caught_by_the_nic() {
    let caught = caught(|seed| watched_in(Mode::Gather, seed, Fault::UnpinsInUse));
    assert_caught(&caught, 6, by_nic);
}

#[test]
fn payload_unpinned_while_in_flight_is_caught_on_the_wire() {
    let caught = caught(|seed| silent_in(Mode::Gather, seed, Fault::UnpinsInUse));
    assert_caught(&caught, 6, by_wire);
}

/// By the NIC where the buffer beside the right one happens to be no payload.
#[test]
fn wrong_piece_is_caught_by_the_nic_or_on_the_wire() {
    let caught = caught(|seed| watched_in(Mode::Gather, seed, Fault::TakesWrongPiece));
    assert_caught(&caught, SEEDS.count(), |why| by_nic(why) || by_wire(why));
}

#[test]
fn wrong_piece_is_caught_on_the_wire() {
    let caught = caught(|seed| silent_in(Mode::Gather, seed, Fault::TakesWrongPiece));
    assert_caught(&caught, SEEDS.count(), by_wire);
}

#[test]
fn shared_payload_changed_after_submit_is_caught_by_the_nic() {
    let caught = caught(|seed| watched_in(Mode::Gather, seed, Fault::ChangesAfterSubmit));
    assert!(caught.iter().any(by_nic));
    assert_caught(&caught, SEEDS.count(), |why| by_nic(why) || by_wire(why));
}

#[test]
fn shared_payload_changed_after_submit_is_caught_on_the_wire() {
    let caught = caught(|seed| silent_in(Mode::Gather, seed, Fault::ChangesAfterSubmit));
    assert_caught(&caught, SEEDS.count(), by_wire);
}

#[test]
fn private_header_that_is_reused_too_early_is_caught() {
    let by_nic_or_wire = |why: &Why| by_nic(why) || by_wire(why);
    assert_caught(
        &caught(|seed| watched_in(Mode::Gather, seed, Fault::ReusesTooEarly)),
        6,
        by_nic_or_wire,
    );
    assert_caught(&caught(|seed| silent_in(Mode::Gather, seed, Fault::ReusesTooEarly)), 6, by_wire);
}

#[test]
fn lost_private_header_is_caught_by_the_census() {
    let by_census = |why: &Why| matches!(why, Why::Host(_, HostFault::BuffersLost { .. }));
    let caught = caught(|seed| watched_in(Mode::Gather, seed, Fault::LosesBuffer));
    assert_caught(&caught, SEEDS.count(), by_census);
}

#[test]
fn store_that_reuses_too_early_is_caught_by_the_nic() {
    let caught = caught(|seed| watched(seed, Fault::ReusesTooEarly));
    assert!(caught.iter().any(by_nic));
    assert_caught(&caught, 6, |why| by_nic(why) || by_wire(why));
}

#[test]
fn store_that_reuses_too_early_is_caught_on_the_wire() {
    assert_caught(&caught(|seed| silent(seed, Fault::ReusesTooEarly)), 6, by_wire);
}

#[test]
fn port_that_reports_completion_too_early_is_caught_by_the_nic() {
    let caught = caught(|seed| watched(seed, Fault::ReportsTooEarly));
    assert!(caught.iter().any(by_nic));
    assert_caught(&caught, 6, |why| by_nic(why) || by_wire(why));
}

#[test]
fn port_that_reports_completion_too_early_is_caught_on_the_wire() {
    assert_caught(&caught(|seed| silent(seed, Fault::ReportsTooEarly)), 6, by_wire);
}

#[test]
fn lost_buffer_is_caught_by_the_census() {
    let by_census = |why: &Why| matches!(why, Why::Host(_, HostFault::BuffersLost { .. }));
    for run in [watched, silent] {
        let caught = caught(|seed| run(seed, Fault::LosesBuffer));
        assert_caught(&caught, SEEDS.count(), by_census);
    }
}

#[test]
fn frame_changed_after_submit_is_caught_by_the_nic() {
    let caught = caught(|seed| watched(seed, Fault::ChangesAfterSubmit));
    assert!(caught.iter().any(by_nic));
    assert_caught(&caught, SEEDS.count(), |why| by_nic(why) || by_wire(why));
}

#[test]
fn frame_changed_after_submit_is_caught_on_the_wire() {
    let caught = caught(|seed| silent(seed, Fault::ChangesAfterSubmit));
    assert_caught(&caught, SEEDS.count(), by_wire);
}

#[test]
fn retransmission_with_a_newer_date_is_caught_by_one_value_a_byte() {
    let by_value = |why: &Why| matches!(why, Why::Wire(_, WireViolation::ByteChanged { .. }));
    assert_caught(&caught(newer_date), 6, by_value);
    assert_caught(&caught(|seed| newer_date_in(Mode::Gather, seed)), 6, by_value);
}
