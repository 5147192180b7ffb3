//! Submission, the wire, and completions.

use crate::Harness;
use crate::frames::FRAME_MIN;
use crate::watch::{Checked, ROUNDS_MAX, Watch, ensure};
use simoom_core::port::{Port, TxSync};

pub(crate) fn frames_leave_in_order_and_unchanged<H: Harness>(w: &mut Watch<H>) -> Checked {
    for round in 0..12 {
        // Bursts of growing length, one doorbell or several.
        for i in 0..=round {
            if w.pooled() == 0 || w.port().tx_free() == 0 {
                w.all_home()?;
            }
            let buf = w.take_one()?;
            let len = (FRAME_MIN + 46 + 7 * i).min(usize::from(w.caps.frame_max));
            let refused = w.submit_new(buf, len)?;
            w.give_all_back(refused)?;
            if round % 3 == i % 3 {
                w.sync(TxSync::Push)?;
            }
        }
        w.all_left()?;
    }
    w.all_home()
}

pub(crate) fn frames_of_every_length_leave<H: Harness>(w: &mut Watch<H>) -> Checked {
    for len in FRAME_MIN..=usize::from(w.caps.frame_max) {
        if w.pooled() == 0 || w.port().tx_free() == 0 {
            w.all_home()?;
        }
        let buf = w.take_one()?;
        let refused = w.submit_new(buf, len)?;
        w.give_all_back(refused)?;
    }
    w.all_home()
}

pub(crate) fn full_ring_refuses_and_loses_nothing<H: Harness>(w: &mut Watch<H>) -> Checked {
    for _ in 0..3 {
        let slots = w.port().tx_free();
        let mut taken = 0;
        while let Some(buf) = w.take()? {
            let Some(refused) = w.submit_new(buf, 60)? else {
                taken += 1;
                continue;
            };
            ensure!(taken == slots, TxFullAtZero, "{slots} slots were free, {taken} were taken");
            // A full ring stays full, whoever asks.
            let again = w.submit_new(refused, 61)?;
            w.give_all_back(again)?;
            break;
        }
        w.all_home()?;
    }
    Ok(())
}

pub(crate) fn buffers_away_are_not_handed_out<H: Harness>(w: &mut Watch<H>) -> Checked {
    for visible in [false, true] {
        for _ in 0..w.pooled().div_ceil(2).min(w.port().tx_free()) {
            let buf = w.take_one()?;
            let refused = w.submit_new(buf, 60)?;
            w.give_all_back(refused)?;
        }
        if visible {
            w.all_left()?;
        }
        // `take` looks at every buffer it gets.
        let taken = w.take_all_but(0)?;
        let beyond = w.take()?;
        ensure!(beyond.is_none(), PoolEmpties, "{beyond:?} came out of an empty pool");
        w.give_all_back(taken)?;
        w.all_home()?;
    }
    Ok(())
}

