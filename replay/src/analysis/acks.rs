//! What the server knew when it sent: acknowledgements pass the capture some time before they reach
//! the server, and the server's answer to them passes it some time later. Both ways together are
//! the *lag*; where the capture is at the server, there is none.

/// Samples kept: an eighth of the lag apart, so that they cover it twice.
const SAMPLES: usize = 16;

/// An acknowledgement of the answer, as it passed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Ack {
    /// When it passed.
    pub(super) at: u64,
    /// All below was acknowledged.
    pub(super) una: i64,
    /// When that last grew.
    pub(super) una_at: u64,
    /// The highest offset that the client's window lets the server reach.
    pub(super) edge: i64,
}

/// The latest acknowledgements.
#[derive(Clone, Debug, Default)]
pub(super) struct Acks {
    samples: [Ack; SAMPLES],
    newest: u8,
    len: u8,
}

impl Acks {
    /// Takes an acknowledgement; of those closer together than an eighth of the lag the latest stays.
    pub(super) fn push(&mut self, ack: Ack, lag: u64) {
        let newest = usize::from(self.newest);
        let before = (newest + SAMPLES - 1) % SAMPLES;
        let replaces =
            lag == 0 || self.len > 1 && ack.at.saturating_sub(self.samples[before].at) < lag / 8;
        if !replaces || self.len == 0 {
            self.newest = ((newest + 1) % SAMPLES) as u8;
            self.len = (self.len + 1).min(SAMPLES as u8);
        }
        self.samples[usize::from(self.newest)] = ack;
    }

    /// The latest that had passed at a time; the oldest kept where none is that old.
    pub(super) fn at(&self, time: u64) -> Ack {
        let mut at = usize::from(self.newest);
        for _ in 1..self.len {
            if self.samples[at].at <= time {
                break;
            }
            at = (at + SAMPLES - 1) % SAMPLES;
        }
        self.samples[at]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ack(at: u64) -> Ack {
        Ack { at, una: at as i64, ..Ack::default() }
    }

    #[test]
    fn without_lag_the_latest_counts() {
        let mut acks = Acks::default();
        (1..100).for_each(|at| acks.push(ack(at), 0));
        assert_eq!(acks.at(99).una, 99);
    }

    #[test]
    fn with_a_lag_what_had_passed_then_counts() {
        let mut acks = Acks::default();
        (1..=1000).for_each(|at| acks.push(ack(at), 80));
        for time in [1000, 950, 921] {
            let known = acks.at(time).una;
            assert!((time as i64 - 20..=time as i64).contains(&known), "{time}: {known}");
        }
        assert_eq!(Acks::default().at(7), Ack::default());
    }
}
