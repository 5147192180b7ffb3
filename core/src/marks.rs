//! Marks: which rare branches a thread has reached. With the feature `marks`, each is counted; without
//! it [`mark!`] is nothing.
//!
//! A branch that every connection takes has no mark: the straight paths have none.

/// Counts a rare branch.
macro_rules! mark {
    ($name:ident) => {
        #[cfg(feature = "marks")]
        $crate::marks::reached($crate::marks::Mark::$name);
    };
}

pub(crate) use mark;

#[cfg(feature = "marks")]
pub use enabled::{Mark, Marks, take};

#[cfg(feature = "marks")]
pub(crate) use enabled::{dropped, reached};

#[cfg(feature = "marks")]
mod enabled {
    use crate::tcp::Drop;
    use std::cell::Cell;

    macro_rules! table {
        ($(#[doc = $doc:literal] $name:ident;)*) => {
            /// A rare branch.
            #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
            pub enum Mark {
                $(#[doc = $doc] $name,)*
            }

            impl Mark {
                /// How many there are.
                pub const COUNT: usize = Self::ALL.len();

                /// All of them, in the order of a table indexed by `mark as usize`.
                pub const ALL: [Self; [$($doc),*].len()] = [$(Self::$name),*];

                /// Its name.
                pub const fn name(self) -> &'static str {
                    match self { $(Self::$name => stringify!($name),)* }
                }

                /// What happened there.
                pub const fn text(self) -> &'static str {
                    match self { $(Self::$name => $doc,)* }
                }
            }
        };
    }

    table! {
        /// A segment outside the receive window was dropped.
        DropOutsideWindow;
        /// A segment older than TS.Recent was dropped.
        DropPawsFailed;
        /// A segment without the timestamps agreed on was dropped.
        DropTimestampMissing;
        /// An acknowledgement of what was never sent was dropped.
        DropAckBeyondSndNxt;
        /// An acknowledgement from before the largest window was dropped.
        DropAckTooOld;
        /// A segment without ACK was dropped.
        DropAckMissing;
        /// A RST in the window, not at RCV.NXT, was dropped.
        DropBadResetSequence;
        /// A RST in SYN-SENT that acknowledges nothing was dropped.
        DropResetNotForUs;
        /// A SYN for a synchronized connection was dropped.
        DropSynInWindow;
        /// An ACK of another SYN than ours was dropped.
        DropBadHandshakeAck;
        /// Text behind the peer's FIN was dropped.
        DropTextAfterFin;
        /// Neither SYN nor RST came in SYN-SENT.
        DropNotSyn;
        /// A challenge ACK was sent.
        ChallengeSent;
        /// A challenge ACK was held back by the interval.
        ChallengeHeldBack;
        /// The third duplicate ACK began fast recovery.
        FastRetransmit;
        /// Three duplicates of a window that recovery or a timeout had dealt with began none.
        SecondRecoveryRefused;
        /// A further duplicate ACK inflated the window.
        RecoveryInflated;
        /// The first partial ACK of a recovery came.
        PartialAckFirst;
        /// A later partial ACK of a recovery came.
        PartialAckLater;
        /// An ACK of everything ended fast recovery.
        RecoveryEnded;
        /// Slow start after a timeout went by one segment an ACK.
        AckAfterTimeout;
        /// The retransmission timer expired for the first time.
        Timeout;
        /// The retransmission timer expired again, backed off.
        TimeoutAgain;
        /// The retransmission timer expired in fast recovery.
        TimeoutInRecovery;
        /// A SYN or SYN-ACK was sent again by the timer.
        TimeoutOfSyn;
        /// A connection was given up after its retries.
        TimeoutGaveUp;
        /// The timer expired with the peer's window closed: it became a probe.
        TimeoutWithWindowClosed;
        /// The probe timer expired.
        ProbeDue;
        /// A probe was due and there was nothing to probe with.
        ProbeOfNothing;
        /// One byte was sent into a closed window.
        ProbeOfOneByte;
        /// The peer's window opened while it was probed.
        WindowOpenedWhileProbing;
        /// The peer took back window that it had given.
        WindowShrunk;
        /// The peer's window closed.
        WindowClosed;
        /// A window from an older segment was passed over.
        WindowUpdateOld;
        /// A short segment was held back because the window is small.
        SillyWindowAvoided;
        /// The override timer of silly window avoidance was started.
        SillyWindowOverridden;
        /// A short segment was held back by Nagle.
        NagleHeld;
        /// The congestion window was cut after an idle time.
        IdleRestart;
        /// A round-trip time was taken from an echoed timestamp.
        SampleByTimestamp;
        /// An echoed timestamp from before the last transmission was no sample.
        SampleRefused;
        /// RTO went to three seconds for a SYN sent again.
        SynRetransmittedRto;
        /// The initial window was one segment after lost SYNs.
        SynLossWindow;
        /// A timed segment was sent again: its sample was given up.
        TimedAgain;
        /// FIN was sent again by itself.
        FinSentAgain;
        /// FIN had to wait for the peer's window.
        FinWaitedForWindow;
        /// FIN rode on text.
        FinWithText;
        /// FIN came before the text that precedes it.
        FinOutOfOrder;
        /// SYNs crossed.
        SimultaneousOpen;
        /// FINs crossed: CLOSING.
        SimultaneousClose;
        /// LAST-ACK ended.
        LastAckDone;
        /// TIME-WAIT began.
        TimeWaitEntered;
        /// TIME-WAIT began anew: the peer's FIN came again.
        TimeWaitFinAgain;
        /// A SYN took the place of a connection in TIME-WAIT.
        TimeWaitReused;
        /// TIME-WAIT ended early for want of a slot.
        TimeWaitRecycled;
        /// FIN-WAIT-2 gave up on a silent peer.
        FinWait2TimedOut;
        /// RST answered our SYN.
        ConnectionRefused;
        /// A valid RST ended a connection.
        ConnectionReset;
        /// The peer's SYN came again: so did our SYN-ACK.
        SynAgain;
        /// An ACK was taken while our window was closed.
        ZeroWindowAckTaken;
        /// Text that had come in part was trimmed.
        TextTrimmedFront;
        /// Text beyond our window was cut off.
        TextTrimmedBack;
        /// Text came out of order.
        TextOutOfOrder;
        /// Text filled a gap.
        GapFilled;
        /// The delayed ACK was sent by its timer.
        DelayedAckFired;
        /// The application read, and a window update was sent.
        WindowUpdateSent;
        /// One range too many was refused.
        ReassemblyRangeRefused;
        /// Text joined ranges that were apart.
        ReassemblyMerged;
        /// Text was refused for want of a receive buffer.
        ReceivePoolEmpty;
        /// The application left bytes to wait in a receive buffer.
        AppLeftBytes;
        /// A frame with a wrong checksum was dropped.
        BadChecksum;
        /// A malformed frame was dropped.
        Malformed;
        /// A segment of no connection was answered with RST.
        NoConnection;
        /// A SYN found the table of connections full.
        SynTableFull;
        /// A SYN found too many connections half open.
        SynHalfOpenFull;
        /// An answer found the queue of answers full.
        RepliesFull;
        /// A connection waited for a hardware address.
        AddressAskedFor;
        /// A hardware address was asked for again.
        AddressAskedAgain;
        /// A connection failed for want of a hardware address.
        AddressNeverCame;
        /// A connection was aborted with RST.
        AbortSent;
        /// A connection was aborted in a state that sends no RST.
        AbortSilent;
        /// The transmit ring was full.
        TxRingFull;
        /// No buffer was free.
        TxNoBuffer;
        /// A connection made way for others.
        QuantumSpent;
        /// Content was not there yet.
        ContentNotYet;
        /// Content was gone: the connection was reset.
        ContentGone;
        /// Text was copied because the MSS has no class.
        CopiedNoClass;
        /// Text was copied because an ACK fell inside a segment.
        CopiedUnaligned;
        /// Text was copied because the store had no copy.
        CopiedStoreMiss;
        /// The store gave up idle copies.
        StoreStole;
        /// Every copy of a segment was away.
        StoreAllAway;
        /// The store found no buffer for a copy.
        StoreNoBuffer;
        /// The store found no room for a run.
        StoreNoRun;
        /// A further copy of a segment was made.
        StoreCopyAdded;
        /// The source gave other bytes than before: refused.
        StoreSourceChanged;
        /// The straight path found no copy at home in the middle of a run.
        StraightRunBroken;
    }

