//! Faults as text: for the environment, for files, for a report.
//!
//! A list is its faults, separated by commas. A fault is `LINK DIRECTION:FRAME:KIND` without the
//! blanks, where the direction is `f` (from the end named first) or `b`: `0f:3:lost`. Kinds:
//!
//! | text | what |
//! |---|---|
//! | `lost` | [`FaultKind::Lost`] |
//! | `late=1500000` | [`FaultKind::Delayed`], nanoseconds |
//! | `twice` | [`FaultKind::Duplicated`] |
//! | `flip=60^81` | [`FaultKind::Corrupted`]: bits 0x81 of byte 60 |
//! | `forge=60^81` | the same, checksums repaired |
//! | `cut=40` | [`FaultKind::Truncated`], bytes |
//! | `behind=3/1500000` | [`FaultKind::Displaced`]: frames, nanoseconds |
//!
//! Where a test makes several worlds, faults of the second begin with `w2/`, and so on.

use super::{Fault, FaultKind};
use crate::case::CaseFault;
use simoom_core::time::Duration;
use std::fmt;
use std::str::FromStr;

/// A text that is no fault.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FaultTextError(String);

impl fmt::Display for FaultTextError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} is no fault: write LINK, f or b, frame and kind, like 0f:3:lost", self.0)
    }
}

impl std::error::Error for FaultTextError {}

impl FromStr for CaseFault {
    type Err = FaultTextError;

    fn from_str(text: &str) -> Result<Self, FaultTextError> {
        let wrong = || FaultTextError(text.to_owned());
        let (world, rest) = match text.strip_prefix('w') {
            Some(rest) => {
                let (world, rest) = rest.split_once('/').ok_or_else(wrong)?;
                (number(world).filter(|n| *n > 0).ok_or_else(wrong)?, rest)
            }
            None => (1, text),
        };
        let fault = parse(rest).ok_or_else(wrong)?;
        Ok(Self { world, fault })
    }
}

impl FromStr for Fault {
    type Err = FaultTextError;

    fn from_str(text: &str) -> Result<Self, FaultTextError> {
        parse(text).ok_or_else(|| FaultTextError(text.to_owned()))
    }
}

/// A number without sign or blanks.
fn number<T: FromStr>(text: &str) -> Option<T> {
    text.starts_with(|c: char| c.is_ascii_digit()).then(|| text.parse().ok()).flatten()
}

fn parse(text: &str) -> Option<Fault> {
    let mut parts = text.splitn(3, ':');
    let (way, frame, kind) = (parts.next()?, parts.next()?, parts.next()?);
    let (link, direction) = way.split_at_checked(way.len().checked_sub(1)?)?;
    let direction = match direction {
        "f" => 0,
        "b" => 1,
        _ => return None,
    };
    let way = number::<u32>(link)?.checked_mul(2)? + direction;
    let frame = number(frame).filter(|frame| *frame > 0)?;
    let (name, value) = kind.split_once('=').unwrap_or((kind, ""));
    let corrupted = |repaired| {
        let (offset, mask) = value.split_once('^')?;
        let mask = u8::from_str_radix(mask, 16).ok().filter(|mask| *mask != 0)?;
        Some(FaultKind::Corrupted { offset: number(offset)?, mask, repaired })
    };
    let kind = match name {
        "lost" if kind == name => FaultKind::Lost,
        "twice" if kind == name => FaultKind::Duplicated,
        "late" => FaultKind::Delayed(Duration::from_nanos(number(value)?)),
        "flip" => corrupted(false)?,
        "forge" => corrupted(true)?,
        "cut" => FaultKind::Truncated { len: number(value)? },
        "behind" => {
            let (frames, nanos) = value.split_once('/')?;
            let frames = number(frames).filter(|frames| *frames > 0)?;
            FaultKind::Displaced { frames, time_max: Duration::from_nanos(number(nanos)?) }
        }
        _ => return None,
    };
    Some(Fault { way, frame, kind })
}

