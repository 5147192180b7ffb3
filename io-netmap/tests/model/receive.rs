//! Received frames that are not shown, and what is counted for them.

use crate::harness::{Faults, ModelPort, Shape, USUAL, frame, open};
use simoom_core::port::Port;
use simoom_netmap::model::{CompletionPolicy, DmaPolicy, Model, ModelConfig};

fn nic(mtu: u16) -> (Model, ModelPort) {
    let shape = Shape { mtu, ..USUAL };
    let model = Model::nic(shape.model_config((DmaPolicy::AtWork, CompletionPolicy::AtRead)));
    let port = open(&model, 0, shape);
    (model, port)
}

fn receive_all(port: &mut ModelPort, max: usize) -> Vec<Vec<u8>> {
    port.flush().unwrap();
    let mut came = Vec::new();
    for _ in 0..200 {
        port.receive(max, |frames| came.extend(frames.iter().map(|f| f.bytes.to_vec())));
        port.flush().unwrap();
    }
    came
}

#[test]
fn frame_of_several_slots_is_dropped_whole_and_counted_once() {
    for max in [1, 2, 32] {
        let (model, mut port) = nic(1_500);
        let part = |number| frame(number, 700);
        assert!(model.inject(0, &part(0)));
        assert!(model.inject_fragments(0, &[&part(1), &part(2), &part(3)]));
        assert!(model.inject(0, &part(4)));
        assert!(model.inject_fragments(0, &[&part(5), &part(6)]));
        assert!(model.inject_fragments(0, &[&part(7), &part(8)]));
        assert!(model.inject(0, &part(9)));
        assert_eq!(receive_all(&mut port, max), [part(0), part(4), part(9)]);
        assert_eq!((port.stats().rx_fragmented, port.stats().rx_frames), (3, 3));
        // The slots are the kernel's again.
        for number in 10..200 {
            assert!(model.inject(0, &part(number)));
            assert_eq!(receive_all(&mut port, max).len(), 1);
        }
    }
}

/// A slot without a buffer costs the first frame that comes to it, and none in later rounds.
#[test]
fn slot_that_the_driver_gave_no_buffer_gets_one_when_it_is_released() {
    let policies = (DmaPolicy::AtWork, CompletionPolicy::AtRead);
    let config = ModelConfig { rx_slot_forgotten: true, ..USUAL.model_config(policies) };
    let model = Model::nic(config);
    let mut port = open(&model, 0, USUAL);
    let mut came = Vec::new();
    for number in 0..5 * config.rx_slots {
        assert!(model.inject(0, &frame(number, 100)));
        came.append(&mut receive_all(&mut port, 32));
    }
    let last = config.rx_slots - 1;
    let all_but_one = (0..5 * config.rx_slots).filter(|&number| number != last);
    assert_eq!(came, all_but_one.map(|number| frame(number, 100)).collect::<Vec<_>>());
    assert_eq!(port.stats().rx_fragmented, 1);
}

#[test]
fn frames_too_short_or_too_long_are_dropped_and_counted() {
    let (model, mut port) = nic(186);
    for len in [0, 1, 13, 14, 200, 204, 205, 2_048] {
        assert!(model.inject(0, &frame(1, len)));
    }
    let came: Vec<_> = receive_all(&mut port, 32).iter().map(Vec::len).collect();
    assert_eq!(came, [14, 200, 204], "the longest has a tag");
    assert_eq!((port.stats().rx_runt, port.stats().rx_oversize), (3, 2));
}

/// A batch of nothing but dropped frames calls nobody, and ends.
#[test]
fn ring_full_of_frames_that_are_dropped_is_emptied() {
    let (model, mut port) = nic(186);
    for _ in 0..79 {
        assert!(model.inject(0, &frame(1, 1_000)));
    }
    assert!(!model.inject(0, &frame(1, 1_000)), "the ring is full");
    assert_eq!(model.overflows(), 1);
    port.flush().unwrap();
    assert_eq!(port.receive(32, |frames| panic!("{frames:?} was shown")), 0);
    port.flush().unwrap();
    assert!(model.inject(0, &frame(2, 100)));
    assert_eq!(receive_all(&mut port, 32), [frame(2, 100)]);
    assert_eq!(port.stats().rx_oversize, 79);
    drop(port);
    let faults = Faults::default();
    faults.look_at(&model);
    assert_eq!(faults.all(), Vec::<String>::new());
}
