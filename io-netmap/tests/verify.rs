//! `verify` over the model: nothing is found on the right code, each fault of the port, of the modelled
//! NIC and of the cable is.

use simoom_core::port::{Census, Port};
use simoom_core::time::{Duration, Instant};
use simoom_netmap::model::{CompletionPolicy, DmaPolicy, Model, ModelConfig, ModelKernel};
use simoom_netmap::mutants::{Mutant, want};
use simoom_netmap::port::{NetmapConfig, NetmapPort};
use simoom_port_conformance::verify::{Finding, Report, Seen, Step, Verifier, VerifyConfig};

type Cable = fn(u64, &mut Vec<Vec<u8>>);

/// What a turn takes, and when a run that does not end is given up.
const TURN: Duration = Duration::from_micros(20);
const TURNS_MAX: u64 = 200_000;

fn nic(dma: DmaPolicy, completion: CompletionPolicy) -> ModelConfig {
    let (tx_slots, rx_slots) = (32, 256);
    ModelConfig { tx_slots, rx_slots, dma, completion, ..ModelConfig::default() }
}

fn open(model: &Model, end: u16, buffers: u32) -> NetmapPort<ModelKernel> {
    NetmapPort::over(model.bind(end, buffers).unwrap(), &NetmapConfig::default()).unwrap()
}

fn config(frames: u64) -> VerifyConfig {
    VerifyConfig { frames, patience: Duration::from_millis(5), ..VerifyConfig::default() }
}

/// A NIC, a cable that may do something to what passes (which call it is, the frames), another NIC.
/// Nothing is right in a run that does not end.
fn over_nics(frames: u64, sender: ModelConfig, cable: Cable) -> Report {
    over_nics_with(frames, sender, cable)
}

fn over_nics_with(
    frames: u64,
    sender: ModelConfig,
    mut cable: impl FnMut(u64, &mut Vec<Vec<u8>>),
) -> Report {
    let (near, far) =
        (Model::nic(sender), Model::nic(nic(DmaPolicy::AtDoorbell, CompletionPolicy::AtRead)));
    let (mut a, mut b) = (open(&near, 0, 128), open(&far, 0, 64));
    let mut verifier = Verifier::new(&config(frames), &mut a, b.caps()).unwrap();
    let mut now = Instant::ZERO;
    for call in 0..TURNS_MAX {
        now += TURN;
        // A sender that died of its fault has shown enough.
        let Ok(step) = verifier.turn(now, &mut a, &mut b) else { break };
        if step == Step::Done {
            return verifier.report().clone();
        }
        let _ = a.flush();
        if step == Step::Waiting {
            near.work();
        }
        let mut passing = Vec::new();
        near.take_wire(0, |frame| passing.push(frame.to_vec()));
        cable(call, &mut passing);
        b.flush().unwrap();
        for frame in &passing {
            far.inject(0, frame);
        }
        b.flush().unwrap();
    }
    Report { right: 0, ..verifier.report().clone() }
}

fn over_a_pipe(frames: u64) -> (Report, Census) {
    let sides = ModelConfig { tx_slots: 64, rx_slots: 64, ..ModelConfig::default() };
    let model = Model::pipe(sides);
    let (mut a, mut b) = (open(&model, 0, 128), open(&model, 1, 64));
    let mut verifier = Verifier::new(&config(frames), &mut a, b.caps()).unwrap();
    // The port's clock has run while frames were prepared: no reason to give the first ones up.
    let mut now = Instant::ZERO + Duration::from_secs(7);
    for _ in 0..TURNS_MAX {
        now += TURN;
        if verifier.turn(now, &mut a, &mut b).unwrap() == Step::Done {
            break;
        }
        let _ = a.flush();
        b.flush().unwrap();
    }
    (verifier.report().clone(), a.census())
}

fn with_mutant<T>(mutant: Mutant, run: impl FnOnce() -> T) -> T {
    want(Some(mutant));
    let done = run();
    want(None);
    done
}

fn nothing(_: u64, _: &mut Vec<Vec<u8>>) {}

#[test]
fn nothing_is_found_on_the_right_code_whatever_the_policies() {
    for dma in DmaPolicy::ALL {
        for completion in CompletionPolicy::ALL {
            let report = over_nics(4_000, nic(dma, completion), nothing);
            let Report { submitted, right, wrong, missing, foreign, .. } = report;
            let counts = (submitted, right, wrong, missing, foreign);
            assert_eq!(counts, (4_000, 4_000, 0, 0, 0), "{dma:?} {completion:?}: {report:#?}");
            assert!(report.is_right());
            assert_eq!(report.idle, 1, "the slot at the tail stays: {report:?}");
            let Report { shared, renewed, .. } = report;
            assert!(shared > 200 && renewed > 40, "{shared} shared, {renewed} times renewed");
        }
    }
}

