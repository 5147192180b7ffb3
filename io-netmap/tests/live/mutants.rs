//! The port's faults, one at a time, over a real pipe: which of them `verify` finds there, which the
//! kernel shows when the port closes, and which nothing there can show.

use crate::harness::{KernelLog, LivePort, frame, has_netmap, name, open, other_end, submit};
use simoom_core::port::{Port, TxSync};
use simoom_core::time::Duration;
use simoom_netmap::kernel::Kernel;
use simoom_netmap::mutants::{Mutant, want};
use simoom_port_conformance::verify::{Report, Step, Verifier, VerifyConfig};

const FRAMES: u64 = 5_000;
/// When a run that does not end is given up: in turns, since the machine may be slow.
const TURNS_MAX: u32 = 200_000;
const PAUSE: Duration = Duration::from_micros(50);

/// How a run ended.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Verdict {
    /// Everything came as it was sent.
    Right,
    /// Something did not.
    Wrong(String),
    /// A port was given up, or the run did not end.
    Dead(String),
}

fn judge(report: &Report) -> Verdict {
    match report.findings.first() {
        Some(finding) => Verdict::Wrong(finding.to_string()),
        None if !report.is_right() => Verdict::Wrong("nothing came".into()),
        None if report.missing > 0 => Verdict::Wrong(format!("{} never came", report.missing)),
        None => Verdict::Right,
    }
}

fn verify(a: &mut LivePort, b: &mut LivePort, seed: u64) -> Verdict {
    let config = VerifyConfig { frames: FRAMES, seed, ..VerifyConfig::default() };
    let mut verifier = Verifier::new(&config, a, b.caps()).unwrap();
    for _ in 0..TURNS_MAX {
        let now = a.now();
        let turned = verifier.turn(now, a, b).and_then(|step| {
            a.flush()?;
            b.flush()?;
            Ok(step)
        });
        match turned {
            Ok(Step::Done) => return judge(verifier.report()),
            Ok(Step::Waiting) => a.kernel_mut().pause(PAUSE),
            Ok(Step::Moved) => {}
            Err(error) => return Verdict::Dead(error.to_string()),
        }
    }
    Verdict::Dead("the run does not end".into())
}

/// Both ends with this fault, until they are closed.
fn verified_with(mutant: Option<Mutant>, near: &str, far: &str, seed: u64) -> Verdict {
    want(mutant);
    let (mut a, mut b) = (open(near, 512), open(far, 256));
    let verdict = verify(&mut a, &mut b, seed);
    drop(a);
    drop(b);
    want(None);
    verdict
}

/// Which faults a pipe can show. It hands whole slots over, with or without `NS_BUF_CHANGED`; a slot that
/// the peer gives back early is filled no earlier than the next turn; what is kept back goes with the
/// next turn too; the verifier's peer exchanges no buffers. The last two damage what is left at the end.
const OVER_A_PIPE: [(Option<Mutant>, bool); 11] = [
    (None, false),
    (Some(Mutant::CursorTooFar), true),
    (Some(Mutant::EarlyReclaim), true),
    (Some(Mutant::ReclaimNotForced), true),
    (Some(Mutant::EarlyRelease), false),
    (Some(Mutant::BufChangedMissing), false),
    (Some(Mutant::CursorShort), false),
    (Some(Mutant::ExchangeUnseen), false),
    (Some(Mutant::ExtrasNotRestored), false),
    (Some(Mutant::SlotsForgotten), false),
    (Some(Mutant::SlotNotRefilled), false),
];

#[test]
fn verify_over_a_pipe_finds_each_fault_that_a_pipe_can_show() {
    if !has_netmap() {
        return;
    }
    let mut unlike = Vec::new();
    for (number, (mutant, shows)) in OVER_A_PIPE.into_iter().enumerate() {
        let near = format!("netmap:fault{number}{{1@conf:slots=256");
        let far = format!("netmap:fault{number}}}1@conf:slots=256");
        let verdict = verified_with(mutant, &near, &far, number as u64);
        let mutant = mutant.map_or("none".into(), |mutant| format!("{mutant:?}"));
        println!("a pipe, fault {mutant}: {verdict:?}");
        if shows == (verdict == Verdict::Right) {
            unlike.push(mutant);
        }
    }
    assert!(unlike.is_empty(), "otherwise than the table says: {unlike:?}");
}

/// The same over what the environment names: a NIC shows more than a pipe, and which faults depends on
/// its driver. Only the right code is judged.
#[test]
fn verify_over_what_the_environment_names_finds_nothing_on_the_right_code() {
    let Ok(near) = std::env::var("SIMOOM_NETMAP_PORT") else {
        println!("skipped: SIMOOM_NETMAP_PORT names no port");
        return;
    };
    let far = std::env::var("SIMOOM_NETMAP_FAR").ok();
    let far = far.or_else(|| Some(other_end(&name(&near))?.to_string())).expect("a far end");
    for (number, (mutant, _)) in OVER_A_PIPE.into_iter().enumerate() {
        let verdict = verified_with(mutant, &near, &far, number as u64);
        println!("{near}, fault {mutant:?}: {verdict:?}");
        assert!(mutant.is_some() || verdict == Verdict::Right, "{near}: {verdict:?}");
    }
}

/// Opens one end of a pipe with this fault while the other is held, uses it and closes it. Extra buffers
/// that there were before and after, and what the kernel's log said against it once all was closed.
fn closed_with(mutant: Option<Mutant>, pipe: &str) -> (u32, u32, usize) {
    let all = |near: &str| open(near, 200_000).caps().buffers;
    let (near, far) = (format!("netmap:{pipe}{{1"), format!("netmap:{pipe}}}1"));
    let log = KernelLog::from_now();
    let holder = open(&far, 256);
    let before = all(&near);
    want(mutant);
    let mut port = open(&near, 64);
    for number in 0..20 {
        assert!(submit(&mut port, &frame(number, 100)));
        port.sync_tx(TxSync::Push).unwrap();
    }
    port.flush().unwrap();
    drop(port);
    want(None);
    let after = all(&near);
    drop(holder);
    let complaints = log.complaints();
    println!("closed with {mutant:?}: {before} buffers, then {after}, and {complaints} complaints");
    (before, after, complaints)
}

#[test]
fn kernel_shows_what_a_faulty_close_does_to_its_buffers() {
    if !has_netmap() {
        return;
    }
    let (before, after, complaints) = closed_with(None, "closed0");
    assert_eq!((before, complaints), (after, 0), "the right code");
    let (before, after, _) = closed_with(Some(Mutant::ExtrasNotRestored), "closed1");
    assert!(after < before, "buffers that are not linked are lost");
    // As many are there as before, but some of them twice: the kernel sees it when it takes them.
    let (.., complaints) = closed_with(Some(Mutant::SlotsForgotten), "closed2");
    assert!(complaints > 0, "buffers that lie in slots are freed twice");
}
