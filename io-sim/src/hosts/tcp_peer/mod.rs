//! What hand-made TCP endpoints are put together from.
//!
//! [`station`] has addresses, asks and answers ARP and makes frames; [`conn`] is a client's end of one
//! connection; [`manners`] says how it acknowledges, reads and closes; [`answers`] takes the answers apart and
//! compares every byte; [`arrived`] says which bytes have come. Nothing of it is shared with the stack beyond
//! the frame formats of `simoom_core::wire`.

pub mod answers;
pub mod arrived;
pub mod conn;
pub mod manners;
pub mod station;

pub use answers::{Body, Expected, Request, Wrongs};
pub use conn::{Completion, ConnEnd, ConnStats};
pub use manners::{Acknowledging, Closing, Manners, Reading, Shrinking};
pub use station::{Segment, Station};
