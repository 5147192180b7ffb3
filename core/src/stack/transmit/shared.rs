//! Segments in two parts: a private header and a piece of a payload that others send too. As the ways
//! beside it in `transmit`, and the same bytes on the wire.

use super::super::connection::Connection;
use super::{BURST_MAX, Out, Text, UntoldBurst, Visit, give_back};
use crate::content::{ContentSource, Cut, Loan, PinnedFields, SEGMENTS_PER_RUN, SharedPiece};
use crate::marks::mark;
use crate::port::{Buf, GatherFull, Piece, Port, assembled};
use crate::tcp::Tcb;
use crate::trace::Trace;
use crate::wire::TcpFlags;
use crate::wire::checksum::Sum;

/// A buffer for headers, what it has of the text, and the rest.
pub(super) struct Parts {
    header: Buf,
    private: u16,
    piece: Option<SharedPiece>,
    sum: Sum,
}

impl<P: Port, T: Trace> Out<'_, P, T> {
    /// The next segment in step with the variant: its payload from the store, or a buffer filled for
    /// this one send where none can be had.
    #[inline(never)]
    pub(super) fn fetch_shared<Conn, C: ContentSource>(
        &mut self,
        conn: &mut Connection<Conn>,
        content: &mut C,
        (cut, text, index, pins): (&Cut, &Text, u32, &PinnedFields),
        len: u32,
    ) -> Result<Parts, Visit> {
        let hint = &mut conn.run_hint;
        match self.store.checkout_shared(self.port, content, cut, index, pins, hint) {
            Loan::Ready { header, private, piece, sum } => {
                self.stats.tx_prepared += 1;
                Ok(Parts { header, private, piece, sum })
            }
            Loan::NotYet => Err(Visit::NotYet),
            Loan::Gone => Err(Visit::Gone),
            Loan::Miss => {
                mark!(CopiedStoreMiss);
                self.stats.copied_store_miss += 1;
                let (header, sum) = self.fill(content, cut, text, len, pins)?;
                Ok(Parts { header, private: len as u16, piece: None, sum })
            }
        }
    }

    /// Sends one segment of a burst, as `send_segment` does.
    #[inline(never)]
    pub(super) fn send_shared(
        &mut self,
        tcb: &mut Tcb,
        burst: &mut UntoldBurst,
        Parts { mut header, private, piece, sum }: Parts,
        len: u32,
        ends: (bool, bool, bool),
    ) {
        let (seq, flags) = self.number(tcb, burst, len, ends);
        let out = self.port.bytes_mut(&mut header);
        let text = len as usize;
        let start = burst.headers.write(self.template, out, seq, flags, text, sum, self.offload);
        let header_len = start + usize::from(private);
        let Some(piece) = piece else {
            if T::ENABLED {
                let end = seq + len + u32::from(flags.contains(TcpFlags::FIN));
                self.observe(tcb, &header, header_len, end, self.motive.of_text(seq));
            }
            self.submit(header, header_len);
            return;
        };
        let pieces = [Piece { of: self.store.payload(&piece), len: piece.len }];
        if T::ENABLED {
            let end = seq + len + u32::from(flags.contains(TcpFlags::FIN));
            let info = tcb.info_behind(&self.config.tcp, end, self.motive.of_text(seq));
            let frame = assembled(self.port, &header, header_len as u16, &pieces);
            self.trace.on_sent(self.now, &frame, Some(&info));
        }
        self.quantum = self.quantum.saturating_sub(1);
        match self.port.submit_gather(header, header_len as u16, &pieces) {
            Ok(()) => {
                *self.room -= 1;
                self.stats.frames_out += 1;
                self.stats.bytes_out += (start + text) as u64;
            }
            // As in `submit`: the frame is as good as lost on the wire.
            Err(GatherFull(header)) => {
                *self.room = 0;
                self.stats.tx_ring_full += 1;
                give_back(self.port, self.store, header);
            }
        }
    }

    /// The straight way, as `send_middle`: whole segments of a run whose payloads are there. A buffer
    /// for headers has to be in the pool.
    #[inline(never)]
    pub(super) fn send_middle_shared(
        &mut self,
        tcb: &Tcb,
        burst: &mut UntoldBurst,
        cut: &Cut,
        text: &Text,
        (first, hint): (u32, u32),
        allowed: u32,
    ) -> u32 {
        let mss = u32::from(cut.text_max);
        let to_send = u64::from(allowed).min(text.left - 1) as u32 / mss;
        let in_run = SEGMENTS_PER_RUN as u32 - first % SEGMENTS_PER_RUN as u32;
        let slots = (*self.room).min(self.quantum).min(BURST_MAX) as u32;
        let most = to_send.min(in_run).min(slots);
        if most == 0 || first.is_multiple_of(SEGMENTS_PER_RUN as u32) {
            return 0;
        }
        let Some(place) = self.store.shared_run(cut, first, hint) else { return 0 };
        let seq = burst.seq + burst.untold;
        let what = (TcpFlags::ACK, cut.text_max);
        let mut train = burst.headers.train(self.template, seq, most as u16, what, self.offload);
        let mut sent = 0;
        while sent < most
            && let Some((payload, sum)) = self.store.payload_at(place + sent)
            && let Some(mut header) = self.port.take_free()
        {
            let start = train.write_next(self.port.bytes_mut(&mut header), sum);
            let pieces = [Piece { of: payload, len: cut.text_max }];
            if T::ENABLED {
                let end = train.seq();
                let info = tcb.info_behind(&self.config.tcp, end, self.motive.of_text(end - mss));
                let frame = assembled(self.port, &header, start as u16, &pieces);
                self.trace.on_sent(self.now, &frame, Some(&info));
            }
            let submitted = self.port.submit_gather(header, start as u16, &pieces);
            if let Err(GatherFull(header)) = submitted {
                // The ring was seen to have room. TCP is not told of the segment: it goes later.
                self.port.give_back(header);
                *self.room = 0;
                break;
            }
            sent += 1;
        }
        burst.untold += sent * mss;
        if sent < most {
            mark!(StraightRunBroken);
        }
        *self.room = self.room.saturating_sub(sent as usize);
        self.quantum -= sent as usize;
        self.store.count_shared(sent);
        self.stats.tx_prepared += u64::from(sent);
        self.stats.frames_out += u64::from(sent);
        self.stats.bytes_out += u64::from(sent) * (u64::from(cut.text_at) + u64::from(mss));
        sent
    }
}
