//! An IPv4 address with the length of its network's prefix, as in `10.66.0.1/24`.

use std::error::Error;
use std::fmt;
use std::net::Ipv4Addr;
use std::str::FromStr;

/// An address of a host within its subnet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ipv4Prefix {
    addr: Ipv4Addr,
    len: u8,
}

/// Why something is no host address with a prefix. Says what was given and what is wanted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PrefixError {
    given: String,
    why: &'static str,
}

impl Ipv4Prefix {
    /// Host `addr` in a subnet whose prefix has `len` bits: 1 to 31, so that another host fits.
    ///
    /// Refused: an address no host can have (zero, loopback, multicast, 240.0.0.0 and above, the
    /// first and the last of the subnet where `len` is below 31).
    pub fn new(addr: Ipv4Addr, len: u8) -> Result<Self, PrefixError> {
        let refuse = |why| Err(PrefixError { given: format!("{addr}/{len}"), why });
        if !(1..=31).contains(&len) {
            return refuse("the prefix length must be 1 to 31");
        }
        if addr.is_unspecified() || addr.is_loopback() || addr.octets()[0] >= 224 {
            return refuse("no host on a network can have this address");
        }
        let prefix = Self { addr, len };
        if len <= 30 && addr == prefix.network() {
            return refuse("this is the subnet's own address: take the next one");
        }
        if len <= 30 && addr == prefix.broadcast() {
            return refuse("this is the subnet's broadcast address: take the one before");
        }
        Ok(prefix)
    }

    /// The host's address.
    pub fn addr(&self) -> Ipv4Addr {
        self.addr
    }

    /// Bits of the prefix, 1 to 31. (Not a collection's length.)
    #[allow(clippy::len_without_is_empty, reason = "the usual word for a prefix; never empty")]
    pub fn len(&self) -> u8 {
        self.len
    }

    /// The first address of the subnet.
    pub fn network(&self) -> Ipv4Addr {
        Ipv4Addr::from_bits(self.addr.to_bits() & self.mask())
    }

    /// The last address of the subnet.
    pub fn broadcast(&self) -> Ipv4Addr {
        Ipv4Addr::from_bits(self.addr.to_bits() | !self.mask())
    }

    /// Whether `addr` is in the subnet.
    pub fn contains(&self, addr: Ipv4Addr) -> bool {
        addr.to_bits() & self.mask() == self.network().to_bits()
    }

    /// The first host of the subnet that is not this one: what the other end of a cable takes by
    /// default. `10.66.0.2/24` answers `10.66.0.1/24`, and the other way round.
    pub fn first_other(&self) -> Self {
        let first = self.network().to_bits() + u32::from(self.len <= 30);
        let other = if first == self.addr.to_bits() { first + 1 } else { first };
        Self { addr: Ipv4Addr::from_bits(other), len: self.len }
    }

    fn mask(&self) -> u32 {
        u32::MAX << (32 - u32::from(self.len))
    }
}

impl FromStr for Ipv4Prefix {
    type Err = PrefixError;

    /// Reads `10.66.0.1/24`. The length must be there: a subnet is not guessed.
    fn from_str(text: &str) -> Result<Self, PrefixError> {
        let refuse = |why| PrefixError { given: text.to_string(), why };
        let (addr, len) = text
            .split_once('/')
            .ok_or_else(|| refuse("the prefix length is missing: write 10.66.0.1/24"))?;
        let addr = addr
            .parse()
            .map_err(|_| refuse("no IPv4 address before the slash: write 10.66.0.1/24"))?;
        let len =
            len.parse().map_err(|_| refuse("no prefix length after the slash: write /1 to /31"))?;
        Self::new(addr, len)
    }
}

impl fmt::Display for Ipv4Prefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.addr, self.len)
    }
}

impl fmt::Display for PrefixError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "address {:?}: {}", self.given, self.why)
    }
}

impl Error for PrefixError {}

#[cfg(test)]
mod tests {
    use super::*;

    fn prefix(text: &str) -> Ipv4Prefix {
        text.parse().unwrap()
    }

    #[test]
    fn knows_its_subnet() {
        let p = prefix("10.66.0.77/26");
        assert_eq!(p.network(), Ipv4Addr::new(10, 66, 0, 64));
        assert_eq!(p.broadcast(), Ipv4Addr::new(10, 66, 0, 127));
        assert!(p.contains(Ipv4Addr::new(10, 66, 0, 65)));
        assert!(!p.contains(Ipv4Addr::new(10, 66, 0, 128)));
        assert_eq!(p.to_string(), "10.66.0.77/26");
    }

    #[test]
    fn the_other_end_takes_the_first_address_that_is_free() {
        for (ours, theirs) in [
            ("10.66.0.2/24", "10.66.0.1/24"),
            ("10.66.0.1/24", "10.66.0.2/24"),
            ("10.66.0.9/30", "10.66.0.10/30"),
            ("10.66.0.8/31", "10.66.0.9/31"),
            ("10.66.0.9/31", "10.66.0.8/31"),
        ] {
            assert_eq!(prefix(ours).first_other(), prefix(theirs), "{ours}");
        }
    }

    #[test]
    fn refuses_what_no_host_can_have_and_says_what_to_write() {
        for (text, wanted) in [
            ("10.66.0.1", "prefix length is missing"),
            ("10.66.0/24", "no IPv4 address"),
            ("10.66.0.1/x", "no prefix length"),
            ("10.66.0.1/32", "1 to 31"),
            ("10.66.0.1/0", "1 to 31"),
            ("10.66.0.0/24", "take the next one"),
            ("10.66.0.255/24", "take the one before"),
            ("0.0.0.0/8", "no host"),
            ("127.0.0.1/8", "no host"),
            ("224.0.0.1/24", "no host"),
        ] {
            let error = text.parse::<Ipv4Prefix>().unwrap_err().to_string();
            assert!(error.contains(wanted) && error.contains(text), "{text}: {error}");
        }
    }
}
