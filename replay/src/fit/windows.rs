//! The client's window while its connection lasts: by how much of the stream it had acknowledged, and
//! for how long already.

/// Steps kept for one connection. Later ones are counted.
pub const STEPS_MAX: usize = 256;

/// A change of less than one part in so many is no step.
const STEP_PART: u32 = 4;

/// From here on the window is another.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct WindowStep {
    /// Bytes of the server's stream acknowledged.
    pub upto: u64,
    /// Nanoseconds since that many were: more than zero where the client made room later.
    pub after: u64,
    /// Bytes behind `upto` that it takes.
    pub window: u32,
}

/// The windows of a client.
#[derive(Clone, Debug, Default)]
pub(super) struct Windows {
    /// The window field of the SYN: never scaled.
    pub(super) first: u32,
    pub(super) most: u32,
    pub(super) steps: Vec<WindowStep>,
    pub(super) left_out: u32,
    pub(super) samples: u32,
    pub(super) closed: u32,
    upto: i64,
    since: u64,
}

impl Windows {
    pub(super) fn begin(&mut self, window: u32) {
        self.first = window;
        self.most = self.most.max(window);
    }

    pub(super) fn on_segment(&mut self, ack: i64, at: u64, field: u16, shift: u8) {
        let window = u32::from(field) << shift;
        self.samples = self.samples.saturating_add(1);
        self.most = self.most.max(window);
        if ack < self.upto {
            return;
        }
        if ack > self.upto || self.since == 0 {
            self.upto = ack;
            self.since = at;
        }
        let differs = |last: &WindowStep| {
            window.abs_diff(last.window) > last.window / STEP_PART
                || (window == 0) != (last.window == 0)
        };
        if !self.steps.last().is_none_or(differs) {
            return;
        }
        self.closed += u32::from(window == 0);
        if self.steps.len() == STEPS_MAX {
            self.left_out = self.left_out.saturating_add(1);
            return;
        }
        let upto = u64::try_from(ack).unwrap_or(0);
        self.steps.push(WindowStep { upto, after: at.saturating_sub(self.since), window });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_are_by_offset_and_by_how_long_it_stood() {
        let mut windows = Windows::default();
        windows.begin(64_240);
        windows.on_segment(0, 100, 502, 7);
        windows.on_segment(1_000, 200, 502, 7);
        windows.on_segment(2_000, 300, 0, 7);
        windows.on_segment(2_000, 900, 400, 7);
        let step = |upto, after, window| WindowStep { upto, after, window };
        assert_eq!(
            windows.steps,
            [step(0, 0, 64_256), step(2_000, 0, 0), step(2_000, 600, 51_200)]
        );
        assert_eq!((windows.first, windows.most, windows.closed), (64_240, 64_256, 1));
    }

    #[test]
    fn steps_beyond_the_bound_are_counted() {
        let mut windows = Windows::default();
        for n in 0..300i64 {
            windows.on_segment(n, n as u64, if n % 2 == 0 { 100 } else { 200 }, 0);
        }
        assert_eq!((windows.steps.len(), windows.left_out), (STEPS_MAX, 22));
    }
}
