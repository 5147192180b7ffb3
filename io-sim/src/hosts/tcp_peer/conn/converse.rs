//! The application's part: answers that are whole, the next request, the end.

use super::super::manners::Closing;
use super::{Completion, Conn, ConnEnd, Means};
use simoom_core::time::Instant;
use simoom_core::wire::TcpFlags;

impl Conn {
    /// The application's part: answers that are whole, the next request, the end.
    #[inline]
    pub(super) fn converse(&mut self, now: Instant, means: &mut Means<'_>) {
        let came = self.arrived.next();
        match means.manners.closing {
            Closing::Abort { after } if came >= after => {
                self.send(now, TcpFlags::RST | TcpFlags::ACK, self.nxt, 0, means);
                return self.finish(ConnEnd::Aborted, means.stats);
            }
            Closing::Vanish { after } if came >= after => {
                return self.finish(ConnEnd::Vanished, means.stats);
            }
            _ => {}
        }
        if self.answers.wrongs.malformed > 0 {
            self.send(now, TcpFlags::RST | TcpFlags::ACK, self.nxt, 0, means);
            return self.finish(ConnEnd::Malformed, means.stats);
        }
        if self.waiting
            && let Some(is_right) = self.answers.take_finished(self.read)
        {
            self.complete(now, is_right, means);
        }
        if self.ask_at <= now && !self.fin {
            self.ask_at = Instant::FAR_FUTURE;
            self.ask(now, means);
        }
        if self.drip_at <= now {
            self.drip(now, means);
        }
        if self.fin_came() && !self.fin {
            // Whatever was still to be asked will not be answered.
            self.fin = true;
            self.ask_at = Instant::FAR_FUTURE;
            self.drip_at = Instant::FAR_FUTURE;
        }
    }

    fn complete(&mut self, now: Instant, is_right: bool, means: &mut Means<'_>) {
        self.waiting = false;
        means.stats.succeeded += u64::from(is_right);
        if means.completions.len() < means.completions_max {
            means.completions.push(Completion {
                connection: self.number,
                request: self.asked - 1,
                opened_at: self.opened_at,
                asked_at: self.asked_at,
                first_byte_at: self.first_byte_at.unwrap_or(now),
                done_at: now,
                is_right,
            });
        }
        self.first_byte_at = None;
        if !self.fin {
            self.ask_at = now + means.manners.think;
        }
    }

    fn ask(&mut self, now: Instant, means: &mut Means<'_>) {
        let Some(request) = means.requests.get(self.asked as usize) else {
            self.fin |= means.manners.closing == Closing::AfterAnswers;
            return;
        };
        self.asked += 1;
        self.asked_at = now;
        self.waiting = true;
        means.stats.requests += 1;
        self.answers.expect(request.expected.clone());
        if means.manners.drip.is_some() {
            self.drip_from = 0;
            self.drip_at = now;
            return;
        }
        self.text.extend_from_slice(&request.bytes);
        let is_last = self.asked as usize == means.requests.len();
        self.fin |= is_last && means.manners.closing == Closing::BehindRequests;
        // An answer of no bytes is there already.
        if let Some(is_right) = self.answers.take_finished(self.read) {
            self.complete(now, is_right, means);
        }
    }

    /// Hands over one more byte of the present request.
    fn drip(&mut self, now: Instant, means: &Means<'_>) {
        self.drip_at = Instant::FAR_FUTURE;
        let request = &means.requests[self.asked as usize - 1];
        let Some(byte) = request.bytes.get(self.drip_from) else { return };
        self.text.push(*byte);
        self.drip_from += 1;
        if self.drip_from < request.bytes.len()
            && let Some(every) = means.manners.drip
        {
            self.drip_at = now + every;
        } else {
            let is_last = self.asked as usize == means.requests.len();
            self.fin |= is_last && means.manners.closing == Closing::BehindRequests;
        }
    }
}
