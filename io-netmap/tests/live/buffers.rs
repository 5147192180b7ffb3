//! Every extra buffer comes back to the kernel, however a port ends.

use crate::harness::{KernelLog, LivePort, frame, has_netmap, name, open, other_end, submit};
use simoom_core::port::{GatherFull, Piece, Port, TxSync, Unclaimed};
use simoom_netmap::name::PortName;
use std::panic::{AssertUnwindSafe, catch_unwind, set_hook, take_hook};

/// More than the memory of a pipe or a switch port has.
const ALL: u32 = 200_000;

/// Extra buffers that the kernel has for this port now. Somebody must hold the memory, for what was
/// lost to stay lost.
fn there(port: &PortName) -> u32 {
    let port = open(&port.to_string(), ALL);
    port.caps().buffers
}

fn use_it(port: &mut LivePort, far: &mut LivePort, round: u32) {
    share(port, round);
    for number in 0..round % 40 {
        if number == 20 {
            port.sync_tx(TxSync::PushAndReclaim).unwrap();
            far.flush().unwrap();
            if round.is_multiple_of(2) {
                far.receive(16, |_| Unclaimed::NONE);
                far.flush().unwrap();
            }
            port.sync_tx(TxSync::PushAndReclaim).unwrap();
            port.reclaim(|buf| round.is_multiple_of(3).then_some(buf));
        }
        submit(port, &frame(number, 100));
        // The other way too: what is received lies in the rings.
        submit(far, &frame(number, 200));
    }
    far.sync_tx(TxSync::PushAndReclaim).unwrap();
    far.reclaim(Some);
    far.flush().unwrap();
}

/// One payload in many slots, where the port gathers; its token is lost.
fn share(port: &mut LivePort, round: u32) {
    if port.caps().max_frags < 2 {
        return;
    }
    let Some(buf) = port.take_free() else { return };
    let payload = port.pin(buf);
    for _ in 0..round % 9 {
        let Some(mut header) = port.take_free() else { break };
        port.bytes_mut(&mut header)[..60].copy_from_slice(&frame(round, 60));
        let pieces = [Piece { of: &payload, len: 40 }; 2];
        if let Err(GatherFull(header)) = port.submit_gather(header, 60, &pieces) {
            port.give_back(header);
        }
    }
}

fn hundred_rounds(near: &str) {
    let near = name(near);
    let log = KernelLog::from_now();
    // Another program's port in the same memory, so that nothing is set right by the last to close.
    let far_name = other_end(&near).unwrap();
    let mut far = open(&far_name.to_string(), 256);
    let before = there(&near);
    // The panics below are meant.
    let hook = take_hook();
    set_hook(Box::new(|_| ()));
    for round in 0..100 {
        let mut port = open(&near.to_string(), 64);
        if port.buffers_missing() > 0 {
            set_hook(hook);
            panic!("round {round}: {} buffers are missing", port.buffers_missing());
        }
        use_it(&mut port, &mut far, round);
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
        while far.receive(32, |_| Unclaimed::NONE) > 0 {}
        far.flush().unwrap();
    }
    set_hook(hook);
    let after = there(&near);
    println!("{near}: {before} extra buffers before 100 opens and closes, {after} after");
    assert_eq!(after, before, "{near}");
    drop(far);
    assert_eq!(log.complaints(), 0, "{near}: see the kernel's log");
}

#[test]
fn hundred_opens_and_closes_of_a_pipe_give_every_buffer_back() {
    if has_netmap() {
        hundred_rounds("netmap:leak{1");
        hundred_rounds("netmap:leak}2");
    }
}

/// Each port of a switch has memory of its own, which ends with it: what was not given back shows in
/// the kernel's log, and that the port opens 100 times.
#[test]
fn hundred_opens_and_closes_of_a_switch_port_find_every_buffer() {
    if has_netmap() {
        hundred_rounds("vale8:leak");
    }
}
