//! Bytes from anywhere: no panic, bounded memory, every error names its place, and an end.

use super::*;
use proptest::collection::vec;
use proptest::prelude::*;

/// Reads all, and checks what must hold of any input.
fn check(files: &[&[u8]]) -> Result<(), TestCaseError> {
    let mut capture = capture(files);
    let (mut frames, mut errors) = (0u64, 0);
    while let Some(frame) = capture.next_frame() {
        match frame {
            Ok(frame) => {
                frames += 1;
                prop_assert_eq!(frame.number, frames);
                prop_assert!(frame.bytes.len() <= FRAME_BYTES_MAX);
                prop_assert!(frame.wire_len as usize >= frame.bytes.len());
                let _ = frame.comment();
            }
            Err(error) => {
                errors += 1;
                let file =
                    files[error.input.strip_prefix("file").unwrap().parse::<usize>().unwrap()];
                let is_packed = file.starts_with(&[0x1f, 0x8b]) || file.starts_with(&[0x28, 0xb5]);
                prop_assert!(is_packed || error.offset <= file.len() as u64);
                prop_assert!(!error.to_string().is_empty());
            }
        }
        let bound = files.len() * (BLOCK_BYTES_MAX + 2 * window::CHUNK);
        prop_assert!(capture.held() <= bound, "{} bytes held", capture.held());
    }
    prop_assert!(errors <= files.len() * DAMAGES_MAX as usize);
    // The end is the end.
    prop_assert!(capture.next_frame().is_none());
    Ok(())
}

/// A good file of either format.
fn good_file() -> impl Strategy<Value = Vec<u8>> {
    let frame = (0u64..10_000_000_000, vec(any::<u8>(), 0..80), 0u32..2_000);
    (vec(frame, 0..12), 0..4).prop_map(|(frames, format)| {
        let frames: Vec<_> = frames
            .iter()
            .map(|(at, bytes, more)| (*at, &bytes[..], bytes.len() as u32 + more))
            .collect();
        match format {
            0 => pcap_micros(&frames),
            1 => pcap(&frames, TsResolution::NanoSecond, Endianness::Big),
            _ => pcapng(&frames),
        }
    })
}

/// What a fault does to a file.
fn damage(mut file: Vec<u8>, faults: &[(prop::sample::Index, u8, u32)]) -> Vec<u8> {
    for (at, kind, value) in faults {
        if file.is_empty() {
            break;
        }
        let at = at.index(file.len());
        let word = value.to_le_bytes();
        match kind {
            0 => file[at] ^= (*value as u8).max(1),
            1 => file.truncate(at),
            2 => drop(file.remove(at)),
            3 => file.insert(at, *value as u8),
            4 => file.iter_mut().skip(at & !3).zip(word).for_each(|(old, new)| *old = new),
            5 => file.iter_mut().skip(at & !3).zip([0xff; 4]).for_each(|(old, new)| *old = new),
            _ => {
                let tail = file[at..].to_vec();
                file.extend(tail);
            }
        }
    }
    file
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn any_bytes_are_read_to_their_end(magic in 0..8usize, bytes in vec(any::<u8>(), 0..2_000)) {
        let start: &[u8] = match magic {
            0 => b"",
            1 => b"\xd4\xc3\xb2\xa1\x02\0\x04\0",
            2 => b"\xa1\xb2\x3c\x4d\0\x02\0\x04",
            3 => b"\x0a\x0d\x0d\x0a\x1c\0\0\0\x4d\x3c\x2b\x1a\x01\0\0\0\xff\xff\xff\xff\xff\xff\xff\xff\x1c\0\0\0",
            4 => b"\x0a\x0d\x0d\x0a",
            5 => b"\x1f\x8b\x08\0\0\0\0\0\0\x03",
            6 => b"\x28\xb5\x2f\xfd",
            _ => b"\x50\x2a\x4d\x18",
        };
        check(&[&[start, &bytes].concat()])?;
    }

    #[test]
    fn damaged_files_are_read_to_their_end(
        file in good_file(),
        faults in vec((any::<prop::sample::Index>(), 0..7u8, any::<u32>()), 1..6),
        other in good_file(),
    ) {
        let damaged = damage(file, &faults);
        check(&[&damaged])?;
        check(&[&damaged, &other])?;
    }

    #[test]
    fn one_flipped_byte_in_a_block_costs_two_frames_at_most(at in any::<prop::sample::Index>(), flip in 1u8..) {
        let bytes: Vec<_> = (0..60u8).collect();
        let frames: Vec<_> = (0..20u64).map(|n| (n * 1_000_000, &bytes[..], 60)).collect();
        let mut file = pcapng(&frames);
        let head = file.len() - 20 * 92;
        let at = head + at.index(file.len() - head);
        file[at] ^= flip;
        let all = read(&file);
        prop_assert!((18..=20).contains(&all.frames.len()), "byte {at}: {:?}", all.errors);
    }

    /// A record of pcap says its length once: one that grew takes the records in it along.
    #[test]
    fn one_flipped_byte_in_a_record_leaves_those_before_and_costs_what_it_covers(
        at in any::<prop::sample::Index>(),
        flip in 1u8..,
    ) {
        let bytes: Vec<_> = (0..60u8).collect();
        let frames: Vec<_> = (0..20u64).map(|n| (n * 1_000_000, &bytes[..], 60)).collect();
        let mut file = pcap_micros(&frames);
        let at = at.index(20 * 76);
        file[24 + at] ^= flip;
        let all = read(&file);
        prop_assert!((at / 76..=20).contains(&all.frames.len()), "byte {at}: {:?}", all.errors);
        // The length's lowest byte, and everything else, covers three more at most.
        let grew_large = (9..12).contains(&(at % 76));
        prop_assert!(grew_large || all.frames.len() >= 15, "byte {at}: {:?}", all.errors);
    }
}
