//! The suite that every port passes. Must not know any port but [`vec_port`], its own.
//!
//! A port is whatever implements [`Port`]; a [`Harness`] holds one and the far end of its wire.
//! [`run_suite`] makes harnesses and demands of each the claims of [`Claim`]: which buffer is
//! whose, what leaves, in which order, when completions show. There is no `if` for any port here:
//! what ports may do differently is a field of [`PortCaps`](simoom_core::port::PortCaps).
//!
//! ```
//! use simoom_port_conformance::{run_suite, vec_port::{VecHarness, VecPort}};
//! run_suite(|| VecHarness::new(VecPort::at_once(64)));
//! ```

mod checks;
pub mod fixture;
pub mod frames;
mod same_bytes;
pub mod scripted;
pub mod served;
pub mod vec_port;
pub mod verify;
mod watch;

pub use same_bytes::{Server, same_bytes, same_bytes_in_parts, same_output, sender, server};

use simoom_core::port::{BATCH_MAX, Port};
use std::fmt;

/// A port under test, and the far end of its wire.
pub trait Harness {
    /// The port.
    type Port: Port;

    /// The port. A new harness has a fresh one: every buffer free, nothing received, nothing sent.
    fn port(&self) -> &Self::Port;

    /// The port, to use.
    fn port_mut(&mut self) -> &mut Self::Port;

    /// Puts frames on the wire towards the port, oldest first. On return, or at the latest after
    /// [`Harness::let_device_work`], the port can receive them.
    fn inject(&mut self, frames: &[&[u8]]);

    /// Frames that left through the port since the last call, in their order on the wire, FCS
    /// out. A live wire shows its own frames only: those of [`frames::is_ours`].
    fn wire(&mut self) -> Vec<Vec<u8>>;

    /// Lets the device do all that it would do by itself if nobody called the port for a long
    /// time: every frame made visible by `sync_tx` leaves. A completion may show later.
    fn let_device_work(&mut self);

    /// Frames that may wait to be received, at least 1. The suite injects no more at once, and
    /// never more than twice [`BATCH_MAX`].
    fn rx_room(&self) -> usize {
        2 * BATCH_MAX
    }
}

/// What the suite demands of a port. Each is true of every port at any time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Claim {
    /// Capabilities do not change.
    CapsConstant,
    /// Capabilities make sense: room for a frame, buffers, slots, one fragment at least.
    CapsPlausible,
    /// Every buffer has room for `frame_max` bytes.
    BufferHoldsAFrame,
    /// What is written to one buffer does not show in another, and stays.
    BuffersApart,
    /// `copy` copies the first `len` bytes and leaves the others and the source alone.
    CopyExact,
    /// The pool of a fresh port holds `buffers` buffers.
    PoolStartsFull,
    /// Two tokens in the caller's hands never name one buffer; all are below `buffers`.
    TokensDistinct,
    /// A buffer that the device holds is not handed out.
    AwayIsAway,
    /// `take_free` gives until the pool is empty, and not beyond.
    PoolEmpties,
    /// The census is right: free, caller and device are what they must be after what was called,
    /// add up to `buffers`, and `free` agrees.
    CensusRight,
    /// A frame takes one slot, and a gathered one as many as it has parts: `tx_free` is so many less
    /// after `submit`. Between calls only the device changes it, and only upwards.
    OneSlotAFrame,
    /// A gathered frame takes as many slots as it has parts.
    OneSlotAPart,
    /// `tx_free` is never above `tx_slots`.
    SlotsBounded,
    /// `submit` refuses when `tx_free` is 0, and only then.
    TxFullAtZero,
    /// `submit_gather` refuses when `tx_free` is less than the frame has parts, and only then.
    GatherFullWhenShort,
    /// A refused buffer, or header, comes back: the same buffer with the same bytes.
    TxFullGivesBack,
    /// What is pinned keeps its bytes and is handed out to nobody, whatever is sent of it.
    PinnedStays,
    /// `pin` and `unpin` answer the buffer that they were given.
    PinKeepsTheBuffer,
    /// `unpin` is refused while a frame that has not been reclaimed has a piece of the buffer.
    UnpinRefusedInUse,
    /// `unpin` gives the buffer once every frame with a piece of it has been reclaimed.
    UnpinGivesUnused,
    /// The header of a gathered frame comes home, once, and nothing else does.
    HeaderComesHome,
    /// A gathered frame leaves as its header and its pieces in their order, each with the bytes that
    /// it had when it was submitted.
    PiecesOnTheWire,
    /// `sync_tx` succeeds.
    SyncSucceeds,
    /// Frames leave in the order of submission.
    WireOrder,
    /// Frames leave with the bytes that they had when they were submitted, no fewer and no more.
    WireBytes,
    /// Nothing leaves that was not submitted, and nothing twice.
    WireOnlySubmitted,
    /// Everything submitted and made visible leaves.
    WireComplete,
    /// A completion is reported only after the device has read the frame.
    ReadBeforeReported,
    /// Completions are those of submitted buffers, in the order of submission.
    ReclaimOrder,
    /// `reclaim` answers how many buffers it showed.
    ReclaimCounts,
    /// With `PushAndReclaim` an idle device keeps no more than `tx_hold_idle` buffers, and no more
    /// than so many slots.
    ComesHome,
    /// A completion shows after at most `tx_hold_max` later frames.
    HoldBounded,
    /// `PushAndReclaim` makes progress with a pool of one buffer more than `tx_hold_idle`.
    SmallPoolProgress,
    /// `receive` shows at most `max` and at most `BATCH_MAX` frames.
    ReceiveBounded,
    /// `receive` calls back once, and not at all where nothing came.
    ReceiveOneCall,
    /// `receive` answers how many frames it showed.
    ReceiveCounts,
    /// Frames are shown as they came: oldest first, whole, unchanged, each once.
    ReceiveFaithful,
    /// Frames are released on return: the ring never fills up for good.
    ReceiveReleases,
}

/// A claim that a port broke.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// The check that saw it.
    pub check: &'static str,
    /// What was broken.
    pub claim: Claim,
    /// How.
    pub detail: String,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {:?}: {}", self.check, self.claim, self.detail)
    }
}

/// Runs every check on a fresh harness each, and answers what was broken: the first failure of
/// each check.
pub fn failures<H: Harness>(mut make: impl FnMut() -> H) -> Vec<Failure> {
    let failed = |check: &checks::Check<H>| {
        let mut watch = watch::Watch::new(make());
        let watch::Broken { claim, detail } = (check.run)(&mut watch).err()?;
        Some(Failure { check: check.name, claim, detail })
    };
    checks::all::<H>().iter().filter_map(failed).collect()
}

/// Runs every check on a fresh harness each; panics with the list of what was broken.
///
/// # Panics
/// Where the port breaks a [`Claim`].
pub fn run_suite<H: Harness>(make: impl FnMut() -> H) {
    let failures = failures(make);
    let lines: Vec<_> = failures.iter().map(|f| format!("\n  {f}")).collect();
    assert!(failures.is_empty(), "the port breaks the contract:{}", lines.concat());
}
