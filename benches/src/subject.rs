//! What is measured: a server behind a wire of memory, and the region that is timed and counted.

use crate::rx::RxQueue;
use simoom_sim::machine::Work;

/// A server that serves the objects 0.. of a catalogue, and its wire.
pub trait Subject {
    /// The frames it will receive.
    fn rx(&mut self) -> &mut RxQueue;
    /// One turn at `now` nanoseconds. `active` are the connections, numbered in the order in which
    /// they were opened, that the script will talk to: a help to servers that must poll their
    /// sockets. True: call again at once, there is more to do.
    fn turn(&mut self, now: u64, active: &[u32]) -> bool;
    /// Shows the frames that the last turn sent.
    fn last_frames(&self, show: &mut dyn FnMut(&[u8]));
    /// Frames sent, and bytes of text in them, since the start.
    fn sent(&self) -> (u64, u64);
    /// Bytes of the answer to a request for an object, head in.
    fn response_len(&self, object: u32) -> u64;
    /// What it has done so far, where it counts that.
    fn work(&self) -> Work {
        Work::default()
    }
    /// The most packet buffers that were out of the pool at once, where it has such.
    fn buffers_used(&self) -> u32 {
        0
    }
    /// What went wrong, for the message of a script that did not go as written.
    fn diagnosis(&self) -> String;
}

/// Virtual time: goes on by a fixed step before each turn.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    /// Nanoseconds since the start.
    pub now: u64,
    /// Nanoseconds a turn.
    pub step: u64,
}

/// Frames that arrive together, and whom they are from.
#[derive(Clone, Copy, Debug)]
pub struct Stage {
    /// One beyond the number of the last frame.
    pub frames_end: usize,
    /// Where in the script's list of connections those of this stage begin and end.
    pub active: (usize, usize),
}

/// Everything that is timed and counted, and nothing else: turns until each stage's frames are
/// processed. Its name is how the instruction counter knows where to begin.
#[inline(never)]
pub fn measured_region<S: Subject>(
    subject: &mut S,
    stages: &[Stage],
    connections: &[u32],
    clock: &mut Clock,
) {
    for stage in stages {
        subject.rx().release(stage.frames_end);
        loop {
            clock.now += clock.step;
            let more = subject.turn(clock.now, &connections[stage.active.0..stage.active.1]);
            if !more && subject.rx().is_drained() {
                break;
            }
        }
    }
}
