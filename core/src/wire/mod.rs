//! Frame formats: one file a header, parsed once into a checked view, rewritten in place.
//!
//! Must not know connections, content or ports.

pub mod checksum;
pub mod tcp;
