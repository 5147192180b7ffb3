//! Delay that varies from frame to frame.

use crate::seed::Draws;
use simoom_core::time::Duration;

/// What is added to a link's delay, drawn for each frame that is sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Jitter {
    /// Nothing.
    #[default]
    None,
    /// Something of this distribution, in order: no frame arrives before an earlier one.
    InOrder(Variation),
    /// Something of this distribution, each frame on its own: later ones pass earlier ones.
    Reordering(Variation),
}

/// How a span of time is distributed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Variation {
    /// Evenly from zero to `max`, both included.
    Uniform {
        /// The longest.
        max: Duration,
    },
    /// Around `mean` as the sum of twelve even draws (Irwin-Hall), which is normal within 1 % of a
    /// deviation up to two deviations and ends at six. Below zero it is zero.
    Normal {
        /// The middle.
        mean: Duration,
        /// The standard deviation.
        deviation: Duration,
    },
    /// Exponentially, with this mean.
    Exponential {
        /// The mean.
        mean: Duration,
    },
}

/// The standard deviation of the sum of twelve draws from 0..65536: each has (2^32 - 1) / 12 for a
/// variance.
const DEVIATION: i128 = 65536;
/// The mean of that sum.
const MEAN: i128 = 6 * 65535;

impl Variation {
    /// One of them.
    pub(super) fn draw(self, draws: &mut Draws) -> Duration {
        match self {
            Self::Uniform { max } => draws.duration_upto(max),
            Self::Normal { mean, deviation } => {
                let sixteens =
                    |word: u64| [0, 16, 32, 48].map(|by| i128::from(word >> by & 0xffff));
                let sum: i128 = (0..3).flat_map(|_| sixteens(draws.word())).sum();
                let off = (sum - MEAN) * i128::from(deviation.as_nanos()) / DEVIATION;
                let nanos = (i128::from(mean.as_nanos()) + off).clamp(0, i128::from(u64::MAX));
                Duration::from_nanos(nanos as u64)
            }
            Self::Exponential { mean } => draws.exponential(mean),
        }
    }
}
