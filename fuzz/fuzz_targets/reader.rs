//! Any bytes as a capture: read, dissected, fragments put together, to the end.
#![no_main]

use libfuzzer_sys::fuzz_target;
use simoom_pcap::dissect::Dissected;
use simoom_pcap::read::{Capture, DAMAGES_MAX, FRAME_BYTES_MAX, Input};
use simoom_pcap::segments::Segments;
use std::io::Cursor;

/// What a packed input may unpack to here: a bomb takes no memory, but time.
const FRAMES_MAX: u64 = 200_000;

fuzz_target!(|data: &[u8]| {
    // As it is, and in two halves that are merged.
    let (left, right) = data.split_at(data.len() / 2);
    for files in [vec![data], vec![left, right]] {
        let input = |bytes: &&[u8]| Input::new("fuzz", Cursor::new(bytes.to_vec()));
        let capture = Capture::new(files.iter().map(input).collect()).expect("few inputs");
        let mut segments = Segments::new(capture);
        let (mut frames, mut errors) = (0, 0);
        while let Some(item) = segments.next() {
            match item {
                Ok(item) => {
                    frames += 1;
                    assert_eq!(item.frame.number, frames);
                    assert!(item.frame.captured_len <= item.frame.wire_len);
                    assert!(item.frame.captured_len as usize <= FRAME_BYTES_MAX);
                    if let Dissected::Segment(segment) = item.what {
                        assert!(segment.payload.len() as u64 <= u64::from(segment.payload_len));
                    }
                }
                Err(error) => {
                    errors += 1;
                    assert!(!error.to_string().is_empty());
                }
            }
            if frames == FRAMES_MAX {
                return;
            }
        }
        assert!(errors <= files.len() * DAMAGES_MAX as usize);
        let stats = segments.stats();
        let others: u64 = stats.other.iter().sum();
        assert_eq!(stats.segments + stats.fragments + others, frames);
        assert!(segments.next().is_none());
    }
});