/// Whatever is reported is overwritten at once, before the device gets a chance to work: frames
/// that had not been read leave with the wrong bytes.
pub(crate) fn completion_shows_after_the_device_has_read<H: Harness>(w: &mut Watch<H>) -> Checked {
    for how in [TxSync::Push, TxSync::PushAndReclaim] {
        for burst in [1, 2, 5, w.caps.tx_slots as usize] {
            for _ in 0..burst {
                if w.pooled() == 0 || w.port().tx_free() == 0 {
                    break;
                }
                let buf = w.take_one()?;
                let refused = w.submit_new(buf, 60)?;
                w.give_all_back(refused)?;
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
    Ok(())
}

pub(crate) fn everything_comes_home_but_what_an_idle_device_keeps<H: Harness>(
    w: &mut Watch<H>,
) -> Checked {
    for burst in [1, 2, 3, w.caps.tx_slots as usize] {
        for _ in 0..burst {
            if w.pooled() == 0 || w.port().tx_free() == 0 {
                break;
            }
            let buf = w.take_one()?;
            let refused = w.submit_new(buf, 60)?;
            w.give_all_back(refused)?;
        }
        w.all_home()?;
    }
    // And once more with nothing new: an idle device stays idle.
    w.all_home()
}

/// One frame, then as many as the device may wait for, one doorbell each and never a forced
/// reclaim. Vacuous where the pool or the ring is smaller than the hold.
pub(crate) fn completion_shows_after_the_hold<H: Harness>(w: &mut Watch<H>) -> Checked {
    let hold = w.caps.tx_hold_max as usize;
    let buf = w.take_one()?;
    let refused = w.submit_new(buf, 60)?;
    w.give_all_back(refused)?;
    w.all_left()?;
    // Some devices tell of what they did at the next doorbell only.
    w.sync(TxSync::Push)?;
    let mut home = w.reclaim_to_pool()?;
    let mut later = 0;
    while home == 0 && later < hold {
        if w.pooled() == 0 || w.port().tx_free() == 0 {
            return Ok(());
        }
        let buf = w.take_one()?;
        let refused = w.submit_new(buf, 60)?;
        w.give_all_back(refused)?;
        later += 1;
        w.all_left()?;
        w.sync(TxSync::Push)?;
        home = w.reclaim_to_pool()?;
    }
    ensure!(home > 0, HoldBounded, "no completion after {later} later frames, {hold} may pass");
    w.all_home()
}

pub(crate) fn small_pool_makes_progress<H: Harness>(w: &mut Watch<H>) -> Checked {
    let small = w.caps.tx_hold_idle as usize + 1;
    let withheld = w.take_all_but(small)?;
    for _ in 0..4 * w.caps.tx_slots.min(64) {
        let mut rounds = 0;
        while w.pooled() == 0 || w.port().tx_free() == 0 {
            let away = w.away();
            ensure!(rounds < ROUNDS_MAX, SmallPoolProgress, "{away} of {small} buffers stay away");
            w.sync(TxSync::PushAndReclaim)?;
            w.work()?;
            w.reclaim_to_pool()?;
            rounds += 1;
        }
        let buf = w.take_one()?;
        let refused = w.submit_new(buf, 60)?;
        w.give_all_back(refused)?;
    }
    w.give_all_back(withheld)?;
    w.all_home()
}

pub(crate) fn reclaimed_buffers_go_where_the_caller_says<H: Harness>(w: &mut Watch<H>) -> Checked {
    let burst = (w.caps.tx_hold_idle as usize + 4).min(w.pooled()).min(w.port().tx_free());
    for period in [1, 2, 3] {
        for _ in 0..burst {
            if w.pooled() == 0 || w.port().tx_free() == 0 {
                break;
            }
            let buf = w.take_one()?;
            let refused = w.submit_new(buf, 60)?;
            w.give_all_back(refused)?;
        }
        w.all_left()?;
        w.sync(TxSync::PushAndReclaim)?;
        w.work()?;
        let mut turn = 0;
        let kept = w.reclaim(|| {
            turn += 1;
            turn % period == 0
        })?;
        w.give_all_back(kept)?;
        w.all_home()?;
    }
    // The pool may get another buffer than the one that came home.
    if w.pooled() < 2 + w.caps.tx_hold_idle as usize {
        return Ok(());
    }
    let spare = w.take_one()?;
    for _ in 0..=w.caps.tx_hold_idle {
        let buf = w.take_one()?;
        let refused = w.submit_new(buf, 60)?;
        w.give_all_back(refused)?;
    }
    w.all_left()?;
    w.sync(TxSync::PushAndReclaim)?;
    w.work()?;
    let hand = w.reclaim_exchanging(spare)?;
    // `take` finds out where the pool and the caller have the same buffer.
    let taken = w.take_all_but(0)?;
    w.give_all_back(taken)?;
    w.give_back(hand)?;
    w.all_home()
}
