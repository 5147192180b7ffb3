//! Capabilities, the pool, and the bytes of buffers.

use crate::Harness;
use crate::frames::{FRAME_MIN, POISON};
use crate::watch::{Checked, Watch, ensure};
use simoom_core::port::Port;

pub(crate) fn capabilities_make_sense<H: Harness>(w: &mut Watch<H>) -> Checked {
    let caps = w.caps;
    let room = usize::from(caps.frame_max) >= FRAME_MIN;
    ensure!(room, CapsPlausible, "a frame of at most {} bytes", caps.frame_max);
    ensure!(caps.tx_slots > 0, CapsPlausible, "a ring without slots");
    ensure!(caps.max_frags > 0, CapsPlausible, "frames without fragments");
    let gathers = caps.max_frags == 1 || H::Port::GATHERS;
    ensure!(gathers, CapsPlausible, "frames of {} parts, and no way to make them", caps.max_frags);
    let longest = u32::from(caps.max_frags) * (caps.tx_hold_idle + 1);
    let passes = longest <= caps.tx_slots;
    ensure!(passes, CapsPlausible, "no frame fits beside what an idle device keeps: {caps:?}");
    let enough = caps.buffers > caps.tx_hold_idle;
    ensure!(enough, CapsPlausible, "an idle device keeps all {} buffers", caps.buffers);
    let idle = caps.tx_hold_idle <= caps.tx_hold_max;
    ensure!(idle, CapsPlausible, "an idle device keeps more than a busy one: {caps:?}");
    Ok(())
}

pub(crate) fn fresh_port_has_every_buffer_and_its_ring_free<H: Harness>(
    w: &mut Watch<H>,
) -> Checked {
    let (free, caps) = (w.port().free(), w.caps);
    let full = free == caps.buffers as usize;
    ensure!(full, PoolStartsFull, "{free} buffers of {} are free", caps.buffers);
    w.settled()?;
    let held = caps.tx_hold_idle * u32::from(caps.max_frags);
    let (slots, least) = (w.port().tx_free(), caps.tx_slots.saturating_sub(held));
    let least = (least as usize).max(1);
    ensure!(slots >= least, ComesHome, "{slots} slots of a fresh ring are free, not {least}");
    Ok(())
}

pub(crate) fn pool_empties_and_refills<H: Harness>(w: &mut Watch<H>) -> Checked {
    for _ in 0..3 {
        let mut taken = w.take_all_but(0)?;
        for _ in 0..2 {
            let beyond = w.take()?;
            ensure!(beyond.is_none(), PoolEmpties, "{beyond:?} came out of an empty pool");
        }
        // Back in another order, some of them twice round.
        let first = taken.remove(0);
        w.give_back(first)?;
        let again = w.take_one()?;
        w.give_back(again)?;
        taken.reverse();
        w.give_all_back(taken)?;
    }
    Ok(())
}

pub(crate) fn buffers_hold_a_frame_and_lie_apart<H: Harness>(w: &mut Watch<H>) -> Checked {
    let len = usize::from(w.caps.frame_max);
    let mut taken = w.take_all_but(0)?;
    let mut wrote = Vec::new();
    for round in 0..2 {
        for (i, buf) in taken.iter_mut().enumerate() {
            let frame = w.new_frame(len);
            w.write(buf, &frame)?;
            if round == 0 { wrote.push(frame) } else { wrote[i] = frame }
        }
        for (buf, frame) in taken.iter().zip(&wrote) {
            let bytes = w.port().bytes(buf);
            let have = bytes.len();
            ensure!(have >= len, BufferHoldsAFrame, "{have} bytes, a frame has {len}");
            let same = bytes[..len] == frame[..];
            ensure!(same, BuffersApart, "{buf:?} does not hold what was written to it");
        }
        taken.reverse();
        wrote.reverse();
    }
    w.give_all_back(taken)
}

pub(crate) fn copy_is_exact<H: Harness>(w: &mut Watch<H>) -> Checked {
    let frame_max = usize::from(w.caps.frame_max);
    if w.caps.buffers < 2 {
        return Ok(());
    }
    let (mut from, mut to) = (w.take_one()?, w.take_one()?);
    for len in [0, 1, FRAME_MIN, frame_max / 2, frame_max - 1, frame_max] {
        let frame = w.new_frame(frame_max);
        w.write(&mut from, &frame)?;
        w.port().bytes_mut(&mut to).fill(POISON);
        w.port().copy(&from, &mut to, len);
        w.settled()?;
        let same = w.port().bytes(&from)[..frame_max] == frame[..];
        ensure!(same, CopyExact, "copying {len} bytes changed the source");
        let (copied, rest) = w.port().bytes(&to).split_at(len);
        ensure!(copied == &frame[..len], CopyExact, "{len} bytes were not copied");
        let rest = rest.iter().all(|&byte| byte == POISON);
        ensure!(rest, CopyExact, "copying {len} bytes changed bytes beyond them");
    }
    w.give_all_back([from, to])
}