#[test]
fn nothing_is_found_on_a_pipe_and_every_buffer_is_home_but_those_that_idle() {
    let (report, census) = over_a_pipe(20_000);
    assert_eq!((report.shared, report.renewed), (0, 0), "a pipe does not gather");
    assert_eq!((report.right, report.wrong, report.missing), (20_000, 0, 0), "{report:#?}");
    assert_eq!((census.caller, census.device), (0, report.idle));
}

#[test]
fn the_measured_hold_tells_lazy_completions_from_prompt_ones() {
    let hold = |completion| {
        let report = over_nics(4_000, nic(DmaPolicy::AtDoorbell, completion), nothing);
        (report.hold_lazy_max, report.batch_max, report.idle_unforced)
    };
    let (prompt, ..) = hold(CompletionPolicy::AtRead);
    let (half, half_batch, _) = hold(CompletionPolicy::HalfRing);
    let (whole, whole_batch, whole_idle) = hold(CompletionPolicy::WholeRing);
    assert!(prompt <= 8, "two bursts at most: {prompt}");
    assert!((15..24).contains(&half) && half_batch >= 16, "{half} {half_batch}");
    assert_eq!((whole, whole_batch), (31, 31), "a ring of 32 has 31 slots for frames");
    assert!(whole_idle > 0, "what was not forced stays");
}

/// Whether one of the findings is so.
fn has(report: &Report, is: impl Fn(&Finding) -> bool) -> bool {
    report.findings.iter().any(is)
}

#[test]
fn buffers_shown_before_they_were_read_are_found_with_the_later_content() {
    for dma in [DmaPolicy::NextCall, DmaPolicy::AtWork, DmaPolicy::Random] {
        for mutant in [Mutant::ReportedUnread, Mutant::EarlyReclaim] {
            let sender = nic(dma, CompletionPolicy::AtRead);
            let report = with_mutant(mutant, || over_nics(2_000, sender, nothing));
            let early = |finding: &Finding| match finding {
                Finding::WrongBytes { seen: Seen::Later(later), number, .. } => later > number,
                _ => false,
            };
            assert!(has(&report, early), "{mutant:?} {dma:?}: {report:#?}");
        }
    }
}

#[test]
fn faults_of_the_port_and_of_descriptors_are_found() {
    let sender = nic(DmaPolicy::AtWork, CompletionPolicy::HalfRing);
    for mutant in [
        Mutant::BufChangedMissing,
        Mutant::CursorTooFar,
        Mutant::StaleDescriptor,
        Mutant::EarlyRelease,
    ] {
        let report = with_mutant(mutant, || over_nics(2_000, sender, nothing));
        assert!(!report.is_right(), "{mutant:?}: {report:#?}");
    }
    // Only late, not wrong: the next turn's doorbell shows what this one kept back.
    let report = with_mutant(Mutant::CursorShort, || over_nics(2_000, sender, nothing));
    assert_eq!((report.right, report.missing), (2_000, 0));
}

#[test]
fn payload_given_back_while_frames_use_it_is_found_with_the_later_content() {
    for dma in [DmaPolicy::NextCall, DmaPolicy::AtWork, DmaPolicy::Random] {
        let sender = nic(dma, CompletionPolicy::AtRead);
        let report = with_mutant(Mutant::UnpinnedInFlight, || over_nics(2_000, sender, nothing));
        let early = |finding: &Finding| {
            matches!(finding, Finding::WrongBytes { offset: 64.., seen: Seen::Later(_), .. })
        };
        assert!(has(&report, early), "{dma:?}: {report:#?}");
    }
}

#[test]
fn faults_of_frames_of_several_slots_are_found() {
    let sender = nic(DmaPolicy::AtWork, CompletionPolicy::HalfRing);
    for mutant in [
        Mutant::MoreFragmentsMissing,
        Mutant::PieceOfAnother,
        Mutant::PieceTooShort,
        Mutant::UseNotCounted,
    ] {
        let report = with_mutant(mutant, || over_nics(2_000, sender, nothing));
        assert!(!report.is_right(), "{mutant:?}: {report:#?}");
    }
}

