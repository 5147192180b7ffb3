//! The checks: each a claim about one thing, in the order in which one would want to read them.

mod gather;
mod pool;
mod receive;
mod transmit;
mod walk;

use crate::Harness;
use crate::watch::{Checked, Watch};

/// A check, run on a fresh port.
pub(crate) struct Check<H> {
    /// What it claims.
    pub(crate) name: &'static str,
    pub(crate) run: fn(&mut Watch<H>) -> Checked,
}

/// Every check.
pub(crate) fn all<H: Harness>() -> Vec<Check<H>> {
    macro_rules! list {
        ($($module:ident::$check:ident),* $(,)?) => {
            vec![$(Check { name: stringify!($check), run: $module::$check }),*]
        };
    }
    list![
        pool::capabilities_make_sense,
        pool::fresh_port_has_every_buffer_and_its_ring_free,
        pool::pool_empties_and_refills,
        pool::buffers_hold_a_frame_and_lie_apart,
        pool::copy_is_exact,
        transmit::frames_leave_in_order_and_unchanged,
        transmit::frames_of_every_length_leave,
        transmit::full_ring_refuses_and_loses_nothing,
        transmit::buffers_away_are_not_handed_out,
        transmit::completion_shows_after_the_device_has_read,
        transmit::everything_comes_home_but_what_an_idle_device_keeps,
        transmit::completion_shows_after_the_hold,
        transmit::small_pool_makes_progress,
        transmit::reclaimed_buffers_go_where_the_caller_says,
        receive::nothing_is_received_where_nothing_came,
        receive::frames_are_received_in_order,
        receive::batches_are_bounded,
        receive::frames_of_every_length_are_received,
        receive::received_frames_are_released,
        gather::parts_leave_as_one_frame,
        gather::parts_take_a_slot_each,
        gather::pinned_payload_stays_while_it_is_used,
        gather::payload_is_unpinned_when_no_use_is_left,
        gather::header_comes_home_after_the_device_has_read,
        gather::many_frames_share_a_payload,
        walk::random_walk_keeps_every_claim,
        walk::random_walk_with_shared_payloads_keeps_every_claim,
    ]
}
