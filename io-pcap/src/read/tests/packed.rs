//! gzip and zstd.

use super::*;
use flate2::Compression;
use flate2::write::GzEncoder;
use ruzstd::encoding::{CompressionLevel, compress_to_vec};
use std::io::Write;

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn zstd(bytes: &[u8]) -> Vec<u8> {
    compress_to_vec(bytes, CompressionLevel::Fastest)
}

/// Large enough for several blocks.
fn long() -> (Vec<u8>, usize) {
    let frame: Vec<u8> = (0..1500u32).map(|n| ((n * n) >> 3) as u8).collect();
    let frames: Vec<_> = (0..400).map(|n| (n * 1_000, &frame[..], 1500)).collect();
    (pcapng(&frames), frames.len())
}

#[test]
fn packed_inputs_give_the_same_frames() {
    let (file, _) = long();
    let plain = read(&file);
    assert_eq!(read(&gzip(&file)), plain);
    assert_eq!(read(&zstd(&file)), plain);
}

#[test]
fn several_members_and_frames_are_one_input() {
    let (file, _) = long();
    let plain = read(&file);
    let (left, right) = file.split_at(100_001);
    assert_eq!(read(&[gzip(left), gzip(right)].concat()), plain);
    // A frame to skip may stand anywhere, also first.
    let skip = b"\x5f\x2a\x4d\x18\x03\0\0\0abc";
    assert_eq!(read(&[&skip[..], &zstd(left), skip, &zstd(right), skip].concat()), plain);
}

#[test]
fn what_is_unpacked_before_the_damage_is_given() {
    let (file, count) = long();
    for packed in [gzip(&file), zstd(&file)] {
        let cut = read(&packed[..packed.len() / 2]);
        assert!(!cut.frames.is_empty() && cut.frames.len() < count, "{}", cut.frames.len());
        assert_eq!(cut.errors.len(), 1);
        assert_eq!(cut.frames[..], read(&file).frames[..cut.frames.len()]);
    }
}

#[test]
fn a_wrong_checksum_is_an_error() {
    let (file, count) = long();
    for mut packed in [gzip(&file), zstd(&file)] {
        // gzip ends with a checksum and a length, zstd with a checksum.
        let at = packed.len() - if packed[0] == 0x1f { 8 } else { 4 };
        packed[at] ^= 1;
        let all = read(&packed);
        assert_eq!((all.frames.len(), all.errors.len()), (count, 1), "{:?}", all.errors);
    }
}

#[test]
fn a_zstd_window_beyond_the_bound_is_refused() {
    // Magic, a descriptor without single segment, a window of 2^(10+31).
    let all = read(b"\x28\xb5\x2f\xfd\x00\xf8\x01\x00\x00");
    assert_eq!(all.frames.len(), 0);
    assert!(all.errors[0].starts_with("file0: byte 0: "), "{}", all.errors[0]);
}