#[test]
fn frames_that_a_cable_changes_are_found_with_the_byte() {
    let report =
        over_nics(2_000, nic(DmaPolicy::AtDoorbell, CompletionPolicy::AtRead), |_, frames| {
            for frame in frames.iter_mut().filter(|frame| frame.len() % 64 == 0) {
                frame[40] ^= 1;
            }
        });
    assert!(report.wrong > 10);
    for finding in &report.findings {
        let Finding::WrongBytes { offset: 40, wrong: 1, seen: Seen::Own, .. } = finding else {
            panic!("{finding}")
        };
    }
    let lost_type = |_, frames: &mut Vec<Vec<u8>>| frames.iter_mut().for_each(|f| f[12] ^= 1);
    let sender = nic(DmaPolicy::AtDoorbell, CompletionPolicy::AtRead);
    let report = over_nics(100, sender, lost_type);
    assert_eq!((report.wrong, report.foreign, report.right), (100, 0, 0), "{report:#?}");
}

#[test]
fn frames_swapped_repeated_cut_and_lost_are_told_apart() {
    let sender = nic(DmaPolicy::AtDoorbell, CompletionPolicy::AtRead);
    let swapped = over_nics(2_000, sender, |call, frames| {
        if call % 16 == 0 && frames.len() > 1 {
            frames.swap(0, 1);
        }
    });
    assert!(has(&swapped, |f| matches!(f, Finding::OutOfOrder { .. })), "{swapped:#?}");
    assert_eq!(swapped.missing, 0, "late is not lost");
    let repeated = over_nics(2_000, sender, |call, frames| {
        if call % 16 == 0 && !frames.is_empty() {
            frames.push(frames[0].clone());
        }
    });
    assert!(has(&repeated, |f| matches!(f, Finding::NotSent { .. })), "{repeated:#?}");
    let cut = over_nics(50, sender, |_, frames| frames.iter_mut().for_each(|f| f.truncate(59)));
    assert!(has(&cut, |f| matches!(f, Finding::WrongLength { came: 59, .. })), "{cut:#?}");
    let lost = over_nics(2_000, sender, |call, frames| {
        if call % 16 == 0 {
            frames.pop();
        }
    });
    assert!(lost.missing > 10 && lost.is_right(), "losses are counted: {lost:#?}");
    assert_eq!(lost.right + lost.missing, 2_000);
}

#[test]
fn frames_that_come_after_they_were_given_up_are_late_and_not_out_of_order() {
    // What comes first is kept back for longer than the patience, 250 turns.
    let sender = nic(DmaPolicy::AtDoorbell, CompletionPolicy::AtRead);
    let mut kept = Vec::new();
    let report = over_nics_with(200, sender, |call, frames| {
        kept.append(frames);
        if call >= 400 {
            frames.append(&mut kept);
        }
    });
    assert_eq!((report.right, report.wrong, report.missing), (200, 0, 0), "{report:#?}");
}

#[test]
fn a_cable_that_is_not_plugged_in_is_not_right() {
    let sender = nic(DmaPolicy::AtDoorbell, CompletionPolicy::AtRead);
    let report = over_nics(200, sender, |_, frames| frames.clear());
    assert_eq!((report.right, report.missing, report.wrong), (0, 200, 0));
    assert!(!report.is_right());
}

#[test]
fn frames_of_others_are_counted_and_disturb_nothing() {
    let sender = nic(DmaPolicy::AtDoorbell, CompletionPolicy::AtRead);
    let report = over_nics(500, sender, |_, frames| frames.insert(0, vec![0x11; 80]));
    assert!(report.foreign > 0 && report.is_right(), "{report:#?}");
    assert_eq!(report.right, 500);
}

#[test]
fn a_run_that_is_stopped_ends_with_what_is_on_the_way() {
    let model = Model::pipe(ModelConfig { tx_slots: 64, rx_slots: 64, ..ModelConfig::default() });
    let (mut a, mut b) = (open(&model, 0, 128), open(&model, 1, 64));
    let mut verifier = Verifier::new(&config(1_000_000), &mut a, b.caps()).unwrap();
    let mut now = Instant::ZERO;
    for turn in 0.. {
        now += TURN;
        if turn == 500 {
            verifier.stop();
        }
        if verifier.turn(now, &mut a, &mut b).unwrap() == Step::Done {
            break;
        }
        a.flush().unwrap();
        b.flush().unwrap();
        assert!(turn < TURNS_MAX);
    }
    let report = verifier.report();
    assert!(report.submitted > 100 && report.right == report.submitted, "{report:?}");
    assert_eq!(a.census().caller, 0);
}
