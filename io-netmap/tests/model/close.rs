//! Everything is given back, however a port ends; and the next start says what somebody lost.

use crate::harness::{Faults, Shape, USUAL, all_policies, frame, open, submit};
use simoom_core::port::{GatherFull, Piece, Port, TxSync};
use simoom_netmap::model::{CompletionPolicy, DmaPolicy, Model, ModelConfig};
use simoom_netmap::mutants::{Mutant, want};
use simoom_netmap::port::NetmapPort;
use std::panic::{AssertUnwindSafe, catch_unwind};

fn assert_sound(model: &Model) {
    let faults = Faults::default();
    faults.look_at(model);
    assert_eq!(faults.all(), Vec::<String>::new());
}

#[test]
fn hundred_opens_and_closes_give_every_buffer_back() {
    for policies in all_policies() {
        let model = Model::nic(USUAL.model_config(policies));
        // Nothing is set right by the last one to close.
        model.hold(true);
        let free = model.buffers_free();
        for round in 0..100 {
            let mut port = open(&model, 0, USUAL);
            // Some frames are done, some on their way, some not even shown to the kernel; some
            // tokens are in the caller's hands, or lost.
            for number in 0..round % 40 {
                if number == 20 {
                    port.sync_tx(TxSync::PushAndReclaim).unwrap();
                    model.work();
                    port.sync_tx(TxSync::PushAndReclaim).unwrap();
                    port.reclaim(|buf| (round % 3 == 0).then_some(buf));
                }
                let _ = submit(&mut port, &frame(number, 100));
            }
            let _lost = port.take_free();
            match round % 4 {
                0 => drop(port),
                1 => port.close().unwrap(),
                2 => {
                    port.sync_tx(TxSync::Push).unwrap();
                    port.flush().unwrap();
                    drop(port);
                }
                _ => {
                    let panic = catch_unwind(AssertUnwindSafe(move || {
                        let _port = port;
                        panic!("while serving");
                    }));
                    assert!(panic.is_err());
                }
            }
            assert_eq!(model.buffers_free(), free, "{policies:?}, round {round}");
        }
        assert_sound(&model);
    }
}

/// One payload in many slots, as its frames are queued, read, done, or not even shown to the kernel;
/// the payload's token is with the caller, or lost.
#[test]
fn shared_payload_is_given_back_once_however_many_slots_have_it() {
    for policies in all_policies() {
        let model = Model::nic(USUAL.model_config(policies));
        model.hold(true);
        let free = model.buffers_free();
        for round in 0..60 {
            let mut port = open(&model, 0, USUAL);
            let mut payloads = Vec::new();
            for number in 0..3 {
                let mut buf = port.take_free().unwrap();
                port.bytes_mut(&mut buf)[..150].fill(number);
                payloads.push(port.pin(buf));
            }
            for number in 0..round % 20 {
                let header = port.take_free().unwrap();
                let of = |n: usize| Piece { of: &payloads[n % 3], len: 40 };
                let pieces = [of(number), of(number / 2), of(number)];
                let pieces = &pieces[..1 + number % 3];
                match port.submit_gather(header, 14, pieces) {
                    Ok(()) => {}
                    Err(GatherFull(header)) => port.give_back(header),
                }
                match (round + number) % 5 {
                    0 => port.sync_tx(TxSync::PushAndReclaim).unwrap(),
                    1 => model.work(),
                    2 => drop(port.reclaim(Some)),
                    3 => port.flush().unwrap(),
                    _ => {}
                }
            }
            if round % 3 == 0 {
                for pinned in payloads {
                    if let Ok(buf) = port.unpin(pinned) {
                        port.give_back(buf);
                    }
                }
            }
            if round % 2 == 0 {
                drop(port)
            } else {
                port.close().unwrap()
            }
            assert_eq!(model.buffers_free(), free, "{policies:?}, round {round}");
        }
        assert_sound(&model);
    }
}