    /// How often each branch was reached.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub struct Marks([u64; Mark::COUNT]);

    impl Default for Marks {
        fn default() -> Self {
            Self([0; Mark::COUNT])
        }
    }

    impl Marks {
        /// How often this one was.
        pub fn of(&self, mark: Mark) -> u64 {
            self.0[mark as usize]
        }

        /// Adds those of another run.
        pub fn merge(&mut self, other: &Self) {
            for (mine, theirs) in self.0.iter_mut().zip(other.0) {
                *mine += theirs;
            }
        }

        /// Every mark and how often it was reached, in the order of [`Mark::ALL`].
        pub fn iter(&self) -> impl Iterator<Item = (Mark, u64)> {
            Mark::ALL.into_iter().zip(self.0)
        }
    }

    std::thread_local! {
        static REACHED: [Cell<u64>; Mark::COUNT] = const { [const { Cell::new(0) }; Mark::COUNT] };
    }

    pub(crate) fn reached(mark: Mark) {
        REACHED.with(|counts| {
            let count = &counts[mark as usize];
            count.set(count.get() + 1);
        });
    }

    /// The marks `Drop*` stand first, in the order of [`Drop`].
    pub(crate) fn dropped(why: Drop) {
        reached(Mark::ALL[why as usize]);
    }

    /// What this thread has reached since the last call.
    pub fn take() -> Marks {
        REACHED.with(|counts| Marks(core::array::from_fn(|mark| counts[mark].take())))
    }

    #[cfg(test)]
    mod tests {
        use super::*;

        #[test]
        fn the_marks_of_drops_stand_in_the_order_of_the_drops() {
            for drop in Drop::ALL {
                let name = Mark::ALL[drop as usize].name();
                assert_eq!(name, std::format!("Drop{drop:?}"));
            }
        }

        #[test]
        fn marks_are_counted_taken_and_merged() {
            take();
            reached(Mark::Timeout);
            reached(Mark::Timeout);
            dropped(Drop::PawsFailed);
            let mut marks = take();
            assert_eq!((marks.of(Mark::Timeout), marks.of(Mark::DropPawsFailed)), (2, 1));
            assert_eq!(marks.iter().map(|(_, n)| n).sum::<u64>(), 3);
            assert_eq!(take(), Marks::default());
            marks.merge(&marks.clone());
            assert_eq!(marks.of(Mark::Timeout), 4);
        }
    }
}
