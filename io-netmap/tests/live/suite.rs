//! The suite that every port passes, and the frames that turn logs determine, over real netmap.

use crate::harness::{TwoEnds, has_netmap, name, other_end};
use simoom_core::port::turn_log::TurnLog;
use simoom_netmap::name::PortName;
use simoom_port_conformance::vec_port::{VecHarness, VecPort};
use simoom_port_conformance::{run_suite, same_bytes};
use std::fs;
use std::path::Path;

/// The logs lie in this program: a virtual machine has no checkout.
macro_rules! logs {
    ($($name:literal),* $(,)?) => {
        [$(($name, include_bytes!(concat!("../../../testvectors/turn-logs/", $name)).as_slice())),*]
    };
}

const LOGS: [(&str, &[u8]); 12] = logs![
    "copies-in-advance.turnlog",
    "copy-mode.turnlog",
    "exchanged-buffers.turnlog",
    "gather-few-buffers.turnlog",
    "gather.turnlog",
    "hostile-wire.turnlog",
    "keep-alive.turnlog",
    "loss-small-ring.turnlog",
    "many-short.turnlog",
    "netmap-pipe.turnlog",
    "netmap-switch.turnlog",
    "netmap-veth.turnlog",
];

#[test]
fn no_turn_log_is_forgotten() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../testvectors/turn-logs");
    // In a virtual machine there is no checkout.
    let Ok(folder) = fs::read_dir(folder) else { return };
    let names = folder.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut logs: Vec<_> = names.filter(|name| name.ends_with(".turnlog")).collect();
    logs.sort();
    assert!(LOGS.iter().map(|(name, _)| *name).eq(logs), "other logs than those tested here");
}

/// Buffers and MTU.
type Shape = (u32, u16);
const SHAPES: [Shape; 4] = [(64, 1_500), (2, 186), (3, 186), (700, 186)];

fn passes(near: &PortName, far: &PortName, shapes: &[Shape]) {
    for &(buffers, mtu) in shapes {
        println!("the suite over {near} with {buffers} buffers, MTU {mtu}");
        run_suite(|| TwoEnds::new(near, far, buffers, mtu));
    }
}

fn same_bytes_over(near: &PortName, far: &PortName) {
    for (log_name, log) in LOGS {
        let log = TurnLog::decode(log).unwrap();
        let plain = same_bytes(&log, &mut VecHarness::new(VecPort::at_once(256))).unwrap();
        let sent = same_bytes(&log, &mut TwoEnds::with_sender(near, far, &log));
        assert_eq!(sent.as_ref(), Ok(&plain), "{log_name} over {near}");
        println!("{log_name} over {near}: {} frames, the same bytes", plain.len());
    }
}

macro_rules! over {
    ($($near:literal, $shapes:expr; $suite:ident, $same:ident;)*) => {$(
        #[test]
        fn $suite() {
            if has_netmap() {
                let near = name($near);
                passes(&near, &other_end(&near).unwrap(), $shapes);
            }
        }

        #[test]
        fn $same() {
            if has_netmap() {
                let near = name($near);
                same_bytes_over(&near, &other_end(&near).unwrap());
            }
        }
    )*};
}

over! {
    // As the kernel makes them: 1,024 slots, which takes a while to fill.
    "netmap:suite{1", &SHAPES[..1];
        port_passes_over_the_masters_end_of_a_pipe, turn_logs_give_the_same_bytes_over_the_masters_end;
    "netmap:suite}2@conf:slots=256", &SHAPES;
        port_passes_over_the_slaves_end_of_a_pipe, turn_logs_give_the_same_bytes_over_the_slaves_end;
    "netmap:small{1@conf:slots=128", &SHAPES;
        port_passes_over_a_pipe_of_short_rings, turn_logs_give_the_same_bytes_over_short_rings;
    "vale7:near@conf:slots=256", &SHAPES;
        port_passes_over_a_switch, turn_logs_give_the_same_bytes_over_a_switch;
}

/// Both, over the port that the environment names.
#[test]
fn port_passes_over_what_the_environment_names() {
    let Ok(near) = std::env::var("SIMOOM_NETMAP_PORT") else {
        println!("skipped: SIMOOM_NETMAP_PORT names no port");
        return;
    };
    assert!(has_netmap(), "SIMOOM_NETMAP_PORT={near}, and there is no netmap");
    let near = name(&near);
    let far = std::env::var("SIMOOM_NETMAP_FAR").ok().map(|far| name(&far));
    let Some(far) = far.or_else(|| other_end(&near)) else {
        panic!("SIMOOM_NETMAP_FAR must name the port at the other end of the cable of {near}");
    };
    passes(&near, &far, &SHAPES);
    same_bytes_over(&near, &far);
}
