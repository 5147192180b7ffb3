//! What an interface says of its offloads and queues: reading only. ethtool(8) shows the same.

use crate::sys;
use std::io;

/// Work that an interface or the kernel does for it, on or off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Offload {
    /// Received frames are merged by the kernel: generic receive offload.
    Gro,
    /// Received frames are merged by the interface: large receive offload.
    Lro,
    /// Checksums of what the host sends are left to the interface.
    TxChecksum,
}

impl Offload {
    /// All that are asked about.
    pub const ALL: [Self; 3] = [Self::Gro, Self::Lro, Self::TxChecksum];

    /// As `ethtool -K` calls it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Gro => "gro",
            Self::Lro => "lro",
            Self::TxChecksum => "tx",
        }
    }
}

/// Receive-side scaling of an interface.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Rss {
    /// Entries of the table from hash to queue.
    pub table_entries: u32,
    /// Bytes of the hash's key.
    pub key_bytes: u32,
}

/// Whether an offload is on.
///
/// # Errors
/// Where there is no such interface, or it does not say.
pub fn offload(interface: &str, offload: Offload) -> io::Result<bool> {
    /// `ETH_FLAG_LRO`
    const LRO_FLAG: u32 = 1 << 15;
    // ETHTOOL_GGRO, ETHTOOL_GFLAGS, ETHTOOL_GTXCSUM of <linux/ethtool.h>.
    let (command, mask) = match offload {
        Offload::Gro => (0x2b, u32::MAX),
        Offload::Lro => (0x25, LRO_FLAG),
        Offload::TxChecksum => (0x16, u32::MAX),
    };
    let words: [u32; 2] = sys::ethtool(interface, [command, 0])?;
    Ok(words[1] & mask != 0)
}

/// Receive-side scaling, where the interface has it.
///
/// # Errors
/// Where there is no such interface, or it has none.
pub fn rss(interface: &str) -> io::Result<Rss> {
    /// `ETHTOOL_GRSSH`, with sizes of 0: it answers sizes alone.
    const COMMAND: u32 = 0x46;
    // cmd, rss_context, indir_size, key_size, and what follows them in the header.
    let words: [u32; 6] = sys::ethtool(interface, [COMMAND, 0, 0, 0, 0, 0])?;
    Ok(Rss { table_entries: words[2], key_bytes: words[3] })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loopback_says_and_unknown_interfaces_do_not() {
        assert!(offload("lo", Offload::Gro).is_ok());
        assert!(offload("no-such-if0", Offload::Gro).is_err());
        assert!(offload("a name longer than any may be", Offload::Lro).is_err());
        assert!(rss("lo").is_err(), "loopback has no queues to scale over");
    }
}
