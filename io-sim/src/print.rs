//! Events as lines to be read: what happened to which segment, with sequence numbers.
//!
//! For finding out what a failing seed did. A line per event, stable, no colours:
//! `0.025004336s link 0 > damaged 10.66.0.1:55067 10.66.0.2:80 [PA] seq 5 ack 9 win 32768 len 55`.

use crate::hash::{EventRecord, EventTap, Fate};
use simoom_core::tcp::State;
use simoom_core::wire::tcp::TcpFlags;
use simoom_core::wire::{self, Frame};
use std::fmt;
use std::io::Write;

/// A state as RFC 9293 §3.3.2 writes it.
pub const fn state_name(state: State) -> &'static str {
    match state {
        State::SynSent => "SYN-SENT",
        State::SynReceived => "SYN-RECEIVED",
        State::Established => "ESTABLISHED",
        State::FinWait1 => "FIN-WAIT-1",
        State::FinWait2 => "FIN-WAIT-2",
        State::CloseWait => "CLOSE-WAIT",
        State::Closing => "CLOSING",
        State::LastAck => "LAST-ACK",
        State::TimeWait => "TIME-WAIT",
    }
}

/// A record, to be displayed as one line.
#[derive(Clone, Copy, Debug)]
pub struct Line<'a>(pub EventRecord<'a>);

impl fmt::Display for Line<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let record = &self.0;
        let arrow = if record.direction == 0 { '>' } else { '<' };
        let fate = match record.fate {
            Fate::Arrived => "arrived",
            Fate::ArrivedDamaged => "damaged",
            Fate::ArrivedAgain => "again",
            Fate::Lost => "lost",
            Fate::QueueFull => "queue-full",
            Fate::RingFull => "ring-full",
            Fate::TooLong => "too-long",
            Fate::QueueManaged => "queue-managed",
            Fate::LinkDown => "link-down",
            Fate::ArrivedForged => "forged",
        };
        write!(f, "{:?} link {} {arrow} {fate} ", record.at, record.link)?;
        match wire::parse(record.bytes, false) {
            Ok(Frame::Tcp(frame)) => {
                let tcp = &frame.tcp;
                let from = (frame.ip.src, tcp.src_port);
                let to = (frame.ip.dst, tcp.dst_port);
                write!(f, "{}:{} {}:{} [", from.0, from.1, to.0, to.1)?;
                for (flag, letter) in LETTERS {
                    if tcp.flags.contains(flag) {
                        write!(f, "{letter}")?;
                    }
                }
                write!(f, "] seq {} ack {} win {}", tcp.seq, tcp.ack, tcp.window)?;
                write!(f, " len {}", tcp.payload.len())?;
                for (left, right) in tcp.options.sack.as_slice() {
                    write!(f, " sack {left}..{right}")?;
                }
                Ok(())
            }
            Ok(Frame::Arp { arp, .. }) => write!(f, "{arp:?}"),
            Ok(Frame::Icmp(icmp)) => write!(f, "{} {} {:?}", icmp.ip.src, icmp.ip.dst, icmp.icmp),
            Ok(Frame::Other { reason, .. }) => {
                write!(f, "{} bytes, {reason:?}", record.bytes.len())
            }
            Err(error) => write!(f, "{} bytes, {error}", record.bytes.len()),
        }
    }
}

const LETTERS: [(TcpFlags, char); 6] = [
    (TcpFlags::SYN, 'S'),
    (TcpFlags::FIN, 'F'),
    (TcpFlags::RST, 'R'),
    (TcpFlags::PSH, 'P'),
    (TcpFlags::URG, 'U'),
    (TcpFlags::ACK, 'A'),
];

/// Writes a [`Line`] for every event, as far as the writer takes them.
#[derive(Clone, Copy, Debug, Default)]
pub struct EventPrinter<W>(pub W);

impl<W: Write> EventTap for EventPrinter<W> {
    fn on_event(&mut self, record: &EventRecord<'_>) {
        // Somebody looks at these lines; whoever stops looking ends them, not the run.
        let _ = writeln!(self.0, "{}", Line(*record));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use simoom_core::time::Instant;

    #[test]
    fn what_cannot_be_parsed_is_said_to_be_so() {
        let record = EventRecord {
            at: Instant::from_nanos(25_004_336),
            sent_at: Instant::ZERO,
            link: 3,
            direction: 1,
            fate: Fate::Lost,
            number: 1,
            bytes: &[0; 5],
        };
        let mut printer = EventPrinter(Vec::new());
        printer.on_event(&record);
        assert_eq!(
            String::from_utf8(printer.0).unwrap(),
            "0.025004336s link 3 < lost 5 bytes, Ethernet at byte 0: needs 14 bytes, has 5\n"
        );
    }
}
