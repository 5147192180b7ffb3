//! From a frame to the TCP segment in it.

mod segment;

pub use segment::{ChecksumSeen, Dissected, Ecn, Fragment, OptionsSeen, OtherKind, Segment};
