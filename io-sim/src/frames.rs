//! Frames on their way: an arena whose slots are recycled, so that a frame costs no allocation.

use simoom_core::time::Instant;

/// A frame of one [`Frames`]. Valid from `add` to `remove`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FrameId(u32);

/// Every frame that is in a NIC or on a link.
#[derive(Clone, Debug, Default)]
pub struct Frames {
    slots: Vec<Slot>,
    free: Vec<u32>,
}

#[derive(Clone, Debug)]
struct Slot {
    bytes: Vec<u8>,
    /// On which way it is, as its link knows it.
    entry: Entry,
    live: bool,
    /// Its checksums were found to be right, and nobody has changed it since.
    intact: bool,
}

/// When a frame was handed to the link it is on, and as which.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Entry {
    /// When.
    pub at: Instant,
    /// The first frame that was offered to the direction is 1.
    pub number: u64,
}

impl Frames {
    /// Takes a copy of `bytes` into the arena.
    #[inline]
    pub fn add(&mut self, bytes: &[u8]) -> FrameId {
        let index = self.free.pop().unwrap_or_else(|| {
            self.slots.push(Slot {
                bytes: Vec::with_capacity(2048),
                entry: Entry::default(),
                live: false,
                intact: false,
            });
            self.slots.len() as u32 - 1
        });
        let slot = &mut self.slots[index as usize];
        slot.live = true;
        slot.intact = false;
        slot.bytes.clear();
        slot.bytes.extend_from_slice(bytes);
        FrameId(index)
    }

    /// Takes a copy of another frame of the arena, which has entered its link with it.
    pub fn add_copy(&mut self, of: FrameId) -> FrameId {
        let bytes = std::mem::take(&mut self.slots[of.0 as usize].bytes);
        let copy = self.add(&bytes);
        let Slot { entry, intact, .. } = self.slots[of.0 as usize];
        self.slots[copy.0 as usize].entry = entry;
        self.slots[copy.0 as usize].intact = intact;
        self.slots[of.0 as usize].bytes = bytes;
        copy
    }

    /// The frame's bytes.
    #[inline]
    pub fn get(&self, frame: FrameId) -> &[u8] {
        &self.slots[frame.0 as usize].bytes
    }

    /// The frame's bytes, to damage or to complete.
    #[inline]
    pub fn get_mut(&mut self, frame: FrameId) -> &mut [u8] {
        let slot = &mut self.slots[frame.0 as usize];
        slot.intact = false;
        &mut slot.bytes
    }

    /// Notes that the frame's checksums are right, for [`Self::is_intact`].
    #[inline]
    pub(crate) fn set_intact(&mut self, frame: FrameId) {
        self.slots[frame.0 as usize].intact = true;
    }

    /// Whether the frame's checksums are known to be right: somebody has verified them, and nobody has
    /// had the bytes to change since. They need not be verified again.
    #[inline]
    pub(crate) fn is_intact(&self, frame: FrameId) -> bool {
        self.slots[frame.0 as usize].intact
    }

    /// Leaves the frame its first `len` bytes.
    pub fn truncate(&mut self, frame: FrameId, len: usize) {
        let slot = &mut self.slots[frame.0 as usize];
        slot.intact = false;
        slot.bytes.truncate(len);
    }

    /// Notes that the frame is handed to a link.
    #[inline]
    pub fn enter(&mut self, frame: FrameId, entry: Entry) {
        self.slots[frame.0 as usize].entry = entry;
    }

    /// When the frame was handed to the link it is on, and as which.
    #[inline]
    pub fn entry(&self, frame: FrameId) -> Entry {
        self.slots[frame.0 as usize].entry
    }

    /// Ends the frame; its slot is used again.
    #[inline]
    pub fn remove(&mut self, frame: FrameId) {
        let live = std::mem::replace(&mut self.slots[frame.0 as usize].live, false);
        assert!(live, "frame {} ended twice", frame.0);
        self.free.push(frame.0);
    }

    /// Frames that are on their way.
    pub fn len(&self) -> usize {
        self.slots.len() - self.free.len()
    }

    /// Whether no frame is on its way.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slots_are_recycled() {
        let mut frames = Frames::default();
        let a = frames.add(b"one");
        let b = frames.add_copy(a);
        frames.get_mut(b)[0] = b'O';
        assert_eq!((frames.get(a), frames.get(b), frames.len()), (&b"one"[..], &b"One"[..], 2));
        frames.enter(a, Entry { at: Instant::from_nanos(5), number: 3 });
        frames.set_intact(a);
        let c = frames.add_copy(a);
        assert!(frames.is_intact(a) && frames.is_intact(c) && !frames.is_intact(b));
        assert_eq!(frames.entry(c), Entry { at: Instant::from_nanos(5), number: 3 });
        frames.truncate(c, 1);
        assert!(!frames.is_intact(c));
        frames.get_mut(a)[0] = b'o';
        assert!(!frames.is_intact(a));
        frames.set_intact(a);
        assert_eq!((frames.get(a), frames.get(c)), (&b"one"[..], &b"o"[..]));
        frames.remove(c);
        frames.remove(a);
        assert_eq!(frames.add(b"three"), a);
        assert_eq!(frames.get(a), b"three");
        assert!(!frames.is_intact(a), "another frame");
        frames.remove(a);
        frames.remove(b);
        assert!(frames.is_empty());
        assert_eq!(frames.slots.len(), 3);
    }
}
