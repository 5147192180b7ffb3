//! Scripts: packets in, packets out, with times. Our text begins at number 1001, the peer's at
//! 5001. See [`script::Script`].

mod acknowledge;
mod cells;
mod challenge;
mod close;
mod handshake;
mod hostile;
mod link;
mod options;
mod packet;
mod receive_window;
mod recovery;
mod retransmit;
mod script;
mod send_window;

use super::{Burst, Config, SegmentPlan, Tcb};
use crate::time::Instant;
use crate::wire::tcp::TcpFlags;
use alloc::vec::Vec;

/// One segment of text, as a burst of its own.
fn take_one(
    tcb: &mut Tcb,
    config: &Config,
    now: Instant,
    len: u32,
    fin: bool,
    push: bool,
) -> SegmentPlan {
    let Burst { ack, window, timestamps, .. } = tcb.begin_burst(config, now);
    let una = tcb.info(config).snd_una;
    let (seq, flags) = tcb.take_text(config, now, len, fin, push);
    let at = tcb.acked() + u64::from(seq.since(una));
    SegmentPlan { seq, ack, flags, window, timestamps, syn: None, at, len }
}

#[test]
fn a_connection_fits_its_bound() {
    assert_eq!(size_of::<super::Tcb>(), 144);
}

#[test]
fn a_burst_taken_at_once_leaves_the_same_as_its_segments_one_by_one() {
    use script::{Script, plain};
    let mut burst = Script::accepted(plain()).tcb_ref().clone();
    let (config, now) = (plain(), packet::ms(100));
    burst.on_visit();
    assert!(burst.poll_output(&config, now).is_some());
    let mut single = burst.clone();
    burst.begin_burst(&config, now);
    let (first, last_flags) = burst.take_text(&config, now, 9_400, true, true);
    let mut flags = Vec::new();
    for n in 0..10u32 {
        single.begin_burst(&config, now);
        let last = n == 9;
        let len = if last { 400 } else { 1_000 };
        let (seq, bits) = single.take_text(&config, now, len, last, last);
        assert_eq!(seq, first + n * 1_000);
        flags.push(bits);
    }
    assert_eq!(flags.pop(), Some(last_flags));
    assert!(flags.iter().all(|&bits| bits == TcpFlags::ACK));
    assert_eq!(burst, single);
}
