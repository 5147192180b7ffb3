//! Every frame of a run with its bytes and what became of it: what captures are written from.
//!
//! Kept in memory until the run is over, since a frame's fate is known later than its place in the
//! order of time. Knows no file format.

use crate::hash::{EventRecord, EventTap, Fate};
use crate::world::{Direction, LinkId};
use simoom_core::time::Instant;
use std::ops::Range;

/// How much a [`Recording`] keeps.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecordingConfig {
    /// Bytes of frames, at most: the first ones are kept.
    pub bytes_max: usize,
    /// Bytes of one frame, at most: the rest is left out.
    pub frame_bytes_max: u32,
    /// Links to record; all where empty.
    pub links: Vec<LinkId>,
}

impl Default for RecordingConfig {
    /// 512 MiB of whole frames of all links.
    fn default() -> Self {
        Self { bytes_max: 512 << 20, frame_bytes_max: 1 << 18, links: Vec::new() }
    }
}

/// A frame on one direction of a link.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecordedFrame {
    /// When it was handed to the link: its last bit left the sender.
    pub sent_at: Instant,
    /// The link.
    pub link: LinkId,
    /// The direction.
    pub direction: Direction,
    /// How long it was.
    pub len: u32,
    /// When and how its way ended; None while it is under way.
    pub ended: Option<(Instant, Fate)>,
    /// When it came a second time.
    pub again_at: Option<Instant>,
    /// How, where it did.
    pub again_fate: Fate,
    sent: Range<usize>,
    /// Where it arrived otherwise than it was sent.
    changed: Option<Range<usize>>,
    /// The same for the second time.
    again_changed: Option<Range<usize>>,
}

/// Keeps the frames of a world that fit its bounds: give it to `World::with_tap`.
#[derive(Clone, Debug, Default)]
pub struct Recording {
    config: RecordingConfig,
    bytes: Vec<u8>,
    frames: Vec<RecordedFrame>,
    /// For each direction of a link, numbered as ways are: where its frames are.
    ways: Vec<Numbers>,
    unrecorded: u64,
}

/// The frames of one direction by number.
#[derive(Clone, Debug, Default)]
struct Numbers {
    /// The number of the first.
    base: u64,
    /// In [`Recording::frames`]; None where the frame is not recorded.
    places: Vec<Option<u32>>,
}

impl Recording {
    /// A recording that keeps so much.
    pub fn new(config: RecordingConfig) -> Self {
        Self { config, ..Self::default() }
    }

    /// The frames in the order in which they were handed to their links.
    pub fn frames(&self) -> &[RecordedFrame] {
        &self.frames
    }

    /// A frame of this recording as it was sent.
    pub fn sent(&self, frame: &RecordedFrame) -> &[u8] {
        &self.bytes[frame.sent.clone()]
    }

    /// The same as it arrived.
    pub fn arrived(&self, frame: &RecordedFrame) -> &[u8] {
        &self.bytes[frame.changed.clone().unwrap_or(frame.sent.clone())]
    }

    /// The same as it arrived the second time: one of two may be damaged.
    pub fn arrived_again(&self, frame: &RecordedFrame) -> &[u8] {
        &self.bytes[frame.again_changed.clone().unwrap_or(frame.sent.clone())]
    }

    /// Frames beyond the bound of the recording.
    pub fn unrecorded(&self) -> u64 {
        self.unrecorded
    }

    fn keep(&mut self, bytes: &[u8]) -> Option<Range<usize>> {
        let bytes = &bytes[..bytes.len().min(self.config.frame_bytes_max as usize)];
        if self.bytes.len() + bytes.len() > self.config.bytes_max {
            return None;
        }
        let start = self.bytes.len();
        self.bytes.extend_from_slice(bytes);
        Some(start..self.bytes.len())
    }

    fn place(&self, way: usize, number: u64) -> Option<usize> {
        let numbers = self.ways.get(way)?;
        let at = number.checked_sub(numbers.base)?;
        numbers.places.get(at as usize).copied().flatten().map(|place| place as usize)
    }
}

fn way(link: u16, direction: u8) -> usize {
    usize::from(link) * 2 + usize::from(direction)
}

impl EventTap for Recording {
    const ENTRIES: bool = true;

    fn on_enter(&mut self, at: Instant, link: u16, direction: u8, number: u64, bytes: &[u8]) {
        let id = LinkId(u32::from(link));
        if !self.config.links.is_empty() && !self.config.links.contains(&id) {
            return;
        }
        let way = way(link, direction);
        if self.ways.len() <= way {
            self.ways.resize_with(way + 1, Numbers::default);
        }
        let kept = self.keep(bytes);
        let numbers = &mut self.ways[way];
        if numbers.places.is_empty() {
            numbers.base = number;
        }
        numbers.places.push(kept.is_some().then_some(self.frames.len() as u32));
        match kept {
            Some(sent) => self.frames.push(RecordedFrame {
                sent_at: at,
                link: id,
                direction: if direction == 0 { Direction::Forward } else { Direction::Backward },
                len: bytes.len() as u32,
                ended: None,
                again_at: None,
                again_fate: Fate::ArrivedAgain,
                sent,
                changed: None,
                again_changed: None,
            }),
            None => self.unrecorded += 1,
        }
    }

    fn on_event(&mut self, event: &EventRecord<'_>) {
        let way = way(event.link, event.direction);
        let Some(place) = self.place(way, event.number) else { return };
        let changed = matches!(event.fate, Fate::ArrivedDamaged | Fate::ArrivedForged);
        // Where there is no room left, it is shown as it was sent.
        let changed = if changed { self.keep(event.bytes) } else { None };
        // A second one that is damaged says so, and comes behind the first.
        if event.fate == Fate::ArrivedAgain || self.frames[place].ended.is_some() {
            self.frames[place].again_at = Some(event.at);
            self.frames[place].again_fate = event.fate;
            self.frames[place].again_changed = changed;
            return;
        }
        self.frames[place].changed = changed;
        self.frames[place].ended = Some((event.at, event.fate));
    }
}
