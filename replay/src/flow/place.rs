//! One segment in its connection: which side sent it, where it lies, what it changes.

use super::Placed;
use super::class::{Ending, Side};
use super::echo::Echoes;
use super::key::FlowKey;
use super::select::Selection;
use super::stream::{AHEAD_MAX, Stream, Text};
use super::table::{Flow, FlowId, Found, Stage, SynSeen};
use simoom_core::wire::TcpFlags;
use simoom_pcap::dissect::Segment;
use simoom_pcap::read::FrameInfo;
use std::net::SocketAddr;

/// The side taken for the client has to send so much more text than the other before it is taken
/// for the server: more than a request's head and the uploads of most forms.
const MORE_BYTES: u64 = 64 * 1024;

/// A SYN may come so many bytes of text late, behind what it opens, where a capture reorders.
const SYN_LATE_MAX: i64 = 65_536;

/// The higher end of a key is the server, or the lower one; and what tells it. None where neither
/// end is the server that was asked for.
pub(super) type ServerSide = Option<(bool, Found)>;

/// Which end is the server, as far as the first segment tells.
pub(super) fn server_side(
    key: &FlowKey,
    src_is_high: bool,
    segment: &Segment<'_>,
    selection: &Selection,
    is_known: impl Fn(SocketAddr) -> bool,
) -> ServerSide {
    if let Some(asked) = &selection.server {
        match (asked.matches(key.low), asked.matches(key.high)) {
            (false, false) => return None,
            (true, false) => return Some((false, Found::Asked)),
            (false, true) => return Some((true, Found::Asked)),
            (true, true) => {}
        }
    }
    let flags = segment.flags;
    if flags.contains(TcpFlags::SYN) {
        return Some(match flags.contains(TcpFlags::ACK) {
            true => (src_is_high, Found::SynAck),
            false => (!src_is_high, Found::Syn),
        });
    }
    match (is_known(key.low), is_known(key.high)) {
        (true, false) => return Some((false, Found::Known)),
        (false, true) => return Some((true, Found::Known)),
        _ => {}
    }
    let (low, high) = (key.low.port(), key.high.port());
    Some(match (low < 1024, high < 1024) {
        (true, false) => (false, Found::WellKnownPort),
        (false, true) => (true, Found::WellKnownPort),
        _ if low < high => (false, Found::LowerPort),
        _ if high < low => (true, Found::LowerPort),
        _ => (src_is_high, Found::FirstFrame),
    })
}

/// A connection before its first segment is placed.
pub(super) fn begin(
    id: FlowId,
    key: FlowKey,
    hash: u64,
    side: ServerSide,
    frame: &FrameInfo,
    selection: &Selection,
    segment: &Segment<'_>,
) -> Flow {
    let (server_is_high, found) = side.unwrap_or((key.high.port() < key.low.port(), Found::Asked));
    let ends = if server_is_high { [key.low, key.high] } else { [key.high, key.low] };
    let is_foreign = side.is_none();
    let at = frame.at_unix_nanos;
    let is_wanted = !is_foreign
        && selection.clients.is_none_or(|net| net.contains(ends[0].ip()))
        && selection.around_unix_nanos.is_none_or(|around| at <= around);
    let is_syn = segment.flags.contains(TcpFlags::SYN);
    let stage = match segment.flags.contains(TcpFlags::ACK) {
        _ if !is_syn => Stage::Open,
        false => Stage::SynSent,
        true => Stage::SynReceived,
    };
    Flow {
        id,
        ends,
        found,
        is_wanted,
        is_foreign,
        stage,
        opened_at: at,
        last_at: at,
        first_frame: frame.number,
        last_frame: frame.number,
        frames: [0; 2],
        wire_bytes: [0; 2],
        text_bytes: [0; 2],
        copies: 0,
        damaged: 0,
        outside: 0,
        streams: Default::default(),
        syns: [None; 2],
        was_open: !is_syn,
        numbering: Default::default(),
        server_is_high,
        is_out: false,
        hash,
    }
}

