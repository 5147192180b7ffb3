//! Every call in every order: a random walk whose every step the watch checks.

use crate::Harness;
use crate::frames::{FRAME_MIN, Random};
use crate::watch::{Checked, Watch};
use simoom_core::port::{BATCH_MAX, TxSync};
use std::collections::VecDeque;

/// Steps of the walk.
const STEPS: usize = 6_000;

pub(crate) fn random_walk_keeps_every_claim<H: Harness>(w: &mut Watch<H>) -> Checked {
    let mut random = Random(4711);
    let longest = usize::from(w.caps.frame_max) - FRAME_MIN + 1;
    let mut hands = Vec::new();
    let mut coming = VecDeque::new();
    for _ in 0..STEPS {
        match random.below(16) {
            0..=4 => {
                if let Some(buf) = w.take()? {
                    let refused = w.submit_new(buf, FRAME_MIN + random.below(longest))?;
                    w.give_all_back(refused)?;
                }
            }
            5 => hands.extend(w.take()?),
            6 if !hands.is_empty() => {
                let buf = hands.swap_remove(random.below(hands.len()));
                w.give_back(buf)?;
            }
            7 if !hands.is_empty() => {
                let buf = hands.swap_remove(random.below(hands.len()));
                hands.extend(w.submit_new(buf, FRAME_MIN + random.below(longest))?);
            }
            8 | 9 => w.sync(TxSync::Push)?,
            10 => w.sync(TxSync::PushAndReclaim)?,
            11 | 12 => hands.extend(w.reclaim(|| random.below(4) == 0)?),
            13 => w.work()?,
            14 if coming.len() < w.rx_room() => {
                let frame = w.new_frame(FRAME_MIN + random.below(longest));
                coming.push_back(frame.clone());
                w.inject(&[frame])?;
            }
            15 => {
                let burst = coming.len().min(1 + random.below(BATCH_MAX));
                let due: Vec<_> = coming.drain(..burst).collect();
                w.receive_exactly(&due)?;
            }
            _ => w.look_at_wire()?,
        }
    }
    w.give_all_back(hands)?;
    w.receive_all(coming.make_contiguous(), BATCH_MAX)?;
    w.all_home()
}
