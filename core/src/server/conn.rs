//! What the file server keeps per connection: 56 bytes.

use crate::http::body::BodyReader;
use crate::http::response::Status;
use crate::time::{Duration, Instant};

/// Answers that may be unacknowledged at once. One more request than the one being sent is enough
/// to keep the path busy; further ones wait in the receive window.
pub const QUEUE_MAX: usize = 2;

/// An answer, as little of it as makes every byte of it again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Response {
    /// The entry, numbered over all generations; without meaning for a page.
    pub(crate) what: u32,
    /// The second that its `Date` shows, since 1970: of the turn that accepted the request.
    pub(crate) second: u32,
    pub(crate) kind: Kind,
    /// The head of a page alone: HEAD was asked.
    pub(crate) head_only: bool,
    /// The last answer of the connection.
    pub(crate) close: bool,
}

/// What an answer consists of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// The object of an entry.
    Object,
    /// The head of an entry: HEAD, or a redirection.
    EntryHead,
    /// 304 for an entry.
    NotModified,
    /// The small page of a status.
    Page(Status),
}

impl Kind {
    pub(crate) fn has_entry(self) -> bool {
        !matches!(self, Self::Page(_))
    }
}

/// Where in the stream of requests the next byte is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    /// Before a head: nothing of it was seen.
    Idle,
    /// Within a head.
    Head,
    /// In a body; its answer stands behind the queue until the body is at its end.
    Body(BodyReader),
    /// Nothing that comes matters any more.
    Closing,
}

/// The state of a connection.
#[derive(Clone, Copy, Debug)]
pub struct ServerConn {
    /// Stream offset of the first byte of the oldest unacknowledged answer.
    pub(crate) start: u64,
    responses: [Response; QUEUE_MAX],
    pub(crate) phase: Phase,
    /// When something last happened that resets the clock of the current phase.
    pub(crate) since: Ticks,
    /// Bytes of the head that need no second look.
    pub(crate) scanned: u16,
    queued: u8,
    flags: u8,
}

/// Requests wait in the window because the queue is full.
const HELD: u8 = 1;
/// The peer sent FIN.
const FIN: u8 = 2;

impl ServerConn {
    pub(crate) fn new(since: Ticks) -> Self {
        let none = Response {
            what: 0,
            second: 0,
            kind: Kind::Page(Status::NotFound),
            head_only: false,
            close: false,
        };
        Self {
            start: 0,
            responses: [none; QUEUE_MAX],
            phase: Phase::Idle,
            since,
            scanned: 0,
            queued: 0,
            flags: 0,
        }
    }

    /// Answers that are not fully acknowledged, oldest first.
    #[inline]
    pub(crate) fn queue(&self) -> &[Response] {
        self.responses.get(..usize::from(self.queued)).unwrap_or(&[])
    }

    /// The same, and the one that waits for the end of its request's body.
    pub(crate) fn unfinished(&self) -> &[Response] {
        let waiting = u8::from(matches!(self.phase, Phase::Body(_)));
        self.responses.get(..usize::from(self.queued + waiting)).unwrap_or(&[])
    }

    pub(crate) fn is_full(&self) -> bool {
        usize::from(self.queued) == QUEUE_MAX
    }

    /// Puts an answer behind the queue, where [`Self::commit`] finds it. The queue is not full.
    pub(crate) fn prepare(&mut self, response: Response) {
        debug_assert!(!self.is_full());
        if let Some(slot) = self.responses.get_mut(usize::from(self.queued)) {
            *slot = response;
        }
    }

    /// The answer that waits for the end of its request's body.
    pub(crate) fn waiting(&self) -> Option<&Response> {
        self.responses.get(usize::from(self.queued))
    }

    /// Makes the answer put there by [`Self::prepare`] the last of its connection.
    pub(crate) fn close_after_waiting(&mut self) {
        if let Some(response) = self.responses.get_mut(usize::from(self.queued)) {
            response.close = true;
        }
    }

    /// Queues the answer put there by [`Self::prepare`].
    pub(crate) fn commit(&mut self) {
        let close = self.waiting().is_some_and(|r| r.close);
        self.phase = if close { Phase::Closing } else { Phase::Idle };
        self.queued += 1;
    }

    /// The oldest answer, of `len` bytes, is acknowledged.
    pub(crate) fn pop(&mut self, len: u64) {
        self.start += len;
        self.responses.rotate_left(1);
        self.queued -= 1;
    }

    pub(crate) fn is_closing(&self) -> bool {
        self.phase == Phase::Closing
    }

    /// Whether the peer owes us the rest of a request.
    pub(crate) fn waits_for_request(&self) -> bool {
        matches!(self.phase, Phase::Head | Phase::Body(_))
    }

    pub(crate) fn set_held(&mut self, held: bool) {
        self.flags = if held { self.flags | HELD } else { self.flags & !HELD };
    }

    /// Notes the peer's FIN. Whether our direction may end too.
    pub(crate) fn note_fin(&mut self) -> bool {
        self.flags |= FIN;
        self.ends_with_peer()
    }

    /// The peer has ended, and no request of it waits.
    pub(crate) fn ends_with_peer(&self) -> bool {
        self.flags & (FIN | HELD) == FIN
    }
}

/// A coarse point in time: units of 2²⁰ ns (about a millisecond), modulo 2³². Differences are
/// right up to 52 days.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Ticks(u32);

impl Ticks {
    #[inline]
    pub(crate) const fn at(now: Instant) -> Self {
        Self((now.as_nanos() >> 20) as u32)
    }

    /// What is left of `timeout` at `now`; None where it has passed.
    pub(crate) fn left_of(self, timeout: Duration, now: Instant) -> Option<Duration> {
        let passed = u64::from(Self::at(now).0.wrapping_sub(self.0)) << 20;
        let left = timeout.as_nanos().saturating_sub(passed);
        (left > 0).then(|| Duration::from_nanos(left))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connection_state_is_small() {
        assert!(size_of::<ServerConn>() <= 56, "{}", size_of::<ServerConn>());
    }

    #[test]
    fn time_left_survives_the_wrap() {
        let before = Instant::from_nanos((1 << 52) - (1 << 20));
        let since = Ticks::at(before);
        let second = Duration::from_secs(1);
        assert!(since.left_of(second, before + Duration::from_millis(900)).is_some());
        assert_eq!(since.left_of(second, before + Duration::from_millis(1002)), None);
    }
}