/// Whether the segment begins another connection between the same ends: a SYN with other numbers
/// than the known one.
pub(super) fn begins_another(flow: &Flow, src_is_high: bool, segment: &Segment<'_>) -> bool {
    if !segment.flags.contains(TcpFlags::SYN) || segment.flags.contains(TcpFlags::RST) {
        return false;
    }
    let from = side_of(flow, src_is_high);
    let stream = &flow.streams[from.index()];
    if segment.flags.contains(TcpFlags::ACK) {
        // An answer belongs to the SYN that it acknowledges; a server may answer anew.
        let asked = &flow.streams[from.other().index()];
        return match (asked.isn(), stream.isn()) {
            (Some(_), _) => !answers(asked, segment) && stream.isn() != Some(segment.seq),
            (None, Some(isn)) => segment.seq != isn,
            (None, None) => is_far(flow, from, segment),
        };
    }
    match stream.isn() {
        Some(isn) => segment.seq != isn,
        None => is_far(flow, from, segment),
    }
}

/// Whether a segment acknowledges a SYN, or part of the text that came with it (RFC 7413).
fn answers(asked: &Stream, segment: &Segment<'_>) -> bool {
    (0..=asked.next()).contains(&asked.offset(segment.ack))
}

/// Whether a SYN cannot be that of the stream in whose midst the capture found the connection.
fn is_far(flow: &Flow, from: Side, segment: &Segment<'_>) -> bool {
    let stream = &flow.streams[from.index()];
    if matches!(flow.stage, Stage::Over(_)) {
        return true;
    }
    if !stream.is_based() {
        return false;
    }
    let first = stream.offset(segment.seq + 1);
    !(-SYN_LATE_MAX..=0).contains(&first) || stream.next() - first > SYN_LATE_MAX
}

fn side_of(flow: &Flow, src_is_high: bool) -> Side {
    if src_is_high == flow.server_is_high { Side::Server } else { Side::Client }
}

/// Places a segment and takes what it says.
pub(super) fn place(
    flow: &mut Flow,
    src_is_high: bool,
    frame: &FrameInfo,
    segment: &Segment<'_>,
    is_damaged: bool,
    echoes: &mut Echoes,
) -> Placed {
    let is_turned_round = !is_damaged && tells_otherwise(flow, src_is_high, segment);
    let from = side_of(flow, src_is_high);
    let n = from.index();
    flow.frames[n] += 1;
    flow.wire_bytes[n] += u64::from(frame.wire_len);
    flow.last_at = flow.last_at.max(frame.at_unix_nanos);
    flow.last_frame = frame.number;
    let mut placed = Placed {
        flow: flow.id,
        slot: 0,
        from,
        is_first: false,
        is_wanted: false,
        is_copy: false,
        is_damaged,
        is_turned_round,
        seq: flow.streams[n].offset(segment.seq),
        ack: None,
        text: Text::None,
    };
    if is_damaged {
        flow.damaged += 1;
        return placed;
    }
    let way = flow.hash ^ u64::from(src_is_high);
    placed.is_copy = echoes.is_copy(way, &mut flow.numbering[n], frame, segment);
    if placed.is_copy {
        flow.copies += 1;
        return placed;
    }
    flow.text_bytes[n] += u64::from(segment.payload_len);
    take_numbers(flow, from, frame, segment, &mut placed);
    take_flags(flow, from, segment, &placed);
    placed
}

