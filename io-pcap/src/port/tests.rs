//! Time, bounds and selection; that it is a port at all is the suite's to say.

use super::*;
use crate::read::{Capture, Frame, Input};
use crate::writer::{Direction, Interface, Packet, Writer};
use std::io::Cursor;

fn at(nanos: u64) -> Instant {
    Instant::from_nanos(nanos)
}

fn port(
    config: PortConfig,
    frames: &[(u64, usize)],
) -> CapturePort<VecDeque<(Instant, Vec<u8>)>, Vec<Sent>> {
    let frames = frames.iter().map(|(nanos, len)| (at(*nanos), vec![7; *len])).collect();
    CapturePort::new(config, frames, Vec::new())
}

fn lens(port: &mut impl Port, max: usize) -> Vec<usize> {
    let mut lens = vec![];
    port.receive(max, |frames| {
        lens.extend(frames.iter().map(|frame| frame.bytes.len()));
        Unclaimed::NONE
    });
    lens
}

#[test]
fn time_goes_to_the_next_frame_or_deadline_whichever_is_first() {
    let mut port = port(PortConfig::default(), &[(10, 60), (10, 61), (30, 62)]);
    assert_eq!(lens(&mut port, 32), [0; 0]);
    assert_eq!(port.advance(Some(at(4))), Some(at(4)));
    assert_eq!(lens(&mut port, 32), [0; 0]);
    assert_eq!(port.advance(Some(at(20))), Some(at(10)));
    assert_eq!(lens(&mut port, 1), [60]);
    // A frame is still due: no time passes, whatever the deadline.
    assert_eq!(port.advance(Some(at(20))), Some(at(10)));
    assert_eq!(lens(&mut port, 32), [61]);
    assert_eq!(port.advance(None), Some(at(30)));
    assert_eq!(lens(&mut port, 32), [62]);
    assert_eq!(port.advance(None), None);
}

#[test]
fn time_never_goes_back() {
    let mut port = port(PortConfig::default(), &[(30, 60), (10, 61)]);
    assert_eq!(port.advance(None), Some(at(30)));
    assert_eq!(lens(&mut port, 1), [60]);
    assert_eq!(port.advance(Some(at(7))), Some(at(30)));
    assert_eq!(lens(&mut port, 32), [61]);
    port.set_now(at(5));
    assert_eq!(port.now(), at(30));
}

#[test]
fn deadlines_behind_the_last_frame_are_served_as_long_as_time_runs_on() {
    let runs_on = Duration::from_nanos(100);
    let mut port = port(PortConfig { runs_on, ..PortConfig::default() }, &[(10, 60)]);
    assert_eq!(port.advance(None), Some(at(10)));
    lens(&mut port, 32);
    assert_eq!(port.advance(Some(at(110))), Some(at(110)));
    assert_eq!(port.advance(Some(at(111))), None);
    assert_eq!(port.advance(None), None);
}

#[test]
fn frames_too_long_for_a_buffer_do_not_arrive_and_are_counted() {
    let mut port = port(PortConfig::default(), &[(1, 1515), (1, 1514), (1, 9000)]);
    port.set_now(at(1));
    assert_eq!(lens(&mut port, 2), [1514]);
    assert_eq!(port.stats(), PortStats { received: 1, too_long: 2, sent: 0 });
}

#[test]
fn what_is_submitted_goes_to_the_sink_with_its_time() {
    let mut port = port(PortConfig::default(), &[]);
    port.set_now(at(9));
    let mut buf = port.take_free().unwrap();
    port.bytes_mut(&mut buf)[..3].copy_from_slice(b"out");
    port.submit(buf, 3).unwrap();
    assert_eq!(port.sink()[..], [Sent { at: at(9), bytes: b"out".to_vec() }]);
}

