//! The mode *gather*: one payload a segment, shared by all who send it, now and at the same time.
//!
//! A payload is pinned when it is cut and unpinned when it is evicted, which the port refuses while a
//! frame in flight uses it: the store does not count uses. A send takes a free buffer for its headers.
//! What differs between responses goes there too: of an object's first segment everything up to the end
//! of its last pinned field. The alternative, a copy of that segment for each send under way, would
//! keep as many copies as the mode exists to spare, and most objects are one segment or few.
//!
//! A payload lies at the beginning of its buffer, where pieces begin ([`crate::port::Piece`]): first the
//! bytes that all share, behind them those in front of them in the text, which every send copies.

use super::{Checkout, RunKey};
use super::{
    ContentSource, Cut, Mode, NONE, PinnedFields, SEGMENTS_PER_RUN, Segment, Store, show_pins,
    text_len,
};
use crate::marks::mark;
use crate::port::{Buf, Pinned, Port};
use crate::wire::checksum::Sum;
use alloc::vec::Vec;

/// A shorter piece of payload is copied behind the private header: a slot and a descriptor of the
/// device cost more than so many bytes.
pub const PIECE_MIN: usize = 256;

/// The part of a payload that a frame takes behind its private header. Good until the store is asked
/// for anything else.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SharedPiece {
    place: u32,
    /// Bytes, from the beginning of the payload's buffer on.
    pub len: u16,
}

/// What came of asking for a segment to share.
#[derive(Debug)]
pub enum Loan {
    /// A private buffer for the headers, and where the text is.
    Ready {
        /// The buffer. Its text is in place as far as it is private, pinned fields included; headers
        /// are the caller's to write.
        header: Buf,
        /// Bytes of text in it.
        private: u16,
        /// The rest of the text; None where there is none.
        piece: Option<SharedPiece>,
        /// The sum of the text, private and shared.
        sum: Sum,
    },
    /// No payload or no buffer can be had now: the copying way may serve.
    Miss,
    /// The source is not ready.
    NotYet,
    /// The source lost the object.
    Gone,
}

/// An empty table of payloads for so many runs, where the mode has any.
pub(super) fn table(mode: Mode, runs_max: usize) -> Vec<Option<Pinned>> {
    let places = if mode == Mode::Gather { runs_max * SEGMENTS_PER_RUN } else { 0 };
    core::iter::repeat_with(|| None).take(places).collect()
}

impl Store {
    /// Whether payloads are shared: to be asked for by [`Store::checkout_shared`], over a port that
    /// gathers.
    #[inline]
    pub fn shares(&self) -> bool {
        self.mode == Mode::Gather
    }

    /// Asks for segment `index` of the variant, as [`Store::checkout`] does, to be sent in two parts.
    #[inline]
    pub fn checkout_shared<P: Port, C: ContentSource>(
        &mut self,
        port: &mut P,
        content: &mut C,
        cut: &Cut,
        index: u32,
        pins: &PinnedFields,
        hint: &mut u32,
    ) -> Loan {
        let Some(slot) = self.run_of(port, cut, index, hint) else { return Loan::Miss };
        self.runs[slot as usize].referenced = true;
        let place = slot as usize * SEGMENTS_PER_RUN + index as usize % SEGMENTS_PER_RUN;
        let text = text_len(cut, index);
        let pinned = if index == 0 { pins.end().min(text) } else { 0 };
        if self.payloads[place].is_none() {
            let bare = Cut { text_at: 0, ..*cut };
            match self.make_copy(port, content, &bare, index, pins, slot) {
                Ok(mut buf) => {
                    let private = if text - pinned < PIECE_MIN { text } else { pinned };
                    if private > 0 {
                        port.bytes_mut(&mut buf)[..text].rotate_left(private);
                    }
                    let segments = &mut self.runs[slot as usize].segments;
                    segments[index as usize % SEGMENTS_PER_RUN].private = private as u16;
                    self.payloads[place] = Some(port.pin(buf));
                }
                Err(Checkout::NotYet) => return Loan::NotYet,
                Err(Checkout::Gone) => return Loan::Gone,
                Err(_) => return Loan::Miss,
            }
        }
        let Some(mut header) = self.take_header(port, slot) else {
            mark!(StoreNoBuffer);
            self.stats.misses_no_buffer += 1;
            return Loan::Miss;
        };
        let Some(payload) = &self.payloads[place] else { unreachable!("it was just pinned") };
        let segment = &self.runs[slot as usize].segments[index as usize % SEGMENTS_PER_RUN];
        let (sum, before) = (segment.sum, usize::from(segment.private));
        // A response that pins more than the one for which the segment was cut shares nothing of it.
        let private = if pinned <= before { before } else { text };
        let sum = if private == 0 {
            Sum::from_folded(sum)
        } else {
            let (from, at) = (payload.buf(), usize::from(cut.text_at));
            port.copy_part(from, text - before, &mut header, at, before);
            if private > before {
                port.copy_part(from, 0, &mut header, at + before, private - before);
            }
            show_pins(port, &mut header, sum, cut, index, pins)
        };
        let piece = (private < text)
            .then(|| SharedPiece { place: place as u32, len: (text - private) as u16 });
        self.count_shared(1);
        Loan::Ready { header, private: private as u16, piece, sum }
    }

