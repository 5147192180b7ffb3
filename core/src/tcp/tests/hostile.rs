//! Random segments, deadlines and calls in every state: no panic, no broken invariant, nothing
//! beyond the peer's window.

use super::packet::*;
use super::script::*;
use crate::tcp::{Config, State};
use proptest::prelude::*;

const STATES: [State; 9] = [
    State::SynSent,
    State::SynReceived,
    State::Established,
    State::FinWait1,
    State::FinWait2,
    State::CloseWait,
    State::Closing,
    State::LastAck,
    State::TimeWait,
];

#[derive(Clone, Debug)]
enum Step {
    /// Flags; number and acknowledgement relative to what would be right; window; bytes of text.
    Segment {
        flags: u8,
        seq: i32,
        ack: i32,
        window: u16,
        len: u32,
        stamps: Option<(u32, u32)>,
    },
    Pass(u64),
    Write(u64),
    Read,
    Close,
}

fn near() -> impl Strategy<Value = i32> {
    prop_oneof![
        6 => Just(0),
        6 => -3i32..4,
        3 => -3_000i32..3_000,
        1 => any::<i32>(),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    let flags = prop_oneof![
        8 => Just(0x10u8),
        3 => Just(0x11u8),
        1 => any::<u8>(),
        2 => (0u8..64).prop_map(|bits| bits & !0x04),
    ];
    let window = prop_oneof![2 => Just(0u16), 1 => 0u16..2_000, 4 => any::<u16>()];
    let len = prop_oneof![4 => Just(0u32), 2 => 1u32..3, 4 => 0u32..1_500, 1 => 0u32..20_000];
    let stamps = prop_oneof![3 => Just(None), 1 => any::<(u32, u32)>().prop_map(Some)];
    prop_oneof![
        12 => (flags, near(), near(), window, len, stamps).prop_map(
            |(flags, seq, ack, window, len, stamps)| {
                Step::Segment { flags, seq, ack, window, len, stamps }
            }
        ),
        4 => (0u64..3_000).prop_map(Step::Pass),
        2 => (0u64..20_000).prop_map(Step::Write),
        1 => Just(Step::Read),
        1 => Just(Step::Close),
    ]
}

fn run(p: &mut Script, steps: &[Step]) {
    for step in steps {
        if p.is_over() {
            return;
        }
        match *step {
            Step::Segment { flags, seq, ack, window, len, stamps } => {
                p.recv_near(flags, seq, ack, window, len, stamps);
            }
            Step::Pass(millis) => {
                p.pass(millis);
            }
            Step::Write(bytes) => {
                p.write(bytes);
            }
            Step::Read => {
                p.read_all();
            }
            Step::Close => {
                p.close();
            }
        }
        p.take_sent();
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 600, ..ProptestConfig::default() })]

    #[test]
    fn random_segments_break_nothing(
        state in 0usize..STATES.len(),
        reads in any::<bool>(),
        steps in prop::collection::vec(step(), 1..60),
    ) {
        let mut p = Script::in_state(STATES[state]);
        if !reads {
            p.stop_reading();
        }
        run(&mut p, &steps);
    }

    #[test]
    fn random_segments_break_nothing_with_options_agreed_on(
        scale in 0u8..16,
        mss in any::<u16>(),
        nagle in any::<bool>(),
        receive_window in prop_oneof![Just(1u32), 1u32..3_000, Just(1 << 20)],
        steps in prop::collection::vec(step(), 1..60),
    ) {
        let config = Config {
            timestamps: true,
            window_scaling: true,
            nagle,
            receive_window,
            ..plain()
        };
        let mut p = Script::passive(config, syn(IRS).mss(mss).scale(scale).timestamps(1, 0));
        p.recv(ack(1_001));
        p.take_sent();
        run(&mut p, &steps);
    }
}
