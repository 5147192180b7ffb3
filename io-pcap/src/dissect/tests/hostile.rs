//! Bytes from anywhere: no panic, and what is answered lies within what was given.

use super::*;
use proptest::collection::vec;
use proptest::prelude::*;

const LINKS: [LinkType; 7] = [
    LinkType::Ethernet,
    LinkType::LinuxSll,
    LinkType::LinuxSll2,
    LinkType::RawIp,
    LinkType::Null,
    LinkType::Loop,
    LinkType::Other(9),
];

fn check(link: LinkType, bytes: &[u8], wire_len: u32) -> Result<(), TestCaseError> {
    let (payload, payload_len) = match dissect_bytes(link, bytes, wire_len, Checksums::Verify) {
        Dissected::Segment(seg) => {
            let _ = (seg.seg_len(), seg.is_cut());
            (seg.payload, seg.payload_len)
        }
        Dissected::Fragment(part) => (part.payload, part.payload_len),
        Dissected::Other(_) => return Ok(()),
    };
    prop_assert!(payload.len() as u64 <= u64::from(payload_len));
    let (frame, text) = (bytes.as_ptr_range(), payload.as_ptr_range());
    prop_assert!(payload.is_empty() || (frame.start <= text.start && text.end <= frame.end));
    Ok(())
}

proptest! {
    #[test]
    fn any_bytes_are_dissected(
        link in prop::sample::select(&LINKS),
        bytes in vec(any::<u8>(), 0..200),
        wire_len: u32,
    ) {
        check(link, &bytes, wire_len)?;
    }

    /// Headers that lead on, with anything behind.
    #[test]
    fn any_bytes_behind_good_starts_are_dissected(
        start in 0..7usize,
        rest in vec(any::<u8>(), 0..200),
        changes in vec((any::<prop::sample::Index>(), any::<u8>()), 0..4),
        wire_len in 0u32..300,
    ) {
        let mut bytes = match start {
            0 => frame(v4(), &rest),
            1 => frame(v6(), &rest),
            2 => [&frame(v6(), b"")[..54], &rest].concat(),
            3 => [&frame(v4(), b"")[..34], &rest].concat(),
            4 => ethernet(0x8100, &[&[0, 1, 0x88, 0xa8, 0, 2, 0x86, 0xdd][..], &rest].concat()),
            5 => {
                let mut bytes = frame(v6(), &rest);
                bytes[20] = rest.first().map_or(0, |byte| [0, 43, 44, 51, 60, 135][usize::from(byte % 6)]);
                bytes
            }
            _ => ethernet(0x0800, &rest),
        };
        for (at, value) in changes {
            let at = at.index(bytes.len());
            bytes[at] = value;
        }
        check(LinkType::Ethernet, &bytes, wire_len)?;
        check(LinkType::RawIp, bytes.get(14..).unwrap_or(&[]), wire_len)?;
    }
}
