//! What is drawn of a few connections: the server's segments and the client's acknowledgements.

use simoom_pcap::dissect::Segment;
use simoom_pcap::segments::Item;
use simoom_replay::analysis::Sink;
use simoom_replay::flow::{Flow, FlowId, Placed, Side, Text};
use simoom_report::plots::{Sequence, SequenceMark};

/// Connections that are drawn.
pub(super) const DRAWN_MAX: usize = 8;

/// Marks kept of one connection. What comes later is not drawn; the page says so.
const MARKS_MAX: usize = 40_000;

/// A connection that is drawn.
#[derive(Debug)]
pub(super) struct Drawn {
    pub(super) id: FlowId,
    pub(super) title: String,
    pub(super) marks: Vec<SequenceMark>,
    pub(super) left_out: u64,
    opened_at: u64,
    shift: Option<u8>,
}

/// The connections that are drawn.
#[derive(Debug)]
pub(super) struct Marks {
    wanted: Vec<FlowId>,
    pub(super) drawn: Vec<Drawn>,
}

impl Marks {
    /// Of these connections, the first [`DRAWN_MAX`].
    pub(super) fn of(mut wanted: Vec<FlowId>) -> Self {
        wanted.truncate(DRAWN_MAX);
        Self { wanted, drawn: Vec::new() }
    }
}

impl Sink for Marks {
    fn on_segment(&mut self, item: &Item<'_>, segment: &Segment<'_>, placed: &Placed, flow: &Flow) {
        if !self.wanted.contains(&placed.flow) {
            return;
        }
        let at = match self.drawn.iter().position(|drawn| drawn.id == placed.flow) {
            Some(at) => at,
            None => {
                let title = format!("#{} {} to {}", flow.id.0, flow.client(), flow.server());
                self.drawn.push(Drawn {
                    id: flow.id,
                    title,
                    marks: Vec::new(),
                    left_out: 0,
                    opened_at: flow.opened_at,
                    shift: None,
                });
                self.drawn.len() - 1
            }
        };
        self.drawn[at].take(item, segment, placed, flow);
    }
}

impl Drawn {
    fn take(&mut self, item: &Item<'_>, segment: &Segment<'_>, placed: &Placed, flow: &Flow) {
        if self.marks.len() >= MARKS_MAX {
            self.left_out += 1;
            return;
        }
        if let [Some(client), Some(server)] = &flow.syns {
            let both = client.window_scale.zip(server.window_scale);
            self.shift = Some(both.map_or(0, |(client, _)| client));
        }
        let at = item.frame.at_unix_nanos.saturating_sub(self.opened_at) as f64 / 1e9;
        let offset = |offset: i64| offset.max(0) as u64;
        let note = format!("frame {}", item.frame.number);
        if placed.from == Side::Server {
            let from = offset(placed.seq);
            let upto = offset(placed.seq + i64::from(segment.payload_len));
            if upto > from {
                let kind = match placed.text {
                    Text::New => Sequence::Sent,
                    _ => Sequence::Retransmitted,
                };
                self.marks.push(SequenceMark { at, kind, from, upto, note });
            }
            return;
        }
        let Some(ack) = placed.ack else { return };
        let upto = offset(ack);
        let acked = SequenceMark { at, kind: Sequence::Acked, from: 0, upto, note: note.clone() };
        self.marks.push(acked);
        if let Some(shift) = self.shift {
            let upto = upto + (u64::from(segment.window) << shift);
            let kind = Sequence::Window;
            self.marks.push(SequenceMark { at, kind, from: 0, upto, note: note.clone() });
        }
        for (left, right) in segment.options.sack.as_slice() {
            let stream = &flow.streams[Side::Server.index()];
            let (from, upto) = (offset(stream.offset(*left)), offset(stream.offset(*right)));
            if from < upto {
                let kind = Sequence::Sacked;
                self.marks.push(SequenceMark { at, kind, from, upto, note: note.clone() });
            }
        }
    }
}
