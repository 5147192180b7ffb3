//! The port over one end of a datagram socket pair: one read or write is one frame, as on TAP.

use super::*;
use simoom_core::port::{Buf, Port, TxSync};
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
    let count =
        port.receive(32, |batch| seen.extend(batch.iter().map(|f| (f.bytes[0], f.bytes.len()))));
    assert_eq!((count, seen), (2, vec![(1, 60), (4, 1518)]));
    assert_eq!((port.stats().rx_oversize, port.stats().rx_runt), (1, 1));
}