    /// The places of the payloads of the run that holds segment `index`, where that is the run of
    /// `hint`: the straight way through the middle of an object. The first is that of `index`.
    #[inline]
    pub fn shared_run(&mut self, cut: &Cut, index: u32, hint: u32) -> Option<u32> {
        let run = self.runs.get_mut(hint as usize)?;
        if run.key != RunKey::new(cut, index) || !run.live {
            return None;
        }
        run.referenced = true;
        Some(hint * SEGMENTS_PER_RUN as u32 + index % SEGMENTS_PER_RUN as u32)
    }

    /// The payload at a place of [`Store::shared_run`] and the sum of its text, where it was cut. Its
    /// segment must pin nothing.
    #[inline]
    pub fn payload_at(&self, place: u32) -> Option<(&Pinned, Sum)> {
        let payload = self.payloads.get(place as usize)?.as_ref()?;
        let Segment { sum, .. } = self.runs[place as usize / SEGMENTS_PER_RUN].segments
            [place as usize % SEGMENTS_PER_RUN];
        Some((payload, Sum::from_folded(sum)))
    }

    /// The payload of a piece just lent.
    ///
    /// # Panics
    /// Where the store was asked for something else meanwhile and evicted it.
    #[inline]
    pub fn payload(&self, piece: &SharedPiece) -> &Pinned {
        match &self.payloads[piece.place as usize] {
            Some(payload) => payload,
            None => panic!("a piece of a payload that was evicted"),
        }
    }

    /// Counts segments handed out by way of [`Store::payload_at`].
    #[inline]
    pub fn count_shared(&mut self, segments: u32) {
        self.stats.checkouts += u64::from(segments);
        self.stats.shared += u64::from(segments);
    }

    /// A buffer for private headers; the run `except` is not robbed for it.
    #[inline]
    fn take_header<P: Port>(&mut self, port: &mut P, except: u32) -> Option<Buf> {
        port.take_free().or_else(|| {
            self.steal(port, except);
            port.take_free()
        })
    }

    /// Gives the payloads of a run back that no frame uses, and answers how many.
    pub(super) fn unpin_unused<P: Port>(&mut self, port: &mut P, slot: usize) -> u32 {
        let start = slot * SEGMENTS_PER_RUN;
        let Some(places) = self.payloads.get_mut(start..start + SEGMENTS_PER_RUN) else { return 0 };
        let mut freed = 0;
        for (at, place) in places.iter_mut().enumerate() {
            let Some(pinned) = place.take() else { continue };
            match port.unpin(pinned) {
                Ok(buf) => {
                    self.homes[buf.index() as usize].segment = NONE;
                    self.runs[slot].segments[at].copies -= 1;
                    freed += 1;
                    port.give_back(buf);
                }
                Err(in_use) => *place = Some(in_use),
            }
        }
        freed
    }

    pub(super) fn fork_payloads(&self) -> Vec<Option<Pinned>> {
        self.payloads.iter().map(|p| p.as_ref().map(Pinned::duplicate_for_fork)).collect()
    }
}
