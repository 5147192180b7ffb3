//! Faults to be found: one line of the stack goes wrong, now and then, where this thread says so.
//!
//! Only with the feature `mutants`, for tests of the tests. Without it [`mutant!`] is `false` and
//! nothing is left of the hooks.

/// Whether the fault of this name happens at this place, this time.
macro_rules! mutant {
    ($name:ident) => {{
        #[cfg(feature = "mutants")]
        let happens = $crate::mutants::happens($crate::mutants::Mutant::$name);
        #[cfg(not(feature = "mutants"))]
        let happens = false;
        happens
    }};
}

pub(crate) use mutant;

#[cfg(feature = "mutants")]
pub use enabled::{Mutant, activate, happened};

#[cfg(feature = "mutants")]
pub(crate) use enabled::happens;

#[cfg(feature = "mutants")]
mod enabled {
    use std::cell::Cell;

    macro_rules! table {
        ($($(#[doc = $doc:literal])+ $name:ident: every $every:literal;)*) => {
            /// A fault. It happens at every so manieth chance, so that a run gets somewhere before.
            #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
            pub enum Mutant {
                $($(#[doc = $doc])+ $name,)*
            }

            impl Mutant {
                /// All of them.
                pub const ALL: [Self; [$($every),*].len()] = [$(Self::$name),*];

                /// Its name.
                pub const fn name(self) -> &'static str {
                    match self { $(Self::$name => stringify!($name),)* }
                }

                /// What goes wrong.
                pub const fn text(self) -> &'static str {
                    match self { $(Self::$name => concat!($($doc),+),)* }
                }

                const fn every(self) -> u64 {
                    match self { $(Self::$name => $every,)* }
                }
            }
        };
    }

    table! {
        /// Acknowledges one number more than came.
        AckOneMore: every 40;
        /// Acknowledges one number less than came.
        AckOneLess: every 40;
        /// The third duplicate ACK and partial ACKs make nothing go again.
        SkippedRetransmission: every 1;
        /// A loss leaves ssthresh at what was in flight.
        WindowNotHalved: every 1;
        /// A timeout leaves the congestion window as it was.
        WindowKeptAtTimeout: every 1;
        /// Slow start grows by the square of what an ACK says.
        SlowStartSquared: every 1;
        /// The initial window is three times as large as configured.
        InitialWindowTripled: every 1;
        /// A copy that is away is also at home.
        EarlyReuse: every 30;
        /// A buffer that the device has done with is kept by nobody.
        LeakedBuffer: every 100;
        /// The first byte of what is sent again is another.
        ByteChangedOnRetransmission: every 3;
        /// A timeout in a row is as long as the first.
        NoBackoff: every 1;
        /// The retransmission timeout is half of what it should be.
        TimeoutHalved: every 1;
        /// The round-trip time is taken from what was sent twice.
        KarnForgotten: every 1;
        /// An ACK that may wait for text is never sent by itself.
        DelayedAckForgotten: every 1;
        /// The delayed ACK waits for the fourth segment.
        AckEveryFourth: every 1;
        /// What came out of order is acknowledged with delay.
        DuplicateAckDelayed: every 1;
        /// The peer's window counts for nothing.
        ReceiveWindowIgnored: every 1;
        /// The first duplicate ACK is taken for the third.
        DuplicateThresholdOne: every 1;
        /// The echoed timestamp stays where it was.
        StaleTimestampEcho: every 20;
        /// FIN takes its number and is not on the wire.
        FinLost: every 2;
        /// Text is outstanding and no timer runs.
        TimerForgotten: every 50;
        /// The window announced takes back what was promised.
        WindowTakenBack: every 50;
        /// Every suspicious segment is challenged, however often.
        ChallengeUnlimited: every 1;
        /// A segment from before the newest is taken as if it were new.
        PawsForgotten: every 1;
        /// A valid RST is passed over.
        ResetIgnored: every 1;
        /// TIME-WAIT does not answer a FIN that comes again.
        TimeWaitDeaf: every 1;
    }

    std::thread_local! {
        static ACTIVE: Cell<Option<Mutant>> = const { Cell::new(None) };
        static CHANCES: Cell<u64> = const { Cell::new(0) };
        static HAPPENED: Cell<u64> = const { Cell::new(0) };
    }

    /// From now on this fault, or none, happens in every stack of this thread. Counts begin anew.
    pub fn activate(mutant: Option<Mutant>) {
        ACTIVE.set(mutant);
        CHANCES.set(0);
        HAPPENED.set(0);
    }

    /// How often the fault happened since it was activated.
    pub fn happened() -> u64 {
        HAPPENED.get()
    }

    pub(crate) fn happens(mutant: Mutant) -> bool {
        if ACTIVE.get() != Some(mutant) {
            return false;
        }
        let chances = CHANCES.get() + 1;
        CHANCES.set(chances);
        let happens = chances.is_multiple_of(mutant.every());
        HAPPENED.set(HAPPENED.get() + u64::from(happens));
        happens
    }
}
