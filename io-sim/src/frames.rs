//! Frames on their way: an arena whose slots are recycled, so that a frame costs no allocation.

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
    live: bool,
}

impl Frames {
    /// Takes a copy of `bytes` into the arena.
    #[inline]
    pub fn add(&mut self, bytes: &[u8]) -> FrameId {
        let index = self.free.pop().unwrap_or_else(|| {
            self.slots.push(Slot { bytes: Vec::with_capacity(2048), live: false });
            self.slots.len() as u32 - 1
        });
        let slot = &mut self.slots[index as usize];
        slot.live = true;
        slot.bytes.clear();
        slot.bytes.extend_from_slice(bytes);
        FrameId(index)
    }

    /// Takes a copy of another frame of the arena.
    pub fn add_copy(&mut self, of: FrameId) -> FrameId {
        let bytes = std::mem::take(&mut self.slots[of.0 as usize].bytes);
        let copy = self.add(&bytes);
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
        &mut self.slots[frame.0 as usize].bytes
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
        frames.remove(a);
        assert_eq!(frames.add(b"three"), a);
        assert_eq!(frames.get(a), b"three");
        frames.remove(a);
        frames.remove(b);
        assert!(frames.is_empty());
        assert_eq!(frames.slots.len(), 2);
    }
}
