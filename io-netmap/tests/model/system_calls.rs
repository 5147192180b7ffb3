//! System calls a turn: none while received frames wait, one otherwise, one more where the caller ran
//! out of slots or buffers.

use crate::harness::{ModelPort, Shape, USUAL, frame, open, submit};
use simoom_core::port::{Advance, Port, TxSync, Unclaimed};
use simoom_core::time::{Duration, Instant};
use simoom_netmap::model::{CompletionPolicy, DmaPolicy, Model};
use simoom_netmap::port::{NetmapConfig, NetmapPort};

const SHAPE: Shape = Shape { tx_slots: 256, rx_slots: 512, extra: 300, ..USUAL };

fn nic() -> (Model, ModelPort) {
    let model = Model::nic(SHAPE.model_config((DmaPolicy::NextCall, CompletionPolicy::AtRead)));
    let port = open(&model, 0, SHAPE);
    (model, port)
}

/// A turn as a stack takes it: reclaim, receive, answer each frame, ring. Answers how many came.
fn turn(port: &mut ModelPort) -> usize {
    port.reclaim(Some);
    let came = port.receive(32, |_| Unclaimed::NONE);
    for number in 0..came {
        submit(port, &frame(number as u32, 100)).unwrap();
    }
    if came > 0 {
        port.sync_tx(TxSync::Push).unwrap();
    }
    came
}

#[test]
fn busy_turns_make_no_call_and_others_one() {
    let (model, mut port) = nic();
    let mut wake_at = Some(Instant::ZERO);
    for round in 0..50 {
        for number in 0..100 {
            assert!(model.inject(0, &frame(number, 60)));
        }
        // 100 frames are four turns: the first of them waits for nothing.
        for (due, calls) in [(32, 1), (32, 0), (32, 0), (4, 0)] {
            let before = port.stats().system_calls();
            let now = port.advance(wake_at).unwrap();
            assert_eq!(turn(&mut port), due, "round {round}");
            assert_eq!(port.stats().system_calls() - before, calls, "round {round}");
            wake_at = Some(now + Duration::from_millis(1));
        }
    }
    assert_eq!(model.calls(), port.stats().system_calls(), "the port counts what the kernel sees");
    let mut left = 0;
    model.work();
    model.take_wire(0, |_| left += 1);
    // What the last turns queued is sent by the next wait.
    assert_eq!(left, 49 * 100);
    port.advance(wake_at).unwrap();
    model.work();
    model.take_wire(0, |_| left += 1);
    assert_eq!(left, 50 * 100);
}

#[test]
fn idle_turns_make_one_call_each() {
    let (_model, mut port) = nic();
    let mut now = Instant::ZERO;
    for _ in 0..20 {
        let before = port.stats().system_calls();
        let until = now + Duration::from_millis(10);
        now = port.advance(Some(until)).unwrap();
        assert!(now >= until && now < until + Duration::from_millis(1), "{now:?}");
        turn(&mut port);
        assert_eq!(port.stats().system_calls() - before, 1);
    }
}

#[test]
fn frames_do_not_wait_for_more_than_half_a_ring_of_others() {
    let (model, mut port) = nic();
    for number in 0..400 {
        assert!(model.inject(0, &frame(number, 60)));
    }
    port.advance(Some(Instant::ZERO)).unwrap();
    let before = port.stats().system_calls();
    for _ in 0..6 {
        assert_eq!(turn(&mut port), 32);
    }
    // 192 frames of answers, in a ring of 256: pushed at 128.
    assert_eq!(port.stats().system_calls() - before, 1);
    model.work();
    let mut left = 0;
    model.take_wire(0, |_| left += 1);
    assert_eq!(left, 128);
}

#[test]
fn caller_that_ran_out_pays_one_call_more_and_is_not_let_wait() {
    let (model, mut port) = nic();
    while submit(&mut port, &frame(0, 60)).is_ok() {}
    let before = port.stats().system_calls();
    port.sync_tx(TxSync::PushAndReclaim).unwrap();
    assert_eq!(port.stats().system_calls() - before, 1);
    let far = Instant::ZERO + Duration::from_secs(1_000);
    let now = port.advance(Some(far)).unwrap();
    assert!(now < Instant::ZERO + Duration::from_secs(1), "slots are free: {now:?}");
    assert_eq!(port.stats().system_calls() - before, 2);
    assert!(port.reclaim(Some) > 0);
    drop(model);
}

#[test]
fn busy_polling_asks_until_the_time_has_come() {
    let (model, _) = nic();
    let config = NetmapConfig { busy_poll: true, ..SHAPE.port_config() };
    let mut port = NetmapPort::over(model.bind(0, SHAPE.extra).unwrap(), &config).unwrap();
    let until = Instant::ZERO + Duration::from_millis(1);
    assert!(port.advance(Some(until)).unwrap() >= until);
    assert!(port.stats().polls > 100, "{:?}", port.stats());
    assert!(model.inject(0, &frame(1, 60)));
    let before = port.stats().polls;
    port.advance(Some(until + Duration::from_secs(1))).unwrap();
    assert_eq!(port.stats().polls - before, 1);
    assert_eq!(port.receive(32, |_| Unclaimed::NONE), 1);
}

#[test]
fn port_on_which_nothing_can_come_ends() {
    let (_model, mut port) = nic();
    assert_eq!(port.advance(None), None);
    assert_eq!(port.fatal(), None);
}
