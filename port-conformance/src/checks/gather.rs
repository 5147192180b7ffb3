//! Frames of several parts: a header of their own in front of pieces of pinned payload. Vacuous where a
//! frame takes one slot, or the pool has no room for payload and headers at once.

use crate::Harness;
use crate::frames::{FRAME_MIN, POISON};
use crate::watch::{Checked, Watch, ensure};
use simoom_core::port::{Piece, Pinned, Port, TxSync};

/// Whether the port gathers and its pool has so many buffers for payload beside headers.
pub(super) fn has_room_for<H: Harness>(w: &Watch<H>, payloads: usize) -> bool {
    w.parts_max() > 1 && w.pooled() > payloads + w.caps.tx_hold_idle as usize + 1
}

/// Submits a frame of a new header and these pieces, when there is room for it.
pub(super) fn send<H: Harness>(w: &mut Watch<H>, len: usize, pieces: &[Piece<'_>]) -> Checked {
    if w.pooled() == 0 || w.slots() <= pieces.len() {
        w.all_home()?;
    }
    let header = w.take_one()?;
    let refused = w.submit_parts(header, len, pieces)?;
    w.give_all_back(refused)
}

fn send_plain<H: Harness>(w: &mut Watch<H>) -> Checked {
    if w.pooled() == 0 || w.slots() == 0 {
        w.all_home()?;
    }
    let buf = w.take_one()?;
    let refused = w.submit_new(buf, 60)?;
    w.give_all_back(refused)
}

/// Brings every frame with pieces home, with plain frames for what an idle device keeps, and unpins.
pub(super) fn retire<H: Harness>(w: &mut Watch<H>, payloads: Vec<Pinned>) -> Checked {
    w.all_home()?;
    for _ in 0..w.caps.tx_hold_idle {
        send_plain(w)?;
    }
    w.all_home()?;
    for pinned in payloads {
        let unpinned = w.unpin(pinned)?;
        ensure!(unpinned.is_ok(), UnpinGivesUnused, "{unpinned:?}, and every frame came home");
        w.give_all_back(unpinned)?;
    }
    Ok(())
}

/// Bytes that the payload of a frame may have behind a header of `header` bytes.
fn most_behind<H: Harness>(w: &Watch<H>, header: usize) -> usize {
    usize::from(w.caps.frame_max) - header
}

pub(crate) fn parts_leave_as_one_frame<H: Harness>(w: &mut Watch<H>) -> Checked {
    if !has_room_for(w, 2) {
        return Ok(());
    }
    let frame_max = usize::from(w.caps.frame_max);
    let payloads = vec![w.pin_new(frame_max)?, w.pin_new(frame_max)?];
    let [first, second] = &payloads[..] else { unreachable!("two were pinned") };
    for header in [FRAME_MIN, FRAME_MIN + 1, 54, 66] {
        let most = most_behind(w, header);
        for len in [1, 2, 7, most / 2, most] {
            for of in [first, second] {
                send(w, header, &[Piece { of, len: len as u16 }])?;
                if len % 2 == 0 {
                    send_plain(w)?;
                }
                if header % 2 == 0 {
                    w.all_left()?;
                }
            }
        }
        for parts in 3..=w.parts_max() {
            let len = most / (parts - 1);
            let pieces: Vec<_> = (1..parts)
                .map(|n| Piece {
                    of: if n % 2 == 0 { first } else { second },
                    len: (len - n % 2) as u16,
                })
                .collect();
            send(w, header, &pieces)?;
        }
        w.all_left()?;
    }
    retire(w, payloads)
}

pub(crate) fn parts_take_a_slot_each<H: Harness>(w: &mut Watch<H>) -> Checked {
    if !has_room_for(w, 1) {
        return Ok(());
    }
    let payload = w.pin_new(60)?;
    for parts in 2..=w.parts_max() {
        let pieces = vec![Piece { of: &payload, len: 5 }; parts - 1];
        while let Some(header) = w.take()? {
            let Some(refused) = w.submit_parts(header, 30, &pieces)? else { continue };
            // What has fewer parts may still fit: `submit_parts` and `submit` demand it.
            let again = w.submit_parts(refused, 31, &pieces[..1])?;
            w.give_all_back(again)?;
            break;
        }
        while let Some(buf) = w.take()? {
            let Some(refused) = w.submit_new(buf, 60)? else { continue };
            let again = w.submit_parts(refused, 30, &pieces[..1])?;
            w.give_all_back(again)?;
            break;
        }
        w.all_home()?;
    }
    retire(w, vec![payload])
}

/// Whatever else there is in the pool is written to while frames share the payload.
pub(crate) fn pinned_payload_stays_while_it_is_used<H: Harness>(w: &mut Watch<H>) -> Checked {
    if !has_room_for(w, 1) {
        return Ok(());
    }
    let len = usize::from(w.caps.frame_max);
    let payload = w.pin_new(len)?;
    for visible in [false, true] {
        for len in [40, 60] {
            send(w, 30, &[Piece { of: &payload, len }])?;
        }
        if visible {
            w.sync(TxSync::Push)?;
        }
        // `take` looks at every buffer that it gets.
        let mut taken = w.take_all_but(0)?;
        for buf in &mut taken {
            w.port().bytes_mut(buf).fill(POISON);
        }
        w.pinned_stays(&payload)?;
        let beyond = w.take()?;
        ensure!(beyond.is_none(), PoolEmpties, "{beyond:?} came out of an empty pool");
        w.give_all_back(taken)?;
        w.all_home()?;
        w.pinned_stays(&payload)?;
    }
    retire(w, vec![payload])
}

/// Asks for the payload at every stage of the frames that use it. Where it is given, it is overwritten
/// at once, before the device gets a chance to work.
pub(crate) fn payload_is_unpinned_when_no_use_is_left<H: Harness>(w: &mut Watch<H>) -> Checked {
    if !has_room_for(w, 1) {
        return Ok(());
    }
    for how in [TxSync::Push, TxSync::PushAndReclaim] {
        for uses in [1, 2, 3, 7] {
            let mut payload = w.pin_new(60)?;
            for n in 0..uses {
                // A frame may have two pieces of one payload.
                let piece = Piece { of: &payload, len: 40 - n };
                let pieces = vec![piece; (w.parts_max() - 1).min(1 + usize::from(n % 2))];
                send(w, 14, &pieces)?;
                w.reclaim_to_pool()?;
            }
            // Home one by one as far as the device lets them: a use less each time.
            for stage in 0..4 {
                payload = match w.unpin(payload)? {
                    Err(pinned) => pinned,
                    Ok(mut buf) => {
                        w.port().bytes_mut(&mut buf).fill(POISON);
                        w.look_at_wire()?;
                        w.pin(buf)?
                    }
                };
                match stage {
                    0 => w.sync(how)?,
                    1 => w.work()?,
                    _ => drop(w.reclaim_to_pool()?),
                }
            }
            w.all_left()?;
            retire(w, vec![payload])?;
        }
    }
    Ok(())
}

/// A header that is reported is overwritten at once.
pub(crate) fn header_comes_home_after_the_device_has_read<H: Harness>(w: &mut Watch<H>) -> Checked {
    if !has_room_for(w, 1) {
        return Ok(());
    }
    let payload = w.pin_new(60)?;
    for how in [TxSync::Push, TxSync::PushAndReclaim] {
        for burst in [1, 2, 5, w.caps.tx_slots as usize] {
            for _ in 0..burst {
                if w.pooled() == 0 || w.slots() < 2 {
                    break;
                }
                send(w, 60, &[Piece { of: &payload, len: 20 }])?;
                let overwritten = w.reclaim(|| true)?;
                w.give_all_back(overwritten)?;
            }
            w.sync(how)?;
            let overwritten = w.reclaim(|| true)?;
            w.look_at_wire()?;
            w.all_left()?;
            w.give_all_back(overwritten)?;
        }
        w.all_home()?;
    }
    retire(w, vec![payload])
}

/// As many frames at once as the ring takes, each with another length of the same buffer.
pub(crate) fn many_frames_share_a_payload<H: Harness>(w: &mut Watch<H>) -> Checked {
    if !has_room_for(w, 1) {
        return Ok(());
    }
    let len = usize::from(w.caps.frame_max);
    let payload = w.pin_new(len)?;
    for round in 0..3 {
        let mut more = round;
        while w.pooled() > 0 && w.slots() > 1 {
            more = (more * 5 + 3) % (len - FRAME_MIN - 46);
            send(w, FRAME_MIN + 6, &[Piece { of: &payload, len: 40 + more as u16 }])?;
        }
        w.all_left()?;
        w.all_home()?;
    }
    retire(w, vec![payload])
}
