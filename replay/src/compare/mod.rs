//! What our stack sent beside what the captured server sent, connection by connection, as both are
//! seen: the first difference, and a class for each.
//!
//! Nothing is collected. Of a connection at most one side waits for the other, in a queue with a
//! bound. Read [`class`] (what differences are called), [`sent`] (what is compared), [`infer`] (what
//! the captured server must have known), [`pairing`] (the comparison), [`head`] (of HTTP),
//! [`summary`] (over the file).

pub mod class;
pub mod head;
pub mod infer;
pub mod pairing;
pub mod sent;
pub mod summary;

pub use class::Class;
pub use head::HeadDifference;
pub use pairing::{Difference, OurState, Pairing, Side, TheirState};
pub use sent::{Again, Kind, Sent};
pub use summary::{ConnectionReport, Summary};

/// What counts as a difference.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rules {
    /// How far apart the same segment may be sent, in nanoseconds.
    pub tolerance: u64,
    /// Whether every segment without text must have its like, and echo the same timestamp: for
    /// captures of our own server. Else acknowledgements may be merged with others and with text.
    pub exact_acks: bool,
    /// Whether PSH counts.
    pub push: bool,
    /// Whether the window announced counts; else only whether it is closed.
    pub receive_window: bool,
}

impl Rules {
    /// What is asked of a replay of our own server.
    pub const OWN: Self =
        Self { tolerance: 2_000_000, exact_acks: true, push: true, receive_window: true };

    /// What can be asked of a replay of another.
    pub const OTHER: Self =
        Self { tolerance: 2_000_000, exact_acks: false, push: false, receive_window: false };
}
