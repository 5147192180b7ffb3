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

/// How an interface chooses the queue of a received frame: receive-side scaling.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rss {
    /// The queue for each value of the hash's lowest bits; empty where it does not say.
    pub table: Vec<u32>,
    /// The hash's key; empty where nobody says.
    pub key: Vec<u8>,
    /// The key is the one that the kernel made for its drivers (`net.core.netdev_rss_key`): the interface
    /// shows none, as igb, which writes that one to its NIC. Another driver may not.
    pub key_is_kernels: bool,
    /// What hashes.
    pub hash: HashFunction,
    /// Both directions of a flow are made one before they are hashed.
    pub symmetric: bool,
}

/// What hashes the addresses and ports of a received frame.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum HashFunction {
    /// It does not say.
    #[default]
    Unsaid,
    /// Toeplitz' hash.
    Toeplitz,
    /// The exclusive or of all bytes.
    Xor,
    /// A CRC of 32 bits.
    Crc32,
    /// Another one: the bit that stands for it.
    Other(u8),
}

/// What of a TCP segment over IPv4 is hashed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HashFields {
    /// Both addresses.
    pub addresses: bool,
    /// Both ports.
    pub ports: bool,
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

/// Words of `struct ethtool_rxfh` before its table: cmd, rss_context, indir_size, key_size, four bytes
/// of which the first is the hash function and the second what is done to its input, and a spare one.
const RXFH_WORDS: usize = 6;
/// More entries and bytes of key than any interface has: what it says beyond this is not asked for.
const TABLE_MAX: u32 = 1 << 16;
const KEY_MAX: u32 = 1 << 10;

/// Receive-side scaling, where the interface has it.
///
/// # Errors
/// Where there is no such interface, or it has none.
pub fn rss(interface: &str) -> io::Result<Rss> {
    /// `ETHTOOL_GRSSH`
    const COMMAND: u32 = 0x46;
    // With sizes of 0 it answers sizes alone; then they must be those.
    let mut head = [COMMAND, 0, 0, 0, 0, 0];
    sys::ethtool_words(interface, &mut head)?;
    let (entries, key_bytes) = (head[2], head[3]);
    if entries > TABLE_MAX || key_bytes > KEY_MAX {
        return Err(io::Error::from(io::ErrorKind::InvalidData));
    }
    let mut words = vec![0; RXFH_WORDS + entries as usize + key_bytes.div_ceil(4) as usize];
    words[..4].copy_from_slice(&[COMMAND, 0, entries, key_bytes]);
    sys::ethtool_words(interface, &mut words)?;
    let mut rss = parse_rxfh(&words).ok_or_else(|| io::Error::from(io::ErrorKind::InvalidData))?;
    if rss.key.is_empty()
        && let Some(key) = kernel_key()
    {
        (rss.key, rss.key_is_kernels) = (key, true);
    }
    Ok(rss)
}

/// The kernel's own key, once a driver has asked for it.
fn kernel_key() -> Option<Vec<u8>> {
    parse_kernel_key(&std::fs::read_to_string("/proc/sys/net/core/netdev_rss_key").ok()?)
}

fn parse_kernel_key(text: &str) -> Option<Vec<u8>> {
    let bytes = text.trim().split(':').map(|byte| u8::from_str_radix(byte, 16).ok());
    let key: Vec<u8> = bytes.collect::<Option<_>>()?;
    key.iter().any(|&byte| byte != 0).then_some(key)
}

/// None where the sizes are more than there is.
fn parse_rxfh(words: &[u32]) -> Option<Rss> {
    let (head, rest) = words.split_at_checked(RXFH_WORDS)?;
    let (table, key) = rest.split_at_checked(head[2] as usize)?;
    let key: Vec<u8> = key.iter().flat_map(|word| word.to_ne_bytes()).collect();
    let [function, transform, ..] = head[4].to_ne_bytes();
    Some(Rss {
        table: table.to_vec(),
        key: key.get(..head[3] as usize)?.to_vec(),
        key_is_kernels: false,
        // ETH_RSS_HASH_TOP and those after it.
        hash: match function {
            0 => HashFunction::Unsaid,
            1 => HashFunction::Toeplitz,
            2 => HashFunction::Xor,
            4 => HashFunction::Crc32,
            other => HashFunction::Other(other),
        },
        symmetric: transform != 0,
    })
}

