//! Received frames that are not shown, and what is counted for them.

use crate::harness::{Faults, ModelPort, Shape, USUAL, frame, open};
use simoom_core::port::{Advance, Port, Unclaimed};
use simoom_core::time::Duration;
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
        port.receive(max, |frames| {
            came.extend(frames.iter().map(|f| f.bytes.to_vec()));
            Unclaimed::NONE
        });
        port.flush().unwrap();
    }
    came
}

/// The bytes of several parts in one piece.
fn whole(parts: &[Vec<u8>]) -> Vec<u8> {
    parts.concat()
}

fn slices(parts: &[Vec<u8>]) -> Vec<&[u8]> {
    parts.iter().map(Vec::as_slice).collect()
}

#[test]
fn frame_of_several_slots_is_joined_as_far_as_one_slot_may_be_long() {
    for max in [1, 2, 32] {
        let (model, mut port) = nic(1_500);
        let mut due = Vec::new();
        for parts in [
            vec![100],
            vec![60, 1_458],
            vec![1, 13],
            vec![14, 0],
            vec![1_504, 14],
            vec![759, 759],
            vec![23; 64],
            vec![100],
        ] {
            let parts: Vec<_> = (1..).zip(parts).map(|(n, len)| frame(n, len)).collect();
            assert!(model.inject_fragments(0, &slices(&parts)));
            due.push(whole(&parts));
            port.flush().unwrap();
            if model.overflows() == 0 && due.len() % 4 == 0 {
                let came = receive_all(&mut port, max);
                assert!(came == due[due.len() - 4..], "{max} at once");
            }
        }
        assert_eq!((port.stats().rx_joined, port.stats().rx_frames), (6, 8));
        assert_eq!(port.stats().rx_fragmented, 0);
    }
}

#[test]
fn frame_of_several_slots_that_is_too_long_is_dropped_whole_and_counted_once() {
    for max in [1, 2, 32] {
        let (model, mut port) = nic(1_500);
        let part = |number| frame(number, 760);
        assert!(model.inject(0, &part(0)));
        assert!(model.inject_fragments(0, &[&part(1), &part(2), &part(3)]));
        assert!(model.inject(0, &part(4)));
        assert!(model.inject_fragments(0, &[&part(5), &part(6)]));
        assert!(model.inject_fragments(0, &[&part(7), &part(8)]));
        assert!(model.inject(0, &part(9)));
        assert!(receive_all(&mut port, max) == [part(0), part(4), part(9)]);
        assert_eq!((port.stats().rx_fragmented, port.stats().rx_frames), (3, 3));
        // The slots are the kernel's again.
        for number in 10..200 {
            assert!(model.inject(0, &part(number)));
            assert_eq!(receive_all(&mut port, max).len(), 1);
        }
    }
}

/// A slot without a buffer is shown as the beginning of the next frame, in the first round alone.
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
    let all = (0..5 * config.rx_slots).map(|number| frame(number, 100));
    assert_eq!(came, all.collect::<Vec<_>>());
    assert_eq!((port.stats().rx_joined, port.stats().rx_fragmented), (1, 0));
}

#[test]
fn batch_of_joined_frames_shows_each_with_its_own_bytes() {
    let shape = Shape { rx_slots: 256, ..USUAL };
    let model = Model::nic(shape.model_config((DmaPolicy::AtWork, CompletionPolicy::AtRead)));
    let mut port = open(&model, 0, shape);
    let parts = |number| [frame(number, 60), frame(number + 1_000, 140)];
    for number in 0..70 {
        assert!(model.inject_fragments(0, &slices(&parts(number))));
    }
    port.flush().unwrap();
    let mut came = Vec::new();
    for most in [32, 32, 6, 0] {
        let count = port.receive(100, |frames| {
            came.extend(frames.iter().map(|f| f.bytes.to_vec()));
            Unclaimed::NONE
        });
        assert_eq!(count, most);
        port.flush().unwrap();
    }
    assert!(came.iter().zip(0..).all(|(frame, number)| *frame == whole(&parts(number))));
}

/// Some drivers show each descriptor as it is filled. Nobody spins meanwhile: a wait lets time pass, and
/// ends with the rest of the frame.
#[test]
fn frame_whose_last_slot_has_not_come_waits_in_the_ring() {
    let (model, mut port) = nic(1_500);
    let parts = [frame(1, 100), frame(2, 200), frame(3, 300)];
    assert!(model.inject(0, &frame(7, 80)));
    assert!(model.inject_beginning(0, &[&parts[0]]));
    assert_eq!(receive_all(&mut port, 32), [frame(7, 80)]);
    assert!(model.inject_beginning(0, &[&parts[1]]));
    assert!(receive_all(&mut port, 32).is_empty());
    let (polls, busy) = (port.stats().polls, port.stats().busy);
    let before = port.now();
    let now = port.advance(Some(before + Duration::from_millis(5))).unwrap();
    assert!(now >= before + Duration::from_millis(5), "it waited");
    assert!(port.stats().polls - polls < 4 && port.stats().busy == busy);
    assert!(model.inject_fragments(0, &[&parts[2]]));
    port.advance(Some(now + Duration::from_secs(1))).unwrap();
    assert!(port.now() < now + Duration::from_millis(100), "the rest woke it up");
    assert!(receive_all(&mut port, 32) == [whole(&parts)]);
    assert_eq!(port.stats().rx_joined, 1);
    drop(port);
    let faults = Faults::default();
    faults.look_at(&model);
    assert_eq!(faults.all(), Vec::<String>::new());
}

/// A frame that has more slots than any frame may, or than the ring can show, is not waited for.
#[test]
fn frame_without_end_does_not_stop_the_ring() {
    for (rx_slots, slots) in [(256, 200), (16, 15)] {
        let shape = Shape { rx_slots, ..USUAL };
        let model = Model::nic(shape.model_config((DmaPolicy::AtWork, CompletionPolicy::AtRead)));
        let mut port = open(&model, 0, shape);
        for _ in 0..slots {
            assert!(model.inject_beginning(0, &[&[1]]));
        }
        assert!(receive_all(&mut port, 32).is_empty());
        assert!(model.inject_fragments(0, &[&[2]]));
        assert!(model.inject(0, &frame(9, 100)));
        assert_eq!(receive_all(&mut port, 32), [frame(9, 100)]);
        assert_eq!(port.stats().rx_fragmented, 1);
    }
}

#[test]
fn joined_frame_shorter_than_a_header_is_a_runt() {
    let (model, mut port) = nic(1_500);
    assert!(model.inject_fragments(0, &[&[1; 6], &[2; 7]]));
    assert!(model.inject_fragments(0, &[&[], &[]]));
    assert!(receive_all(&mut port, 32).is_empty());
    assert_eq!((port.stats().rx_runt, port.stats().rx_fragmented), (2, 0));
}

/// More frames that are dropped than a batch has room for.
#[test]
fn batch_of_nothing_but_frames_too_long_is_dropped() {
    let (model, mut port) = nic(186);
    for _ in 0..39 {
        assert!(model.inject_fragments(0, &[&[1; 150], &[2; 150]]));
    }
    assert!(receive_all(&mut port, 32).is_empty());
    assert_eq!(port.stats().rx_fragmented, 39);
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