#[test]
fn a_writer_as_sink_makes_a_capture() {
    let writer = Writer::new(Vec::new(), &[Interface::new("out")]).unwrap();
    let sink = WriterSink::new(writer, 1_000);
    let mut port = CapturePort::new(PortConfig::default(), VecDeque::new(), sink);
    port.set_now(at(9));
    let mut buf = port.take_free().unwrap();
    port.bytes_mut(&mut buf)[..3].copy_from_slice(b"out");
    port.submit(buf, 3).unwrap();
    let file = port.into_parts().1.into_writer().finish().unwrap();
    let mut capture = Capture::new(vec![Input::new("out", Cursor::new(file))]).unwrap();
    let frame = capture.next_frame().unwrap().unwrap();
    assert_eq!((frame.at_unix_nanos, frame.direction), (1_009, Direction::Outbound));
    assert_eq!(frame.bytes, b"out");
}

/// A capture of frames of these lengths on the wire, each cut at 100 bytes, from 5,000 on every
/// 1,000 nanoseconds; every second one outbound.
fn captured(lens: &[usize]) -> Capture {
    let interface = Interface { name: "in", snaplen: 100 };
    let mut writer = Writer::new(Vec::new(), &[interface]).unwrap();
    for (n, len) in lens.iter().enumerate() {
        writer.write(&Packet {
            interface: 0,
            at_unix_nanos: 5_000 + 1_000 * n as u64,
            direction: if n % 2 == 0 { Direction::Outbound } else { Direction::Inbound },
            bytes: &vec![n as u8; *len],
            comment: None,
        });
    }
    let file = writer.finish().unwrap();
    // What is cut off here is an error at the end.
    let file = Cursor::new(file[..file.len() - 1].to_vec());
    Capture::new(vec![Input::new("in", file)]).unwrap()
}

#[test]
fn selected_frames_of_a_capture_arrive_at_their_times() {
    let is_inbound = |frame: &Frame<'_>| frame.direction == Direction::Inbound;
    let source = CaptureFrames::new(captured(&[60, 61, 62, 200, 64, 65, 66, 67]), is_inbound);
    let mut port = CapturePort::new(PortConfig::default(), source, Vec::new());
    let mut seen = vec![];
    while let Some(now) = port.advance(None) {
        seen.extend(lens(&mut port, 32).into_iter().map(|len| (now.as_nanos(), len)));
    }
    // Relative to the first frame, selected or not; the one that was cut cannot be shown.
    assert_eq!(seen, [(1_000, 61), (5_000, 65)]);
    let source = port.source();
    let expected =
        CaptureFramesStats { selected: 2, others: 4, not_ethernet: 0, cut: 1, errors: 1 };
    assert_eq!(source.stats(), expected);
    assert_eq!(source.unix_nanos_at_start(), Some(5_000));
    assert!(source.error().unwrap().to_string().contains("the input ends within a block"));
}

#[test]
fn a_start_that_was_given_moves_all_times() {
    let source = CaptureFrames::new(captured(&[60, 61, 62]), |_| true).starting_at(5_500);
    let mut port = CapturePort::new(PortConfig::default(), source, Vec::new());
    assert_eq!(port.advance(None), Some(at(0)));
    assert_eq!(lens(&mut port, 32), [60]);
    assert_eq!(port.advance(None), Some(at(500)));
}

/// Doubles every frame's first byte, as a replay changes acknowledgements.
struct Doubled<S>(S);

impl<S: FrameSource> FrameSource for Doubled<S> {
    fn next_at(&mut self) -> Option<Instant> {
        self.0.next_at()
    }

    fn take_next(&mut self, frame: &mut Vec<u8>) {
        self.0.take_next(frame);
        frame[0] *= 2;
    }
}

#[test]
fn a_source_can_change_frames_before_the_stack_sees_them() {
    let frames = VecDeque::from([(at(1), vec![7; 60])]);
    let mut port = CapturePort::new(PortConfig::default(), Doubled(frames), Vec::<Sent>::new());
    port.advance(None);
    port.receive(32, |frames| {
        assert_eq!(frames[0].bytes[..2], [14, 7]);
        Unclaimed::NONE
    });
    assert_eq!(port.stats().received, 1);
}
