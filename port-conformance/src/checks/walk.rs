//! Every call in every order: a random walk whose every step the watch checks.

use super::gather::{has_room_for, retire};
use crate::Harness;
use crate::frames::{FRAME_MIN, POISON, Random};
use crate::watch::{Checked, Watch};
use simoom_core::port::{BATCH_MAX, Piece, Pinned, Port, TxSync};
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

/// Payloads that are pinned at once.
const PAYLOADS: usize = 3;

pub(crate) fn random_walk_with_shared_payloads_keeps_every_claim<H: Harness>(
    w: &mut Watch<H>,
) -> Checked {
    if !has_room_for(w, PAYLOADS) {
        return Ok(());
    }
    let mut random = Random(1147);
    let frame_max = usize::from(w.caps.frame_max);
    let mut payloads: Vec<Pinned> = Vec::new();
    for _ in 0..STEPS {
        match random.below(16) {
            0..=5 if !payloads.is_empty() => {
                if let Some(header) = w.take()? {
                    let parts = 2 + random.below(w.parts_max() - 1);
                    let header_len = FRAME_MIN + random.below((frame_max - FRAME_MIN) / 2);
                    let most = (frame_max - header_len) / (parts - 1);
                    let pieces: Vec<_> = (1..parts)
                        .map(|_| {
                            let len = 1 + random.below(most);
                            let of = &payloads[random.below(payloads.len())];
                            Piece { of, len: len as u16 }
                        })
                        .collect();
                    let refused = w.submit_parts(header, header_len, &pieces)?;
                    w.give_all_back(refused)?;
                }
            }
            6 => {
                if let Some(buf) = w.take()? {
                    let refused = w.submit_new(buf, FRAME_MIN + random.below(frame_max / 2))?;
                    w.give_all_back(refused)?;
                }
            }
            7 if payloads.len() < PAYLOADS && w.pooled() > 0 => {
                payloads.push(w.pin_new(frame_max)?);
            }
            8 | 9 if !payloads.is_empty() => {
                let payload = payloads.swap_remove(random.below(payloads.len()));
                match w.unpin(payload)? {
                    // The caller's again, to write.
                    Ok(mut buf) => {
                        w.port().bytes_mut(&mut buf).fill(POISON);
                        w.give_back(buf)?;
                    }
                    Err(in_use) => payloads.push(in_use),
                }
            }
            10 => w.sync(TxSync::Push)?,
            11 => w.sync(TxSync::PushAndReclaim)?,
            12 | 13 => {
                let kept = w.reclaim(|| random.below(4) == 0)?;
                w.give_all_back(kept)?;
            }
            14 => w.work()?,
            _ => w.look_at_wire()?,
        }
    }
    retire(w, payloads)
}
