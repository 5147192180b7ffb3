//! A directory as a catalogue and bodies: [`scan`] finds what is served, [`bodies`] reads it.

pub(crate) mod bodies;
pub(crate) mod scan;

pub(crate) use bodies::DiskBodies;
pub(crate) use scan::Site;