/// What a dropped port has queued leaves with the bytes that it had, shared ones too: the links of the
/// list lie in other buffers.
#[test]
fn frames_in_flight_at_the_end_keep_their_bytes() {
    let model = Model::nic(USUAL.model_config((DmaPolicy::AtWork, CompletionPolicy::WholeRing)));
    let mut port = open(&model, 0, USUAL);
    let mut buf = port.take_free().unwrap();
    port.bytes_mut(&mut buf)[..100].fill(7);
    let payload = port.pin(buf);
    for number in 0..3 {
        let mut header = port.take_free().unwrap();
        port.bytes_mut(&mut header)[..14].fill(number);
        port.submit_gather(header, 14, &[Piece { of: &payload, len: 100 }]).unwrap();
    }
    port.close().unwrap();
    let mut sent = 0;
    model.take_wire(0, |frame| {
        assert_eq!(frame, [[sent; 14].as_slice(), &[7; 100]].concat());
        sent += 1;
    });
    assert_eq!(sent, 3);
    assert_sound(&model);
}

#[test]
fn closing_lets_what_was_queued_leave() {
    for policies in all_policies() {
        let model = Model::nic(USUAL.model_config(policies));
        let mut port = open(&model, 0, USUAL);
        for number in 0..12 {
            submit(&mut port, &frame(number, 100)).unwrap();
        }
        port.close().unwrap();
        let mut number = 0;
        model.take_wire(0, |bytes| {
            assert_eq!(bytes, frame(number, 100));
            number += 1;
        });
        assert_eq!(number, 12, "{policies:?}");
    }
}

#[test]
fn closing_a_port_whose_interface_is_gone_gives_everything_back_and_says_so() {
    let model = Model::nic(USUAL.model_config((DmaPolicy::AtWork, CompletionPolicy::AtRead)));
    let mut port = open(&model, 0, USUAL);
    for number in 0..7 {
        submit(&mut port, &frame(number, 100)).unwrap();
    }
    model.remove();
    let error = port.close().unwrap_err();
    assert!(error.to_string().contains("is gone"), "{error}");
    assert_sound(&model);
}

/// What a program that was killed does not do.
fn die(model: &Model) {
    want(Some(Mutant::ExtrasNotRestored));
    drop(open(model, 0, USUAL));
    want(None);
}

#[test]
fn next_start_says_how_many_buffers_a_killed_program_lost() {
    let policies = (DmaPolicy::AtWork, CompletionPolicy::AtRead);
    // Room for the rings and twice the extra buffers, less 10.
    let buffers = 16 + 80 + 2 * USUAL.extra - 10;
    let model = Model::nic(ModelConfig { buffers, ..USUAL.model_config(policies) });
    model.hold(true);
    assert_eq!(open(&model, 0, USUAL).buffers_missing(), 0);
    die(&model);
    let port = open(&model, 0, USUAL);
    assert_eq!(port.buffers_missing(), 10);
    assert_eq!(port.caps().buffers, USUAL.extra - 10);
    drop(port);
    // Once nobody has the memory, all is there again.
    model.hold(false);
    assert_eq!(model.buffers_lost(), USUAL.extra);
    assert_eq!(open(&model, 0, USUAL).buffers_missing(), 0);
}

/// While a port has the list, the kernel must not find it: the first bytes of a buffer are a frame's.
#[test]
fn list_is_not_in_reach_of_the_kernel_while_its_buffers_hold_frames() {
    let model = Model::nic(USUAL.model_config((DmaPolicy::AtWork, CompletionPolicy::AtRead)));
    let mut port = open(&model, 0, USUAL);
    let mut taken: Vec<_> = std::iter::from_fn(|| port.take_free()).collect();
    for buf in &mut taken {
        // As links, these lead to buffers of the rings.
        port.bytes_mut(buf)[..4].copy_from_slice(&3u32.to_ne_bytes());
    }
    want(Some(Mutant::ExtrasNotRestored));
    drop(port);
    want(None);
    assert_eq!(model.violations(), []);
}

#[test]
fn fewer_extra_buffers_than_asked_for_are_used_as_far_as_they_go() {
    let policies = (DmaPolicy::Random, CompletionPolicy::Random);
    let model = Model::nic(ModelConfig { extra_max: 9, ..USUAL.model_config(policies) });
    let shape = Shape { extra: 1_000, ..USUAL };
    let port = NetmapPort::over(model.bind(0, 1_000).unwrap(), &shape.port_config()).unwrap();
    assert_eq!((port.caps().buffers, port.free(), port.buffers_missing()), (9, 9, 991));
    drop(port);
    assert_sound(&model);
}
