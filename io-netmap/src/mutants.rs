//! Faults of the port and of the modelled NIC, to be found by tests: one line goes wrong where this
//! thread says so.
//!
//! Only with the feature `mutants`. Without it `mutant!` is `false` and nothing is left of it.

/// Whether this fault is wanted.
macro_rules! mutant {
    ($name:ident) => {{
        #[cfg(feature = "mutants")]
        let wanted = $crate::mutants::is_wanted($crate::mutants::Mutant::$name);
        #[cfg(not(feature = "mutants"))]
        let wanted = false;
        wanted
    }};
}

pub(crate) use mutant;

#[cfg(feature = "mutants")]
pub(crate) use enabled::is_wanted;
#[cfg(feature = "mutants")]
pub use enabled::{Mutant, want};

#[cfg(feature = "mutants")]
mod enabled {
    use std::cell::Cell;

    /// A fault.
    #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
    pub enum Mutant {
        /// A buffer is put into a slot without `NS_BUF_CHANGED`.
        BufChangedMissing,
        /// The transmit cursor that the kernel is told is one slot too far.
        CursorTooFar,
        /// The transmit cursor that the kernel is told is one slot short.
        CursorShort,
        /// A completion is believed that the ring does not show yet.
        EarlyReclaim,
        /// Received frames are given back to the kernel before they were looked at.
        EarlyRelease,
        /// Closing does not link the extra buffers.
        ExtrasNotRestored,
        /// Closing links the extra buffers as if none were with the device.
        SlotsForgotten,
        /// A completion leaves the sent buffer in the slot.
        SlotNotRefilled,
        /// A buffer that a pipe's peer exchanged is taken for the one that was sent.
        ExchangeUnseen,
        /// A request for completions is a plain doorbell.
        ReclaimNotForced,
        /// The header of a frame of several slots does not say that it goes on.
        MoreFragmentsMissing,
        /// A piece is of the buffer of another token.
        PieceOfAnother,
        /// A piece is a byte short.
        PieceTooShort,
        /// A payload may be written to while frames in the ring have pieces of it.
        UnpinnedInFlight,
        /// A completion does not count the uses of a payload down.
        UseNotCounted,
        /// A piece's slot gets the buffer that the header's slot had.
        KeptOfAnotherSlot,
        /// The header's slot of a frame that is not done gets its own buffer back.
        HeaderBackEarly,
        /// Closing leaves a payload's buffer in every slot that has a piece of it.
        PiecesForgotten,
        /// A buffer is put into a slot of the host's ring without `NS_BUF_CHANGED`.
        HostBufChangedMissing,
        /// A frame for the host is released to the NIC, and goes no further.
        ToHostLost,
        /// A frame of the host's is released to it, and goes no further.
        FromHostLost,
        /// The slot that a frame came from keeps its buffer when the host gets that.
        HostSlotNotRefilled,
        /// A frame of the host's that completes gives the caller a token.
        HostSlotMistaken,
        /// The host gets all free slots.
        HostTakesAll,
        /// The modelled NIC's driver reports frames as soon as it has them, read or not.
        ReportedUnread,
        /// The modelled NIC reads the buffer that the descriptor was programmed with a round before.
        StaleDescriptor,
    }

    thread_local! {
        static WANTED: Cell<Option<Mutant>> = const { Cell::new(None) };
    }

    /// From now on the ports and models of this thread have this fault, or none.
    pub fn want(mutant: Option<Mutant>) {
        WANTED.set(mutant);
    }

    #[inline]
    pub(crate) fn is_wanted(mutant: Mutant) -> bool {
        WANTED.get() == Some(mutant)
    }
}
