//! The stream of events and its digest: what two runs are compared by.
//!
//! The stream is 16 bytes of magic and then one record for each frame that ended its way over a
//! link, in the order in which that happened. A record, integers little endian:
//!
//! | bytes | what |
//! |---|---|
//! | 8 | time of the event, nanoseconds |
//! | 8 | time at which the frame was handed to the link, nanoseconds |
//! | 4 | length of the frame |
//! | 2 | link |
//! | 1 | direction: 0 from the end named first, 1 towards it |
//! | 1 | what happened: see [`Fate`] |
//! | n | the frame as it was then, from its destination address on, FCS out |
//!
//! The digest is XXH3-128 with seed 0 of the whole stream: `xxhsum -H2` of a written stream
//! prints the same 32 digits. It guards against accidents, not against forgery.

use simoom_core::time::Instant;
use std::fmt;
use std::io::{self, Write};
use xxhash_rust::xxh3::Xxh3;

/// The first bytes of every stream.
pub const EVENTS_MAGIC: &[u8; 16] = b"simoom events 1\n";

/// How a frame's way over a link ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Fate {
    /// It arrived.
    Arrived = 0,
    /// It arrived, damaged on the way.
    ArrivedDamaged = 1,
    /// It arrived as the second of two.
    ArrivedAgain = 2,
    /// The link lost it.
    Lost = 3,
    /// The link's queue was full.
    QueueFull = 4,
    /// It arrived where the receive ring was full.
    RingFull = 5,
    /// It was too long for the link.
    TooLong = 6,
    /// The management of the link's queue dropped it.
    QueueManaged = 7,
    /// The link was down.
    LinkDown = 8,
    /// It arrived, damaged on the way, with lengths and checksums that are right all the same.
    ArrivedForged = 9,
}

impl Fate {
    /// Whether the frame reached the other end, in whatever condition, and was taken there.
    pub const fn is_arrival(self) -> bool {
        matches!(
            self,
            Self::Arrived | Self::ArrivedDamaged | Self::ArrivedAgain | Self::ArrivedForged
        )
    }
}

/// One record of the stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EventRecord<'a> {
    /// When it happened.
    pub at: Instant,
    /// When the frame was handed to the link.
    pub sent_at: Instant,
    /// Which link.
    pub link: u16,
    /// 0 from the end named first, 1 towards it.
    pub direction: u8,
    /// What happened.
    pub fate: Fate,
    /// Which frame of its direction it is: the first that was handed to it is 1, and both of a
    /// doubled frame have one number. No part of the stream or its digest: it follows from them.
    pub number: u64,
    /// The frame as it was then.
    pub bytes: &'a [u8],
}

impl EventRecord<'_> {
    #[inline]
    fn head(&self) -> [u8; 24] {
        let mut head = [0; 24];
        head[..8].copy_from_slice(&self.at.as_nanos().to_le_bytes());
        head[8..16].copy_from_slice(&self.sent_at.as_nanos().to_le_bytes());
        head[16..20].copy_from_slice(&(self.bytes.len() as u32).to_le_bytes());
        head[20..22].copy_from_slice(&self.link.to_le_bytes());
        head[22] = self.direction;
        head[23] = self.fate as u8;
        head
    }
}

/// The digest of an event stream, printed as 32 hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct EventHash(pub u128);

impl fmt::Display for EventHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

impl fmt::Debug for EventHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Takes records in and knows the digest so far.
#[derive(Clone)]
pub struct EventDigest(Xxh3);

impl Default for EventDigest {
    fn default() -> Self {
        let mut state = Xxh3::new();
        state.update(EVENTS_MAGIC);
        Self(state)
    }
}

impl EventDigest {
    /// Takes one record in.
    #[inline]
    pub fn record(&mut self, record: &EventRecord<'_>) {
        self.0.update(&record.head());
        self.0.update(record.bytes);
    }

    /// The digest of everything taken in so far.
    pub fn hash(&self) -> EventHash {
        EventHash(self.0.digest128())
    }
}

impl fmt::Debug for EventDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "EventDigest({})", self.hash())
    }
}

/// Sees every record of a world. Must not change anything that the world can see.
pub trait EventTap {
    /// Whether [`EventTap::on_queue`] is to be called.
    const QUEUES: bool = false;

