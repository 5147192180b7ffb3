//! What a test that fails under `check` prints: seen from outside, by running it.

use simoom_core::time::{Duration, Instant};
use simoom_sim::endpoint::{Endpoint, EndpointHost};
use simoom_sim::link::LinkConfig;
use simoom_sim::seed::{Chance, check};
use simoom_sim::world::World;
use std::process::{Command, Output};

/// A protocol with a bug: it numbers what it sends, sends everything twice, and gives up for ever
/// where both frames of a number are lost.
struct Twice {
    sent: u8,
    expects: u8,
}

impl Endpoint for Twice {
    fn on_frame(&mut self, _now: Instant, frame: &[u8]) {
        if frame[14] == self.expects {
            self.expects += 1;
        }
    }

    fn poll(&mut self, now: Instant, out: &mut dyn FnMut(&[u8])) -> Option<Instant> {
        if self.sent == 20 {
            return None;
        }
        let mut frame = [0; 60];
        frame[12..15].copy_from_slice(&[0x88, 0xb5, self.sent]);
        out(&frame);
        out(&frame);
        self.sent += 1;
        Some(now + Duration::from_millis(1))
    }
}

fn all_numbers_arrive() {
    check(0..100, |seed| {
        let mut world = World::new(seed);
        let one = world.add_host(EndpointHost::new(Twice { sent: 0, expects: 0 }));
        let other = world.add_host(EndpointHost::new(Twice { sent: 20, expects: 0 }));
        let link = LinkConfig { loss: Chance::ppm(100_000), ..LinkConfig::default() };
        world.connect((one, 0), (other, 0), link, LinkConfig::default());
        world.run_to_end().unwrap();
        let arrived = world.host(other).endpoint.expects;
        assert!(arrived == 20, "only {arrived} numbers arrived");
    });
}

#[test]
#[ignore = "fails on purpose: the other tests run it"]
fn a_protocol_with_a_bug() {
    all_numbers_arrive();
}

fn run(environment: &[(&str, &str)]) -> (Output, String) {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--ignored", "--exact", "a_protocol_with_a_bug", "--nocapture"]);
    for name in ["SIMOOM_SEED", "SIMOOM_SEEDS", "SIMOOM_FAULTS", "SIMOOM_REDUCE", "RUST_BACKTRACE"]
    {
        command.env_remove(name);
    }
    command.envs(environment.iter().copied());
    let output = command.output().unwrap();
    let text = String::from_utf8(output.stderr.clone()).unwrap();
    (output, text)
}

#[test]
fn a_failure_prints_its_panic_once_and_its_smallest_faults() {
    let (output, text) = run(&[]);
    assert!(!output.status.success());
    // Once by the panic, once in the account of the smallest run.
    assert_eq!(text.matches("panicked at").count(), 1, "{text}");
    assert!(text.contains(" failed; to repeat it:\n    SIMOOM_SEED=v1:"), "{text}");
    assert!(text.contains("faults 2 are enough, none of which can be left out"), "{text}");
    let faults: Vec<_> = text.lines().filter(|line| line.starts_with("    drop frame ")).collect();
    let number = |line: &str| line.split(' ').nth(6).unwrap().parse::<u32>().unwrap();
    let [first, second] = faults[..] else { panic!("{text}") };
    assert_eq!((number(first) % 2, number(second)), (1, number(first) + 1), "both of one number");

    // The line that it prints does it again, with these two alone, and is not reduced any more.
    let line = text.lines().find(|line| line.contains("SIMOOM_FAULTS=")).unwrap();
    let value = |name: &str| {
        let rest = line.split_once(&format!("{name}=")).unwrap().1;
        rest.split(' ').next().unwrap().to_owned()
    };
    let (seed, faults) = (value("SIMOOM_SEED"), value("SIMOOM_FAULTS"));
    let (output, again) = run(&[("SIMOOM_SEED", &seed), ("SIMOOM_FAULTS", &faults)]);
    assert!(!output.status.success() && !again.contains("are enough"), "{again}");
    assert!(again.contains(line), "{again}");
    let lost = (number(first) - 1) / 2;
    assert!(again.contains(&format!("only {lost} numbers arrived")), "{again}");
    // One of the two is not enough.
    let one = faults.split(',').next().unwrap();
    let (output, text) = run(&[("SIMOOM_SEED", &seed), ("SIMOOM_FAULTS", one)]);
    assert!(output.status.success(), "{text}");
}

#[test]
fn a_failure_is_not_reduced_where_the_environment_says_so() {
    let (output, text) = run(&[("SIMOOM_REDUCE", "0")]);
    assert!(!output.status.success() && text.contains("to repeat it"), "{text}");
    assert!(!text.contains("enough") && !text.contains("drop frame"), "{text}");
}
