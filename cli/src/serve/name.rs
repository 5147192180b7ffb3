//! Ports as named on the command line.

use std::fmt;
use std::str::FromStr;

/// A port to serve through.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum PortName {
    /// `tap:NAME`
    Tap(TapName),
    /// What netmap names, as `netmap:NAME` or `valeN:NAME`.
    Netmap(simoom_netmap::name::PortName),
}

impl PortName {
    /// The name as a part of a file's name.
    pub(super) fn for_a_file(&self) -> String {
        match self {
            Self::Tap(name) => name.0.clone(),
            Self::Netmap(name) => name.to_string().replace(':', "-"),
        }
    }
}

impl fmt::Display for PortName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tap(name) => name.fmt(f),
            Self::Netmap(name) => name.fmt(f),
        }
    }
}

impl FromStr for PortName {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.split_once(':') {
            Some((kind, _)) if kind == "netmap" || kind.starts_with("vale") => {
                text.parse().map(Self::Netmap).map_err(|e: simoom_netmap::name::NameError| e.why)
            }
            Some((kind, _)) if kind != "tap" => {
                Err(format!("no port is of kind {kind:?}: write tap:NAME or netmap:NAME"))
            }
            _ => text.parse().map(Self::Tap),
        }
    }
}

/// A TAP device, as `tap:NAME`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct TapName(String);

impl TapName {
    /// The interface's name.
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for TapName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "tap:{}", self.0)
    }
}

impl FromStr for TapName {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.split_once(':') {
            Some(("tap", name)) if !name.is_empty() => Ok(Self(name.into())),
            Some(("tap", _)) => Err("the interface's name is missing: write tap:simoom0".into()),
            Some((kind, _)) => Err(format!("no port is of kind {kind:?}: write tap:NAME")),
            None => Err(format!("the kind of port is missing: write tap:{text}")),
        }
    }
}
