//! Reading captures.

mod frame;

pub use frame::{Frame, FrameInfo, LinkType};
