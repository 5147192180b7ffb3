//! A link on a clock of its own, for the tests of links that are not plain.

use super::*;
use simoom_core::wire::{self, Frame};

/// A link and its frames on a clock of their own: what a world does, without hosts.
pub(super) struct Bench {
    pub(super) link: Link,
    pub(super) frames: Frames,
    pub(super) now: Instant,
    /// What has become of frames: (number, when it was decided, how).
    pub(super) ends: Vec<(u64, Instant, Passage)>,
    /// The bytes of those that arrive, in the order of arrival: (when, number, bytes).
    pub(super) arrived: Vec<(Instant, u64, Vec<u8>)>,
    pub(super) answers: Vec<Vec<u8>>,
}

impl Bench {
    pub(super) fn new(config: LinkConfig) -> Self {
        Self::with_seed(config, SEED)
    }

    pub(super) fn with_seed(config: LinkConfig, seed: Seed) -> Self {
        let mut link = Link::new(config, seed, 0);
        link.record_faults();
        let frames = Frames::default();
        let (ends, arrived, answers) = Default::default();
        Self { link, frames, now: Instant::ZERO, ends, arrived, answers }
    }

    pub(super) fn collect(&mut self, mut passed: Vec<(FrameId, Passage)>) {
        while let Some(outcome) = self.link.take_outcome() {
            match outcome {
                Outcome::Passed(frame, passage) => passed.push((frame, passage)),
                Outcome::Answer(frame) => {
                    self.answers.push(self.frames.get(frame).to_vec());
                    self.frames.remove(frame);
                }
            }
        }
        for (frame, passage) in passed {
            let number = self.frames.entry(frame).number;
            self.ends.push((number, self.now, passage));
            if let Passage::Arrives { at, again, .. } = passage {
                assert!(at >= self.now, "frame {number} arrives before it is decided");
                let again = again.map(|(copy, _)| copy);
                for one in [Some(frame), again].into_iter().flatten() {
                    self.arrived.push((at, number, self.frames.get(one).to_vec()));
                    if one != frame {
                        self.frames.remove(one);
                    }
                }
            }
            self.frames.remove(frame);
        }
    }

    /// Lets the link work until `until`.
    pub(super) fn run(&mut self, until: Instant) {
        while let Some(at) = self.link.next_wake(self.now)
            && at <= until
        {
            self.now = self.now.max(at);
            self.link.on_wake(self.now, &mut self.frames);
            self.collect(Vec::new());
        }
        self.now = self.now.max(until);
    }

    pub(super) fn offer(&mut self, at: Instant, bytes: &[u8]) {
        self.run(at);
        let frame = self.frames.add(bytes);
        let passed = match self.link.offer(at, &mut self.frames, frame) {
            Passage::Stays => Vec::new(),
            passage => vec![(frame, passage)],
        };
        self.collect(passed);
    }

    /// Nothing more is offered. Arrivals are in their order then.
    pub(super) fn finish(&mut self) {
        self.run(Instant::from_nanos(u64::MAX - 1));
        assert_eq!(self.link.held(), 0);
        self.arrived.sort_by_key(|(at, ..)| *at);
    }

    /// Offers frames of 1,250 bytes, one each 10 µs: a gigabit.
    pub(super) fn stream(config: LinkConfig, n: u64) -> Self {
        let mut bench = Self::new(config);
        for i in 0..n {
            bench.offer(at_us(10 * i), &ipv4(1250));
        }
        bench.finish();
        bench
    }

    pub(super) fn lost(&self) -> Vec<u64> {
        let lost = |end: &&(u64, Instant, Passage)| end.2 == LOST;
        self.ends.iter().filter(lost).map(|end| end.0).collect()
    }

    pub(super) fn order(&self) -> Vec<u64> {
        self.arrived.iter().map(|(_, number, _)| *number).collect()
    }
}

/// Wide enough for whole streams.
pub(super) fn wide() -> LinkConfig {
    LinkConfig { queue_frames_max: u32::MAX, ..LinkConfig::default() }
}

/// A TCP segment with right checksums.
pub(super) fn tcp(flags: u8, seq: u32, text: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0; 54];
    bytes[0] = 2;
    bytes[5] = 9;
    bytes[6] = 2;
    bytes[11] = 8;
    bytes[12..14].copy_from_slice(&[8, 0]);
    bytes[14] = 0x45;
    bytes[16..18].copy_from_slice(&(40 + text.len() as u16).to_be_bytes());
    bytes[20] = 0x40;
    bytes[22..24].copy_from_slice(&[64, 6]);
    bytes[26..34].copy_from_slice(&[10, 0, 0, 1, 10, 0, 0, 2]);
    bytes[34..38].copy_from_slice(&[0x30, 0x39, 0, 80]);
    bytes[38..42].copy_from_slice(&seq.to_be_bytes());
    bytes[46] = 0x50;
    bytes[47] = flags;
    bytes[48..50].copy_from_slice(&[0x20, 0]);
    bytes.extend_from_slice(text);
    crate::link::tcp::repair_checksums(&mut bytes);
    assert!(matches!(wire::parse(&bytes, true), Ok(Frame::Tcp(_))));
    bytes
}

pub(super) const SYN: u8 = 2;
pub(super) const ACK: u8 = 16;
