//! Chance: one seed, named streams, sampling functions whose results never change.
//!
//! Each stream is its own ChaCha8 generator, keyed by (seed, stream), so that one more draw in one
//! stream moves no other. The generator is fixed by its definition and the sampling is written
//! here, with golden values in the tests: no upgrade of a dependency moves a seed.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};
use simoom_core::secrets::Secrets;
use simoom_core::time::Duration;
use std::fmt;
use std::str::FromStr;

pub use crate::check::check;

/// What a whole run is decided by. Printed with the version of the expansion below: `v1:4711`.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, PartialOrd, Ord)]
pub struct Seed(pub u64);

/// The version of everything between a seed and its draws. A change of the expansion, of a stream's
/// name or of a sampling function raises it.
pub const SEED_VERSION: u32 = 1;

/// A source of draws with one purpose. Draws in one stream never move another.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Stream {
    /// Which frames a link loses. The number is the link direction's.
    Loss(u32),
    /// Which frames a link delays beyond others, and by how much.
    Reorder(u32),
    /// Which frames a link delivers twice.
    Duplicate(u32),
    /// Which frames a link damages, and where.
    Corrupt(u32),
    /// When a link's losses come in bursts.
    Bursts(u32),
    /// Which acknowledgements a link loses.
    AckLoss(u32),
    /// Which frames a link holds until others have passed.
    Displace(u32),
    /// Which frames a link damages so that checksums do not show it, and where.
    Repaired(u32),
    /// Which frames a link cuts short, and where.
    Truncate(u32),
    /// How much the delay of a link varies.
    Jitter(u32),
    /// When a NIC reads and reports. The number is the port's.
    Dma(u32),
    /// When clients arrive and what they ask for.
    Arrivals,
    /// Whatever a host draws for itself: secrets, local ports.
    Host(u32),
    /// Which configuration a test runs under.
    Choice,
    /// A stream of a user's own. Names are at most 16 bytes and begin with a capital, which none
    /// of the streams above does.
    Named(&'static str, u32),
}

impl Stream {
    fn name(self) -> (&'static str, u32) {
        match self {
            Self::Loss(n) => ("loss", n),
            Self::Reorder(n) => ("reorder", n),
            Self::Duplicate(n) => ("duplicate", n),
            Self::Corrupt(n) => ("corrupt", n),
            Self::Bursts(n) => ("bursts", n),
            Self::AckLoss(n) => ("ack-loss", n),
            Self::Displace(n) => ("displace", n),
            Self::Repaired(n) => ("repaired", n),
            Self::Truncate(n) => ("truncate", n),
            Self::Jitter(n) => ("jitter", n),
            Self::Dma(n) => ("dma", n),
            Self::Arrivals => ("arrivals", 0),
            Self::Host(n) => ("host", n),
            Self::Choice => ("choice", 0),
            Self::Named(name, n) => {
                assert!(
                    name.len() <= 16 && name.starts_with(|c: char| c.is_ascii_uppercase()),
                    "stream name {name:?}: at most 16 bytes, beginning with a capital"
                );
                (name, n)
            }
        }
    }
}

impl Seed {
    /// The generator of one stream. Key: the seed (8 bytes, little endian), the stream's name
    /// (16 bytes, zero padded), its number (8 bytes, little endian).
    pub fn stream(self, stream: Stream) -> Draws {
        let (name, number) = stream.name();
        let mut key = [0; 32];
        key[..8].copy_from_slice(&self.0.to_le_bytes());
        key[8..8 + name.len()].copy_from_slice(name.as_bytes());
        key[24..].copy_from_slice(&u64::from(number).to_le_bytes());
        Draws(ChaCha8Rng::from_seed(key))
    }

    /// The secrets of host `number`'s stack.
    pub fn secrets(self, number: u32) -> Secrets {
        let mut draws = self.stream(Stream::Named("Secrets", number));
        Secrets::new(std::array::from_fn(|_| draws.word()))
    }
}

impl fmt::Display for Seed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "v{SEED_VERSION}:{}", self.0)
    }
}

/// Why a text is not a seed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum SeedError {
    /// Neither a number nor `vN:number`.
    NotANumber(String),
    /// A seed of another version: its draws cannot be repeated by this build.
    OtherVersion(String),
}

impl fmt::Display for SeedError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotANumber(text) => {
                write!(f, "{text:?} is no seed: write a number below 2^64, like 4711 or v1:4711")
            }
            Self::OtherVersion(text) => write!(
                f,
                "seed {text} is of version {}, this build expands version {SEED_VERSION}: repeat it \
                 with the build that printed it",
                text.split(':').next().unwrap_or_default()
            ),
        }
    }
}

