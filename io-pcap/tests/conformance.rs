//! A recorder is a port like any other, whatever it is around, and what left the port is in its
//! capture; and that capture, served again, gives itself. (The port over a capture passes the
//! suite beside the simulator's, in `port-conformance`.)

use pcap_file::pcapng::blocks::enhanced_packet::EnhancedPacketOption;
use pcap_file::pcapng::{Block, PcapNgReader};
use simoom_core::port::turn_log::{Header, TurnLog};
use simoom_core::port::{Advance, Port};
use simoom_pcap::port::{CaptureFrames, CapturePort, FrameSource, PortConfig, Sent};
use simoom_pcap::read::{Capture, Input};
use simoom_pcap::recorder::Recorder;
use simoom_pcap::writer::{Direction, Interface, Writer};
use simoom_port_conformance::vec_port::{RX_SLOTS, VecPort};
use simoom_port_conformance::{Harness, run_suite, same_bytes, server};
use std::cell::RefCell;
use std::collections::VecDeque;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::thread;

#[test]
fn a_recorder_around_a_prompt_device_passes() {
    run_suite(|| Recorded::new(VecPort::at_once(64)));
}

#[test]
fn a_recorder_around_a_device_that_reads_and_reports_late_passes() {
    run_suite(|| Recorded::new(VecPort::late(64)));
}

#[test]
fn a_recorder_around_a_device_that_gathers_passes_and_writes_whole_frames() {
    run_suite(|| Recorded::new(VecPort::at_once(64).gathering(3)));
    run_suite(|| Recorded::new(VecPort::late(64).gathering(2)));
}

#[test]
fn turn_logs_give_the_same_bytes_through_a_recorder() {
    for (path, log) in turn_logs() {
        let wire = same_bytes(&log, &mut Recorded::new(VecPort::at_once(512))).unwrap();
        assert_eq!(wire.len() as u64, log.output.frames, "{path:?}");
    }
}

#[test]
fn a_recorded_server_serves_its_own_capture_to_the_same_bytes() {
    for (path, log) in turn_logs() {
        let start = server(&log.header).unwrap().config().unix_nanos_at_start;
        let arrivals = log
            .turns
            .iter()
            .flat_map(|turn| turn.received.iter().flatten().map(|frame| (turn.now, frame.clone())));
        let first = serve(&log, arrivals.collect::<VecDeque<_>>());

        let file = io::Cursor::new(first.clone());
        let capture = Capture::new(vec![Input::new("first", file)]).unwrap();
        let inbound = CaptureFrames::new(capture, |frame| frame.direction == Direction::Inbound);
        let again = serve(&log, inbound.starting_at(start));
        assert!(first == again, "{path:?}: {} and {} bytes", first.len(), again.len());
    }
}

/// Serves these frames with the server of `log` and its secrets. Answers the capture.
fn serve(log: &TurnLog, source: impl FrameSource) -> Vec<u8> {
    let start = server(&log.header).unwrap().config().unix_nanos_at_start;
    let writer = Writer::new(Vec::new(), &[Interface::new("served")]).unwrap();
    let port = CapturePort::new(PortConfig::default(), source, Vec::<Sent>::new());
    let mut port = Recorder::new(port, writer, start);
    let header = Header { caps: *port.caps(), ..log.header.clone() };
    let mut stack = server(&header).unwrap();
    let mut wake_at = None;
    while let Some(now) = port.advance(wake_at) {
        wake_at = stack.turn(now, &mut port).unwrap().map(|deadline| deadline.at);
    }
    let (port, writer) = port.into_inner();
    assert!(port.stats().received > 10 && port.stats().sent > 10, "{:?}", port.stats());
    assert_eq!(port.sink().len() as u64, port.stats().sent);
    writer.finish().unwrap()
}

fn turn_logs() -> Vec<(PathBuf, TurnLog)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../testvectors/turn-logs");
    let paths = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let logs: Vec<_> = paths
        .filter(|path| path.extension().is_some_and(|end| end == "turnlog"))
        .map(|path| (path.clone(), TurnLog::decode(&fs::read(&path).unwrap()).unwrap()))
        .collect();
    assert!(!logs.is_empty());
    logs
}

/// A recorder under test. When it goes, its capture is held to what went in and out.
struct Recorded {
    /// None once it was dropped.
    port: Option<Recorder<VecPort, Shared>>,
    sink: Shared,
    came: Vec<Vec<u8>>,
    left: Vec<Vec<u8>>,
}

/// Bytes that can be read after their writer has gone.
#[derive(Clone, Default)]
struct Shared(Rc<RefCell<Vec<u8>>>);

impl io::Write for Shared {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.borrow_mut().extend(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Recorded {
    fn new(port: VecPort) -> Self {
        let sink = Shared::default();
        let writer = Writer::new(sink.clone(), &[Interface::new("memory")]).unwrap();
        let port = Some(Recorder::new(port, writer, 0));
        Self { port, sink, came: vec![], left: vec![] }
    }
}

impl Harness for Recorded {
    type Port = Recorder<VecPort, Shared>;

    fn port(&self) -> &Self::Port {
        self.port.as_ref().unwrap()
    }

    fn port_mut(&mut self) -> &mut Self::Port {
        self.port.as_mut().unwrap()
    }

    fn inject(&mut self, frames: &[&[u8]]) {
        for frame in frames {
            self.came.push(frame.to_vec());
            self.port_mut().inner_mut().arrive(frame);
        }
    }

    fn wire(&mut self) -> Vec<Vec<u8>> {
        let left = self.port_mut().inner_mut().take_wire();
        self.left.extend_from_slice(&left);
        left
    }

    fn let_device_work(&mut self) {
        self.port_mut().inner_mut().work();
    }

    fn rx_room(&self) -> usize {
        RX_SLOTS
    }
}

impl Drop for Recorded {
    fn drop(&mut self) {
        if thread::panicking() {
            return;
        }
        self.wire();
        let (_, writer) = self.port.take().unwrap().into_inner();
        writer.finish().unwrap();

        let file = self.sink.0.borrow();
        let mut reader = PcapNgReader::new(&file[..]).unwrap();
        let (mut received, mut submitted) = (Vec::new(), Vec::new());
        while let Some(block) = reader.next_block() {
            let Block::EnhancedPacket(packet) = block.unwrap() else { continue };
            match packet.options[..] {
                [EnhancedPacketOption::Flags(1)] => received.push(packet.data.to_vec()),
                [EnhancedPacketOption::Flags(2)] => submitted.push(packet.data.to_vec()),
                _ => panic!("{:?}", packet.options),
            }
        }
        // The last ones may not have been fetched, or not have left.
        assert!(self.came.starts_with(&received), "the frames received, and nothing else");
        assert!(submitted.starts_with(&self.left), "the frames that left are the first submitted");
    }
}
