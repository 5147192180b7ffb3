//! Reception.

use crate::Harness;
use crate::frames::FRAME_MIN;
use crate::watch::{Checked, Watch, ensure};
use simoom_core::port::BATCH_MAX;

pub(crate) fn nothing_is_received_where_nothing_came<H: Harness>(w: &mut Watch<H>) -> Checked {
    for max in [0, 1, BATCH_MAX, usize::MAX] {
        // The watch sees the calls; a live wire may bring a frame that is not the suite's.
        let came = w.receive(max)?;
        ensure!(came.is_empty(), ReceiveFaithful, "{} frames came from nowhere", came.len());
    }
    Ok(())
}

pub(crate) fn frames_are_received_in_order<H: Harness>(w: &mut Watch<H>) -> Checked {
    let longest = usize::from(w.caps.frame_max);
    for burst in 1..=w.rx_room() {
        let frames: Vec<_> = (0..burst).map(|i| w.new_frame((60 + 31 * i).min(longest))).collect();
        w.inject(&frames)?;
        w.receive_all(&frames, BATCH_MAX)?;
    }
    Ok(())
}

pub(crate) fn batches_are_bounded<H: Harness>(w: &mut Watch<H>) -> Checked {
    for max in [1, 2, 7, BATCH_MAX - 1, BATCH_MAX, BATCH_MAX + 1, usize::MAX] {
        let frames: Vec<_> = (0..w.rx_room()).map(|_| w.new_frame(60)).collect();
        w.inject(&frames)?;
        let none = w.receive(0)?;
        ensure!(none.is_empty(), ReceiveBounded, "frames shown where none was asked for");
        w.receive_all(&frames, max)?;
    }
    Ok(())
}

pub(crate) fn frames_of_every_length_are_received<H: Harness>(w: &mut Watch<H>) -> Checked {
    let lengths: Vec<_> = (FRAME_MIN..=usize::from(w.caps.frame_max)).collect();
    for lengths in lengths.chunks(w.rx_room().min(BATCH_MAX)) {
        let frames: Vec<_> = lengths.iter().map(|&len| w.new_frame(len)).collect();
        w.inject(&frames)?;
        w.receive_all(&frames, BATCH_MAX)?;
    }
    Ok(())
}

/// Many times what any ring holds, in bursts as long as it can take.
pub(crate) fn received_frames_are_released<H: Harness>(w: &mut Watch<H>) -> Checked {
    for _ in 0..200 {
        let frames: Vec<_> = (0..w.rx_room()).map(|_| w.new_frame(60)).collect();
        w.inject(&frames)?;
        w.receive_all(&frames, BATCH_MAX)?;
    }
    Ok(())
}