impl std::error::Error for SeedError {}

impl FromStr for Seed {
    type Err = SeedError;

    /// Reads `4711` and `v1:4711`.
    fn from_str(text: &str) -> Result<Self, SeedError> {
        let not_a_number = || SeedError::NotANumber(text.to_owned());
        let number = match text.strip_prefix('v') {
            None => text,
            Some(rest) => {
                let (version, number) = rest.split_once(':').ok_or_else(not_a_number)?;
                let version: u32 = version.parse().map_err(|_| not_a_number())?;
                if version != SEED_VERSION {
                    return Err(SeedError::OtherVersion(text.to_owned()));
                }
                number
            }
        };
        // `parse` takes a sign; a seed has none.
        if !number.starts_with(|c: char| c.is_ascii_digit()) {
            return Err(not_a_number());
        }
        number.parse().map(Self).map_err(|_| not_a_number())
    }
}

/// How likely something is, in steps of 2⁻³².
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, PartialOrd, Ord)]
pub struct Chance(u64);

impl Chance {
    /// Never; draws nothing.
    pub const NEVER: Self = Self(0);
    /// Always.
    pub const ALWAYS: Self = Self(1 << 32);

    /// `n` in a million; more than a million is always.
    pub const fn ppm(n: u32) -> Self {
        let n = if n > 1_000_000 { 1_000_000 } else { n as u64 };
        Self((n << 32) / 1_000_000)
    }

    /// `n` in 2³².
    pub const fn per_2_32(n: u32) -> Self {
        Self(n as u64)
    }

    /// Whether it can happen at all.
    #[inline]
    pub const fn is_never(self) -> bool {
        self.0 == 0
    }
}

/// The draws of one stream.
#[derive(Clone, Debug)]
pub struct Draws(ChaCha8Rng);

impl Draws {
    /// 64 uniform bits.
    #[inline]
    pub fn word(&mut self) -> u64 {
        self.0.next_u64()
    }

    /// Uniform in `0..n`, without bias: a product and rejection (Lemire 2019). `n` is not zero.
    #[inline]
    pub fn below(&mut self, n: u64) -> u64 {
        assert!(n != 0, "nothing is below zero");
        loop {
            let product = u128::from(self.word()) * u128::from(n);
            // 2⁶⁴ mod n low products belong to one range more than to the others.
            if product as u64 >= n.wrapping_neg() % n {
                return (product >> 64) as u64;
            }
        }
    }

    /// True with the given chance. Draws nothing where it is [`Chance::NEVER`].
    #[inline]
    pub fn happens(&mut self, chance: Chance) -> bool {
        !chance.is_never() && u64::from(self.0.next_u32()) < chance.0
    }

    /// Uniform from zero to `max`, both included, in nanoseconds.
    #[inline]
    pub fn duration_upto(&mut self, max: Duration) -> Duration {
        match max.as_nanos().checked_add(1) {
            Some(n) => Duration::from_nanos(self.below(n)),
            None => Duration::from_nanos(self.word()),
        }
    }

    /// Exponentially distributed with the given mean: the time to the next arrival of a Poisson
    /// process. At most 37 times the mean, since the underlying draw has 53 bits.
    pub fn exponential(&mut self, mean: Duration) -> Duration {
        // In (0, 1]: the logarithm is finite.
        let uniform = ((self.word() >> 11) + 1) as f64 * (1.0 / (1u64 << 53) as f64);
        Duration::from_nanos((-libm::log(uniform) * mean.as_nanos() as f64) as u64)
    }

    /// Pareto distributed between `low` and `high`, both included: a heavy tail of the given shape, in
    /// thousandths (1,200 is 1.2), cut off at `high`. Neither bound is zero, `low` is not above `high`.
    pub fn bounded_pareto(&mut self, low: u64, high: u64, shape_thousandths: u32) -> u64 {
        assert!(
            0 < low && low <= high && shape_thousandths > 0,
            "no Pareto between {low} and {high}"
        );
        let shape = f64::from(shape_thousandths) / 1000.0;
        // In [0, 1).
        let uniform = (self.word() >> 11) as f64 * (1.0 / (1u64 << 53) as f64);
        let tail = libm::pow(low as f64 / high as f64, shape);
        let x = low as f64 / libm::pow(1.0 - uniform * (1.0 - tail), 1.0 / shape);
        (x as u64).clamp(low, high)
    }

    /// One of the given things. There is at least one.
    pub fn one_of<'a, T>(&mut self, things: &'a [T]) -> &'a T {
        &things[self.below(things.len() as u64) as usize]
    }
}

#[cfg(test)]
mod tests;
