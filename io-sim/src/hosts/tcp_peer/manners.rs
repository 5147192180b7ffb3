//! How a peer behaves: what it announces, when it acknowledges, how fast it reads, how it closes.
//!
//! Plain numbers, as a scenario file has them. The defaults are the ideal receiver's.

use simoom_core::time::Duration;

/// When received text is acknowledged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Acknowledging {
    /// RFC 5681 §4.2: with every `every`-th segment of text, or `delay` after the first that was not
    /// acknowledged; out of order, where a gap is filled, and on FIN at once.
    Delayed {
        /// Segments to one acknowledgement: "b" of the formulas. At least 1; 1 is at once.
        every: u32,
        /// The longest delay. RFC 5681 §4.2: less than 500 ms.
        delay: Duration,
    },
    /// Hostile: each segment of text is acknowledged in `parts` steps, each as if it were an
    /// acknowledgement of its own (Savage et al. 1999, "ACK division").
    Divided {
        /// Acknowledgements to one segment, at least 1.
        parts: u32,
    },
}

impl Acknowledging {
    /// Every segment at once.
    pub const EACH: Self = Self::Delayed { every: 1, delay: Duration::ZERO };
    /// Every second segment, or after 40 ms.
    pub const DELAYED: Self = Self::Delayed { every: 2, delay: Duration::from_millis(40) };
}

/// How the application above a receiver takes what has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reading {
    /// All of it, when it comes: the window never closes.
    AtOnce,
    /// `chunk` bytes at a time, at a rate: the window closes and opens.
    Slow {
        /// Bytes in a second, not zero.
        bytes_per_second: u64,
        /// Bytes of one read, at least 1.
        chunk: u32,
        /// Offsets of the stream at which the application stops reading once, and for how long.
        stall: Option<(u64, Duration)>,
        /// Tells of every byte of room at once, against RFC 9293 §3.8.6.2.2: the silly window syndrome.
        silly: bool,
    },
}

/// Takes offered window back, which RFC 9293 §3.8.6 strongly discourages: from the time that `after` bytes
/// have come, the window is `to` bytes for `hold`, then what it was; again with every further `every` bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shrinking {
    /// Bytes of the stream before the first time.
    pub after: u64,
    /// Bytes from one time to the next; 0: only once.
    pub every: u64,
    /// The window meanwhile, in bytes.
    pub to: u32,
    /// How long.
    pub hold: Duration,
}

/// How a connection ends on this side.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Closing {
    /// FIN when the last answer was read.
    AfterAnswers,
    /// FIN right behind the last request: a half-close, the answers come all the same.
    BehindRequests,
    /// FIN after the server's.
    AfterServer,
    /// RST once so many bytes of the stream have come.
    Abort {
        /// Bytes; 0: as soon as the connection is open.
        after: u64,
    },
    /// Falls silent for ever once so many bytes of the stream have come, like a host that lost its power.
    Vanish {
        /// Bytes; 0: as soon as the connection is open.
        after: u64,
    },
}

/// All of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Manners {
    /// The maximum segment size announced in the SYN, in bytes.
    pub mss: u16,
    /// The receive window in bytes. At most 65,535 << 14 with window scaling, 65,535 without; more is cut. What is
    /// announced is rounded down to the unit of the scale: see [`Manners::with_window`].
    pub window: u32,
    /// The shift offered in the SYN, at most 14; None leaves the option out.
    pub window_scale: Option<u8>,
    /// Whether timestamps are offered; their clock ticks in milliseconds.
    pub timestamps: bool,
    /// Whether SACK is offered, and gaps are reported.
    pub sack: bool,
    /// When received text is acknowledged.
    pub acknowledging: Acknowledging,
    /// How it is read.
    pub reading: Reading,
    /// Whether and when window is taken back.
    pub shrinking: Option<Shrinking>,
    /// How it ends.
    pub closing: Closing,
    /// Hostile: a request is handed over one byte at a time, so far apart ("slow headers"); None: at once.
    pub drip: Option<Duration>,
    /// From an answer to the next request of the same connection.
    pub think: Duration,
    /// The first retransmission timeout of what this side sends; doubled each time, up to a minute. Its round-trip
    /// time is not measured.
    pub rto: Duration,
    /// Every how manieth segment of text is compared with what is expected: 1 all, 0 none.
    pub verify_one_in: u32,
}

impl Default for Manners {
    /// The ideal receiver: a window of 1 GiB, every segment acknowledged at once, timestamps, no SACK, everything
    /// compared, closed when all is read.
    fn default() -> Self {
        Self {
            mss: 1460,
            window: 65_535 << 14,
            window_scale: Some(14),
            timestamps: true,
            sack: false,
            acknowledging: Acknowledging::EACH,
            reading: Reading::AtOnce,
            shrinking: None,
            closing: Closing::AfterAnswers,
            drip: None,
            think: Duration::ZERO,
            rto: Duration::from_secs(1),
            verify_one_in: 1,
        }
    }
}

impl Manners {
    /// The same with another window, and the smallest shift that can say it.
    #[must_use]
    pub const fn with_window(self, bytes: u32) -> Self {
        let mut shift = 0;
        while bytes >> shift > 65_535 && shift < 14 {
            shift += 1;
        }
        Self { window: bytes, window_scale: Some(shift), ..self }
    }

    /// Says what no connection can behave like.
    ///
    /// # Errors
    /// The field, and what would be right.
    pub fn check(&self) -> Result<(), &'static str> {
        let acknowledging = match self.acknowledging {
            Acknowledging::Delayed { every, .. } => every > 0,
            Acknowledging::Divided { parts } => parts > 0,
        };
        let reading = match self.reading {
            Reading::AtOnce => true,
            Reading::Slow { bytes_per_second, chunk, .. } => bytes_per_second > 0 && chunk > 0,
        };
        match () {
            () if self.mss == 0 => Err("mss: at least 1"),
            () if self.window >> self.window_scale.unwrap_or(0).min(31) == 0 => {
                Err("window: at least 1 byte, and 1 << window_scale")
            }
            () if self.window_scale.is_some_and(|shift| shift > 14) => {
                Err("window_scale: at most 14 (RFC 7323 §2.3)")
            }
            () if !acknowledging => Err("acknowledging: every and parts are at least 1"),
            () if !reading => Err("reading: bytes_per_second and chunk are at least 1"),
            () if self.rto == Duration::ZERO => Err("rto: more than zero"),
            () => Ok(()),
        }
    }
}
