//! Any bytes as a frame. The first byte chooses the link, the next two say how many bytes the
//! capture cut off.
#![no_main]

use libfuzzer_sys::fuzz_target;
use simoom_pcap::dissect::{Checksums, Dissected, dissect_bytes};
use simoom_pcap::read::LinkType;

const LINKS: [LinkType; 6] = [
    LinkType::Ethernet,
    LinkType::LinuxSll,
    LinkType::LinuxSll2,
    LinkType::RawIp,
    LinkType::Null,
    LinkType::Loop,
];

fuzz_target!(|data: &[u8]| {
    let Some((&[link, high, low], frame)) = data.split_first_chunk() else { return };
    let link = LINKS[usize::from(link) % LINKS.len()];
    let wire_len = frame.len() as u32 + u32::from(u16::from_be_bytes([high, low]));
    let verified = dissect_bytes(link, frame, wire_len, Checksums::Verify);
    let ignored = dissect_bytes(link, frame, wire_len, Checksums::Ignore);
    match (verified, ignored) {
        (Dissected::Segment(verified), Dissected::Segment(mut ignored)) => {
            ignored.checksum = verified.checksum;
            assert_eq!(verified, ignored);
            assert!(verified.payload.len() as u64 <= u64::from(verified.payload_len));
        }
        (verified, ignored) => assert_eq!(verified, ignored),
    }
});