/// Whether the segment shows that client and server were taken for each other; exchanges them then.
fn tells_otherwise(flow: &mut Flow, src_is_high: bool, segment: &Segment<'_>) -> bool {
    if !flow.found.is_guess() {
        return false;
    }
    let from = side_of(flow, src_is_high);
    let (server, found) = if segment.flags.contains(TcpFlags::SYN) {
        match segment.flags.contains(TcpFlags::ACK) {
            true => (from, Found::SynAck),
            false => (from.other(), Found::Syn),
        }
    } else {
        let says_little = matches!(flow.found, Found::LowerPort | Found::FirstFrame);
        let [client, server] = flow.text_bytes;
        if !says_little || client <= server + MORE_BYTES {
            return false;
        }
        (Side::Client, Found::MoreBytes)
    };
    flow.found = found;
    if server == Side::Client {
        flow.turn_round();
    }
    server == Side::Client
}

fn take_numbers(
    flow: &mut Flow,
    from: Side,
    frame: &FrameInfo,
    segment: &Segment<'_>,
    placed: &mut Placed,
) {
    let n = from.index();
    if segment.flags.contains(TcpFlags::SYN) {
        flow.streams[n].on_syn(segment.seq);
        match &mut flow.syns[n] {
            Some(syn) => {
                syn.count = syn.count.saturating_add(1);
                syn.latest_at_unix_nanos = frame.at_unix_nanos;
            }
            none => *none = Some(SynSeen::of(frame, segment)),
        }
    }
    let is_rst = segment.flags.contains(TcpFlags::RST);
    let is_syn = segment.flags.contains(TcpFlags::SYN);
    if !is_rst {
        flow.streams[n].base_at(segment.seq);
    }
    placed.seq = flow.streams[n].offset(segment.seq);
    if !is_rst {
        let first = placed.seq + i64::from(is_syn);
        let fin = segment.flags.contains(TcpFlags::FIN);
        placed.text = flow.streams[n].on_text(first, segment.payload_len, fin);
        flow.outside += u64::from(placed.text == Text::Outside);
    }
    if segment.flags.contains(TcpFlags::ACK) {
        let acked = &mut flow.streams[from.other().index()];
        // A reset may acknowledge anything.
        if !is_rst {
            acked.base_at(segment.ack);
        }
        let ack = acked.offset(segment.ack);
        placed.ack = Some(ack);
        if !is_rst && acked.is_based() && !acked.on_ack(ack, frame.number) {
            flow.outside += 1;
        }
    }
}

fn take_flags(flow: &mut Flow, from: Side, segment: &Segment<'_>, placed: &Placed) {
    let is_over = matches!(flow.stage, Stage::Over(_));
    if segment.flags.contains(TcpFlags::RST) {
        if !is_over && is_believed(flow, from, segment, placed.seq) {
            flow.stage = Stage::Over(Ending::Reset(from));
        }
        return;
    }
    if segment.flags.contains(TcpFlags::SYN) {
        if flow.stage == Stage::SynSent && flow.syns[1].is_some() {
            flow.stage = Stage::SynReceived;
        }
        return;
    }
    // Who resets says no more: the RST was another's, or not taken.
    let goes_on = flow.stage == Stage::Over(Ending::Reset(from)) && placed.text == Text::New;
    let is_answer = from == Side::Client || placed.text != Text::None || flow.syns[1].is_none();
    if goes_on || !is_over && is_answer {
        flow.stage = Stage::Open;
        flow.was_open = true;
    }
    if flow.stage == Stage::Open && flow.streams.iter().all(|stream| stream.is_finished()) {
        flow.stage = Stage::Over(Ending::Closed);
    }
}

/// Whether the other side would believe an RST: in answer to SYN by its acknowledgement, else by
/// its number. RFC 9293 §3.10.7.3, §3.10.7.4.
fn is_believed(flow: &Flow, from: Side, segment: &Segment<'_>, seq: i64) -> bool {
    let stream = &flow.streams[from.index()];
    let other = &flow.streams[from.other().index()];
    if from == Side::Server && flow.stage == Stage::SynSent {
        let is_answer = other.isn().is_none() || answers(other, segment);
        return segment.flags.contains(TcpFlags::ACK) && is_answer;
    }
    !stream.is_based() || (stream.acked() - 1..=stream.next() + AHEAD_MAX).contains(&seq)
}
