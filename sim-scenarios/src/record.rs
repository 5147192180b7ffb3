//! What one of our stacks sends, counted as it sends it.

use simoom_core::seq::SeqNumber;
use simoom_core::stack::FlowKey;
use simoom_core::tcp::Info;
use simoom_core::time::{Duration, Instant};
use simoom_core::trace::Trace;
use simoom_core::wire::tcp::TcpFlags;
use simoom_core::wire::{self, Frame};
use simoom_sim::observe::{Probe, ProbeConfig};
use std::collections::BTreeMap;

/// A connection, as its sender names it: the peer's address and both ports.
type Flow = (u32, u16, u16);

/// Counts the segments of a stack.
#[derive(Clone, Debug, Default)]
pub(crate) struct Recorder {
    /// With text, SYN or FIN.
    pub(crate) segments: u64,
    /// Of these, sent again.
    pub(crate) retransmitted: u64,
    /// Of these, because the timer expired.
    pub(crate) timeouts: u64,
    /// Behind the last number that each connection has sent.
    sent: BTreeMap<Flow, SeqNumber>,
    /// When a SYN of ours was sent first, of connections whose handshake is under way.
    opening: BTreeMap<Flow, Instant>,
    /// The longest handshake: from our SYN, or SYN-ACK, to the peer's answer.
    pub(crate) handshake_max: Option<Duration>,
    /// Congestion windows as segments with text were sent: their sum, and how many they are.
    pub(crate) window_sum: u64,
    pub(crate) windows: u64,
    /// Keeps more, where somebody wants to see it.
    pub(crate) probe: Option<Box<Probe>>,
}

impl Recorder {
    /// A recorder, with a probe that keeps so much.
    pub(crate) fn new(probe: Option<ProbeConfig>) -> Self {
        Self { probe: probe.map(|config| Box::new(Probe::new(config))), ..Self::default() }
    }
}

impl Trace for Recorder {
    fn on_state(&mut self, now: Instant, connection: &FlowKey, after: &Info) {
        if let Some(probe) = &mut self.probe {
            probe.on_state(now, connection, after);
        }
        if !self.opening.is_empty() && after.state.is_synchronized() {
            let (local, remote) = (connection.local(), connection.remote());
            let flow = (remote.ip().to_bits(), local.port(), remote.port());
            if let Some(began) = self.opening.remove(&flow) {
                let took = now.saturating_since(began);
                self.handshake_max = self.handshake_max.max(Some(took));
            }
        }
    }

    fn on_sent(&mut self, now: Instant, frame: &[u8], sender: Option<&Info>) {
        if let Some(probe) = &mut self.probe {
            probe.on_sent(now, frame, sender);
        }
        let (Some(info), Ok(Frame::Tcp(frame))) = (sender, wire::parse(frame, false)) else {
            return;
        };
        let tcp = &frame.tcp;
        if tcp.seg_len() == 0 {
            return;
        }
        self.segments += 1;
        if !frame.tcp.payload.is_empty() {
            self.window_sum += u64::from(info.cwnd);
            self.windows += 1;
        }
        let flow = (frame.ip.dst.to_bits(), tcp.src_port, tcp.dst_port);
        if tcp.flags.contains(TcpFlags::SYN) {
            // One that was given up before its answer began earlier: this is another connection.
            let is_again = self.sent.get(&flow) == Some(&(tcp.seq + 1));
            if !is_again || !self.opening.contains_key(&flow) {
                self.opening.insert(flow, now);
            }
        }
        let end = tcp.seq + tcp.seg_len();
        let sent = self.sent.entry(flow).or_insert(tcp.seq);
        // A port that is used again begins with another number; its SYN is new unless it is the
        // one that was the last thing sent.
        if tcp.flags.contains(TcpFlags::SYN) && end != *sent {
            *sent = tcp.seq;
        }
        if tcp.seq.lt(*sent) {
            self.retransmitted += 1;
            // The first of what is outstanding, and the peer has been silent since the timer.
            self.timeouts += u64::from(tcp.seq == info.snd_una && info.retries > 0);
        }
        if sent.lt(end) {
            *sent = end;
        }
    }
}