    /// A frame ended its way over a link.
    fn on_event(&mut self, record: &EventRecord<'_>);

    /// A frame was offered to one direction of a link, whose queue now holds so much, the frame
    /// being sent not counted.
    fn on_queue(&mut self, _at: Instant, _link: u16, _direction: u8, _frames: u32, _bytes: u64) {}
}

/// Sees nothing.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoTap;

impl EventTap for NoTap {
    #[inline]
    fn on_event(&mut self, _record: &EventRecord<'_>) {}
}

/// Writes the event stream. After the first error nothing more is written; [`Self::finish`]
/// answers it.
#[derive(Debug)]
pub struct EventWriter<W> {
    writer: W,
    failed: Option<io::Error>,
}

impl<W: Write> EventWriter<W> {
    /// Begins a stream. Give a buffered writer: records are written in two pieces.
    pub fn new(mut writer: W) -> io::Result<Self> {
        writer.write_all(EVENTS_MAGIC)?;
        Ok(Self { writer, failed: None })
    }

    /// Flushes and gives the writer back.
    pub fn finish(mut self) -> io::Result<W> {
        match self.failed.take() {
            Some(error) => Err(error),
            None => {
                self.writer.flush()?;
                Ok(self.writer)
            }
        }
    }
}

impl<W: Write> EventTap for EventWriter<W> {
    fn on_event(&mut self, record: &EventRecord<'_>) {
        if self.failed.is_none() {
            let written = self.writer.write_all(&record.head());
            self.failed = written.and_then(|()| self.writer.write_all(record.bytes)).err();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(bytes: &[u8]) -> EventRecord<'_> {
        EventRecord {
            at: Instant::from_nanos(0x0102_0304_0506_0708),
            sent_at: Instant::from_nanos(9),
            link: 2,
            direction: 1,
            fate: Fate::ArrivedDamaged,
            number: 77,
            bytes,
        }
    }

    fn stream(records: &[EventRecord<'_>]) -> (Vec<u8>, EventHash) {
        let mut writer = EventWriter::new(Vec::new()).unwrap();
        let mut digest = EventDigest::default();
        for record in records {
            writer.on_event(record);
            digest.record(record);
        }
        (writer.finish().unwrap(), digest.hash())
    }

    #[test]
    fn the_stream_is_as_documented() {
        let (written, _) = stream(&[record(b"frame")]);
        let mut expected = EVENTS_MAGIC.to_vec();
        expected.extend([8, 7, 6, 5, 4, 3, 2, 1, 9, 0, 0, 0, 0, 0, 0, 0, 5, 0, 0, 0, 2, 0, 1, 1]);
        expected.extend(b"frame");
        assert_eq!(written, expected);
    }

    #[test]
    fn the_digest_is_that_of_the_written_stream_and_has_a_golden_value() {
        let long: Vec<u8> = (0..3000u32).map(|i| (i * i) as u8).collect();
        let (written, hash) = stream(&[record(b"frame"), record(&long), record(b"")]);
        assert_eq!(hash.0, xxhash_rust::xxh3::xxh3_128(&written));
        assert_eq!(hash.to_string(), "c5bbaa7d6a30c7455549632095483e35");
    }

    #[test]
    fn one_flipped_bit_anywhere_changes_the_digest() {
        let (written, hash) = stream(&[record(b"frame"), record(b"other")]);
        for i in 0..written.len() * 8 {
            let mut other = written.clone();
            other[i / 8] ^= 1 << (i % 8);
            assert_ne!(hash.0, xxhash_rust::xxh3::xxh3_128(&other), "bit {i}");
        }
    }

    #[test]
    fn a_writer_that_fails_is_reported_at_the_end() {
        struct Full(usize);
        impl Write for Full {
            fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
                self.0 = self.0.checked_sub(bytes.len()).ok_or(io::ErrorKind::StorageFull)?;
                Ok(bytes.len())
            }
            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }
        let mut writer = EventWriter::new(Full(42)).unwrap();
        writer.on_event(&record(b"frame"));
        writer.on_event(&record(b"frame"));
        assert_eq!(writer.finish().err().map(|e| e.kind()), Some(io::ErrorKind::StorageFull));
    }
}