/// What of a TCP segment over IPv4 is hashed, where the interface says it.
///
/// # Errors
/// Where there is no such interface, or it does not say.
pub fn hash_fields(interface: &str) -> io::Result<HashFields> {
    /// `ETHTOOL_GRXFH`
    const COMMAND: u32 = 0x29;
    /// `TCP_V4_FLOW`
    const TCP_OVER_IPV4: u32 = 1;
    // cmd, flow_type, and 64 bits of flags; what follows them in the structure is for other commands.
    let words = sys::ethtool(interface, [COMMAND, TCP_OVER_IPV4, 0, 0])?;
    let [a, b, c, d] = words[2].to_ne_bytes();
    let [e, f, g, h] = words[3].to_ne_bytes();
    Ok(fields_of(u64::from_ne_bytes([a, b, c, d, e, f, g, h])))
}

fn fields_of(flags: u64) -> HashFields {
    // RXH_IP_SRC and RXH_IP_DST; RXH_L4_B_0_1 and RXH_L4_B_2_3, which are TCP's ports.
    let has = |bits: u64| flags & bits == bits;
    HashFields { addresses: has(1 << 4 | 1 << 5), ports: has(1 << 6 | 1 << 7) }
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
        assert!(hash_fields("lo").is_err());
    }

    #[test]
    fn table_key_and_hash_are_read_as_the_kernel_lays_them_out() {
        let tail = |function, transform| u32::from_ne_bytes([function, transform, 0, 0]);
        let key = |bytes| u32::from_ne_bytes(bytes);
        let words =
            [0x46, 0, 4, 6, tail(1, 0), 0, 0, 1, 0, 1, key([1, 2, 3, 4]), key([5, 6, 0, 0])];
        let rss = parse_rxfh(&words).unwrap();
        let said = Rss {
            table: vec![0, 1, 0, 1],
            key: vec![1, 2, 3, 4, 5, 6],
            key_is_kernels: false,
            hash: HashFunction::Toeplitz,
            symmetric: false,
        };
        assert_eq!(rss, said);
        for (function, transform, hash) in [
            (0, 0, HashFunction::Unsaid),
            (2, 1, HashFunction::Xor),
            (4, 0, HashFunction::Crc32),
            (8, 0, HashFunction::Other(8)),
        ] {
            let rss = parse_rxfh(&[0x46, 0, 0, 0, tail(function, transform), 0]).unwrap();
            assert_eq!((rss.hash, rss.symmetric), (hash, transform == 1));
            assert!(rss.table.is_empty() && rss.key.is_empty());
        }
    }

    #[test]
    fn kernels_key_is_read_unless_no_driver_has_asked_for_it() {
        assert_eq!(parse_kernel_key("0a:ff:00\n"), Some(vec![0x0a, 0xff, 0]));
        for none in ["00:00:00\n", "", "0a:fg", "0a:123", "0a::ff"] {
            assert_eq!(parse_kernel_key(none), None, "{none:?}");
        }
    }

    #[test]
    fn sizes_beyond_what_is_there_are_refused() {
        assert_eq!(parse_rxfh(&[0x46, 0, 0, 0, 0]), None);
        assert_eq!(parse_rxfh(&[0x46, 0, 2, 0, 0, 0, 7]), None);
        assert_eq!(parse_rxfh(&[0x46, 0, 1, 5, 0, 0, 7, 7]), None);
    }

    #[test]
    fn fields_are_those_whose_flags_are_both_set() {
        for (flags, addresses, ports) in
            [(0xf0, true, true), (0x30, true, false), (0x40, false, false), (0, false, false)]
        {
            assert_eq!(fields_of(flags), HashFields { addresses, ports });
        }
    }
}
