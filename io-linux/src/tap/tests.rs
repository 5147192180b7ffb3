//! The port over one end of a datagram socket pair: one read or write is one frame, as on TAP.

use super::*;
use crate::clock::Clock;
use crate::stop::StopFlag;
use simoom_core::port::{Buf, Port, TxSync, Unclaimed};
use simoom_core::time::Duration;
use std::os::unix::net::UnixDatagram;

/// More than a socket pair takes at once.
const FRAMES: u16 = 2000;

fn pair() -> (TapPort, UnixDatagram) {
    let (ours, theirs) = UnixDatagram::pair().unwrap();
    ours.set_nonblocking(true).unwrap();
    theirs.set_nonblocking(true).unwrap();
    let config =
        TapConfig { buffers: FRAMES.into(), tx_slots: FRAMES.into(), ..TapConfig::new("pair") };
    (TapPort::over(ours.into(), &config).unwrap(), theirs)
}

#[test]
fn back_pressure_neither_loses_nor_reorders_and_buffers_are_conserved() {
    let (mut port, theirs) = pair();
    for i in 0..FRAMES {
        let mut buf: Buf = port.take_free().unwrap();
        port.bytes_mut(&mut buf)[58..60].copy_from_slice(&i.to_be_bytes());
        port.submit(buf, 60).unwrap();
    }
    assert_eq!((port.tx_free(), port.census().device), (0, u32::from(FRAMES)));
    let (mut seen, mut frame) = (Vec::new(), [0; 2048]);
    for _ in 0..FRAMES {
        port.sync_tx(TxSync::Push).unwrap();
        port.reclaim(Some);
        while let Ok(len) = theirs.recv(&mut frame) {
            assert_eq!(len, 60);
            seen.push(u16::from_be_bytes([frame[58], frame[59]]));
        }
    }
    assert_eq!(seen, (0..FRAMES).collect::<Vec<u16>>());
    assert!(port.stats().tx_would_block > 0, "the pair was meant to fill up");
    assert_eq!((port.census().free, port.tx_free()), (FRAMES.into(), FRAMES.into()));
}

#[test]
fn receive_shows_frames_in_order_and_drops_what_is_too_long_or_too_short() {
    let (mut port, theirs) = pair();
    theirs.send(&[1; 60]).unwrap();
    theirs.send(&[2; 1600]).unwrap();
    theirs.send(&[3; 5]).unwrap();
    theirs.send(&[4; 1518]).unwrap();
    let mut seen = Vec::new();
    let count = port.receive(32, |batch| {
        seen.extend(batch.iter().map(|f| (f.bytes[0], f.bytes.len())));
        Unclaimed::NONE
    });
    assert_eq!((count, seen), (2, vec![(1, 60), (4, 1518)]));
    assert_eq!((port.stats().rx_oversize, port.stats().rx_runt), (1, 1));
}

#[test]
fn waiting_for_two_ports_ends_at_input_of_either_at_the_time_and_at_the_flag() {
    let (one, its_peer) = pair();
    let (other, other_peer) = pair();
    let mut ports = [one, other];
    let clock = Clock::start();
    let soon = |ms| Some(clock.now() + Duration::from_millis(ms));
    for (peer, at) in [(&other_peer, 1), (&its_peer, 0)] {
        peer.send(&[7; 60]).unwrap();
        let hours = soon(3_600_000);
        assert!(TapPort::advance_two(&mut ports, clock, hours) < hours);
        assert_eq!(
            ports
                .each_mut()
                .map(|port| port.receive(32, |_| Unclaimed::NONE))
                .iter()
                .sum::<usize>(),
            1
        );
        assert_eq!(ports[at].stats().rx_frames, 1);
    }
    let until = soon(5);
    assert!(TapPort::advance_two(&mut ports, clock, until) >= until);

    // What the second port could not write leaves while both are waited for.
    for _ in 0..FRAMES {
        let buf = ports[1].take_free().unwrap();
        ports[1].submit(buf, 60).unwrap();
    }
    ports[1].sync_tx(TxSync::Push).unwrap();
    assert!(ports[1].census().device > 0);
    let mut frame = [0; 2048];
    let mut seen = 0;
    while seen < FRAMES {
        while other_peer.recv(&mut frame).is_ok() {
            seen += 1;
        }
        // Without a time, and without input: that there is room again ends the wait.
        if seen < FRAMES {
            TapPort::advance_two(&mut ports, clock, None).expect("nothing has ended");
            assert!(ports[1].reclaim(Some) > 0);
        }
    }
    assert_eq!(ports[1].census().device, 0);

    let stop = StopFlag::new().unwrap();
    ports[0].set_stop(Some(stop.clone()));
    stop.raise();
    assert_eq!(TapPort::advance_two(&mut ports, clock, None), None);
}
