//! The example applications in the simulator: every byte comes back over a link that loses,
//! reorders, doubles and damages.

#[path = "../examples/apps/mod.rs"]
mod apps;

use apps::echo::Echo;
use apps::rpc::{REQUEST_MAX, Rpc};
use apps::simulate;
use simoom_sim::seed::Seed;

fn bytes(len: usize) -> Vec<u8> {
    (0..len as u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8).collect()
}

fn framed(payload: &[u8]) -> Vec<u8> {
    let mut out = (payload.len() as u32).to_be_bytes().to_vec();
    out.extend_from_slice(payload);
    out
}

fn reverse() -> Rpc<impl FnMut(&[u8], &mut Vec<u8>)> {
    Rpc::new(|request: &[u8], answer: &mut Vec<u8>| answer.extend(request.iter().rev()))
}

#[test]
fn echo_gives_back_every_byte() {
    for seed in 0..20 {
        let say = bytes(200_000);
        simulate(Seed(seed), Echo::default(), say.clone(), say)
            .unwrap_or_else(|e| panic!("seed {seed}: {e}"));
    }
}

#[test]
fn rpc_answers_every_request_in_order() {
    // Empty, small, as long as may be, and many at once.
    let lens = [0, 1, 5, 1_460, REQUEST_MAX, 3, 3, 3, 20, REQUEST_MAX, 0];
    let (mut say, mut expect) = (Vec::new(), Vec::new());
    for len in lens.into_iter().cycle().take(110) {
        let request = bytes(len);
        say.extend(framed(&request));
        expect.extend(framed(&request.into_iter().rev().collect::<Vec<_>>()));
    }
    for seed in 0..20 {
        simulate(Seed(seed), reverse(), say.clone(), expect.clone())
            .unwrap_or_else(|e| panic!("seed {seed}: {e}"));
    }
}

#[test]
fn rpc_resets_a_peer_whose_request_is_too_long() {
    let say = framed(&bytes(REQUEST_MAX + 1));
    let error = simulate(Seed(1), reverse(), say, bytes(1)).unwrap_err().to_string();
    assert!(error.contains("Reset"), "{error}");
}

#[test]
fn the_client_notices_a_wrong_byte() {
    let (say, mut expect) = (bytes(50_000), bytes(50_000));
    expect[44_444] ^= 1;
    let error = simulate(Seed(1), Echo::default(), say, expect).unwrap_err().to_string();
    assert!(error.contains("wrong bytes"), "{error}");
}

#[test]
fn the_same_seed_gives_the_same_events() {
    let hash = |seed| {
        let say = bytes(20_000);
        simulate(Seed(seed), Echo::default(), say.clone(), say).unwrap().0
    };
    assert_eq!(hash(3), hash(3));
    assert_ne!(hash(3), hash(4));
}
