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
    assert_eq!(size_of::<super::Tcb>(), 176);
}