/// A fault as text that [`CaseFault::from_str`] reads.
impl fmt::Display for CaseFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { world, fault: Fault { way, frame, kind } } = self;
        if *world != 1 {
            write!(f, "w{world}/")?;
        }
        write!(f, "{}{}:{frame}:", way / 2, if way % 2 == 0 { 'f' } else { 'b' })?;
        match kind {
            FaultKind::Lost => f.write_str("lost"),
            FaultKind::Delayed(by) => write!(f, "late={}", by.as_nanos()),
            FaultKind::Duplicated => f.write_str("twice"),
            FaultKind::Corrupted { offset, mask, repaired } => {
                write!(f, "{}={offset}^{mask:02x}", if *repaired { "forge" } else { "flip" })
            }
            FaultKind::Truncated { len } => write!(f, "cut={len}"),
            FaultKind::Displaced { frames, time_max } => {
                write!(f, "behind={frames}/{}", time_max.as_nanos())
            }
        }
    }
}

/// Reads a list: the text that [`print_faults`] writes. Blanks around commas are allowed.
///
/// # Errors
/// The first part that is no fault.
pub fn parse_faults(text: &str) -> Result<Vec<CaseFault>, FaultTextError> {
    let parts = text.split(',').map(str::trim).filter(|part| !part.is_empty());
    parts.map(str::parse).collect()
}

/// Writes a list, for `SIMOOM_FAULTS`.
pub fn print_faults(faults: &[CaseFault]) -> String {
    let texts: Vec<_> = faults.iter().map(CaseFault::to_string).collect();
    texts.join(",")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn any_kind() -> impl Strategy<Value = FaultKind> {
        prop_oneof![
            Just(FaultKind::Lost),
            Just(FaultKind::Duplicated),
            any::<u64>().prop_map(|n| FaultKind::Delayed(Duration::from_nanos(n))),
            (any::<u16>(), 1u8.., any::<bool>()).prop_map(|(offset, mask, repaired)| {
                FaultKind::Corrupted { offset, mask, repaired }
            }),
            any::<u16>().prop_map(|len| FaultKind::Truncated { len }),
            (1u32.., any::<u64>()).prop_map(|(frames, n)| FaultKind::Displaced {
                frames,
                time_max: Duration::from_nanos(n)
            }),
        ]
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_back(
            list in prop::collection::vec((1u32..100, any::<u32>(), 1u64.., any_kind()), 0..9)
        ) {
            let list: Vec<_> = list
                .into_iter()
                .map(|(world, way, frame, kind)| CaseFault { world, fault: Fault { way, frame, kind } })
                .collect();
            prop_assert_eq!(parse_faults(&print_faults(&list)), Ok(list));
        }
    }

    #[test]
    fn the_text_is_as_documented() {
        let list = parse_faults("0f:3:lost, w2/1b:7:late=1500,0f:9:flip=60^81").unwrap();
        let fault = |way, frame, kind| Fault { way, frame, kind };
        assert_eq!(list[0], CaseFault { world: 1, fault: fault(0, 3, FaultKind::Lost) });
        let late = FaultKind::Delayed(Duration::from_nanos(1500));
        assert_eq!(list[1], CaseFault { world: 2, fault: fault(3, 7, late) });
        let flip = FaultKind::Corrupted { offset: 60, mask: 0x81, repaired: false };
        assert_eq!(list[2], CaseFault { world: 1, fault: fault(0, 9, flip) });
        assert_eq!(parse_faults(""), Ok(Vec::new()));
    }

    #[test]
    fn what_is_no_fault_is_refused_and_named() {
        for wrong in [
            "lost",
            "0f:lost",
            "0x:3:lost",
            "f:3:lost",
            "0f:0:lost",
            "0f:3:lost=1",
            "0f:3:late",
            "0f:3:late=-1",
            "0f:3:flip=60",
            "0f:3:flip=60^00",
            "0f:3:behind=0/5",
            "0f:3:eaten",
            "w0/0f:3:lost",
            "w/0f:3:lost",
            "+1f:3:lost",
            "0f:3:",
            "4294967295f:1:lost",
        ] {
            let error = parse_faults(&format!("0f:1:lost,{wrong}")).unwrap_err();
            assert!(error.to_string().contains(&format!("{wrong:?}")), "{error}");
        }
    }
}
