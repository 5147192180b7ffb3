//! Files that are cut, or lie about lengths.

use super::*;

#[test]
fn a_file_cut_anywhere_gives_the_frames_before_and_says_where() {
    for file in [pcap_micros(EXACT), pcapng(EXACT)] {
        let whole = read(&file).frames;
        let mut ends = vec![];
        for cut in 0..file.len() {
            let all = read(&file[..cut]);
            assert!(whole.starts_with(&all.frames), "{cut}: {all:?}");
            assert!(all.errors.len() <= 1, "{cut}: {all:?}");
            if all.errors.is_empty() {
                ends.push(cut);
            } else {
                assert!(all.errors[0].starts_with("file0: byte "), "{:?}", all.errors);
            }
        }
        // Without an error at the end of a record alone.
        assert!(ends.len() <= EXACT.len() + 1, "{ends:?}");
        assert_eq!(read(&file).errors, [""; 0]);
    }
}

#[test]
fn an_empty_input_and_a_short_one_are_told() {
    assert_eq!(read(b"").errors, ["file0: byte 0: the input is empty"]);
    let expected = "file0: byte 0: expected a capture (pcap or pcapng, as it is or packed by gzip or \
                    zstd), found d4 c3";
    assert_eq!(read(&[0xd4, 0xc3]).errors, [expected]);
    let all = read(&pcap_micros(&[])[..20]);
    let expected = "file0: byte 0: the input ends within the header of a pcap file: 24 bytes expected, \
                    20 are there";
    assert_eq!(all.errors, [expected]);
}

#[test]
fn an_absurd_length_in_pcap_is_told_and_reading_goes_on_behind_it() {
    let frames = [(1_000, &[7u8; 100][..], 100), (2_000, &[8; 100], 100), (3_000, &[9; 100], 100)];
    let mut file = pcap_micros(&frames);
    // The second record's captured length.
    file[24 + 116 + 8..][..4].copy_from_slice(&0xffff_fff0u32.to_le_bytes());
    let mut capture = capture(&[&file]);
    assert_eq!(capture.next_frame().unwrap().unwrap().bytes, [7; 100]);
    let error = capture.next_frame().unwrap().unwrap_err();
    assert!(error.goes_on);
    assert_eq!(
        error.to_string(),
        "file0: byte 140: the length of a frame is 4294967280 bytes, expected 0 to 528384; \
         went on behind it"
    );
    assert_eq!(capture.next_frame().unwrap().unwrap().bytes, [9; 100]);
    assert!(capture.next_frame().is_none());
    assert_eq!((capture.stats().bad_lengths, capture.stats().bytes_passed_over), (1, 116));
    assert!(capture.held() <= 2 * window::CHUNK, "{} bytes held", capture.held());
}

#[test]
fn an_absurd_length_in_pcapng_is_told_and_reading_goes_on_behind_it() {
    let file = pcapng(&[(1, &[7; 100], 100), (2, &[8; 100], 100), (3, &[9; 100], 100)]);
    let block_len = 32 + 100;
    let second = file.len() - 2 * block_len;
    for absurd in [0xffff_fffcu32, 0xffff_ffff, 0, 8, 133, 128, 136] {
        let mut file = file.clone();
        file[second + 4..][..4].copy_from_slice(&absurd.to_le_bytes());
        let all = read(&file);
        let frames: Vec<_> = all.frames.iter().map(|f| f.bytes[0]).collect();
        assert_eq!(frames, [7, 9], "{absurd:#x}: {:?}", all.errors);
        assert_eq!(all.errors.len(), 1, "{absurd:#x}");
        let place = format!("file0: byte {second}: ");
        assert!(all.errors[0].starts_with(&place), "{}", all.errors[0]);
        assert!(all.errors[0].ends_with("; went on behind it"), "{}", all.errors[0]);
    }
}

#[test]
fn a_frame_longer_than_its_block_costs_that_frame_alone() {
    let file = pcapng(&[(1, &[7; 100], 100), (2, &[8; 100], 100), (3, &[9; 100], 100)]);
    let mut file = file;
    let second = file.len() - 2 * 132;
    file[second + 20..][..4].copy_from_slice(&101u32.to_le_bytes());
    let all = read(&file);
    assert_eq!(all.frames.len(), 2);
    let place =
        format!("file0: byte {second}: the length of a frame is 101 bytes, expected 0 to 100");
    assert!(all.errors[0].starts_with(&place), "{}", all.errors[0]);
    assert_eq!(all.stats.bad_blocks, 1);
}

#[test]
fn packets_of_interfaces_that_nobody_described_are_told() {
    let mut file = pcapng(&[(1, b"abcd", 4), (2, b"efgh", 4)]);
    let second = file.len() - 36;
    file[second + 8] = 5;
    let all = read(&file);
    assert_eq!(all.frames.len(), 1);
    assert_eq!(
        all.errors,
        [format!(
            "file0: byte {second}: a packet of interface 5, of which there is no description: the \
             section has 1; went on behind it"
        )]
    );
}

#[test]
fn sections_of_another_version_or_byte_order_are_told() {
    let mut file = pcapng(EXACT);
    file[12] = 2;
    assert_eq!(read(&file).errors, ["file0: byte 0: version 2.0 of pcapng is not known"]);
    let mut file = pcapng(EXACT);
    file[8] = 0;
    let expected = "file0: byte 0: expected a byte order mark (1a2b3c4d), found 003c2b1a";
    assert_eq!(read(&file).errors, [expected]);
    let mut file = pcap_micros(EXACT);
    file[4] = 1;
    assert_eq!(read(&file).errors, ["file0: byte 0: version 1.4 of pcap is not known"]);
}

#[test]
fn an_input_that_is_damaged_all_over_is_given_up() {
    let bytes = [7; 4];
    let frames: Vec<_> = (0..1_000).map(|n| (n, &bytes[..], 4)).collect();
    let mut file = pcapng(&frames);
    for second in (file.len() - 36 * 1_000..file.len()).step_by(36) {
        file[second + 8] = 5;
    }
    let all = read(&file);
    assert_eq!(all.errors.len(), DAMAGES_MAX as usize);
    assert!(all.errors.last().unwrap().ends_with("more than 99 damaged places in one input"));
}

#[test]
fn more_interfaces_than_are_kept_are_told_and_the_first_ones_still_work() {
    let mut writer = PcapNgWriter::with_endianness(Vec::new(), Endianness::Little).unwrap();
    for _ in 0..=INTERFACES_MAX {
        writer.write_pcapng_block(interface(DataLink::ETHERNET, vec![])).unwrap();
    }
    writer.write_pcapng_block(packet(INTERFACES_MAX as u32 - 1, 1, b"x", 1)).unwrap();
    let all = read(&writer.into_inner());
    assert_eq!(all.frames.len(), 1);
    assert_eq!(all.errors.len(), 1);
    assert!(all.errors[0].contains("more than 65536 interfaces in a section"), "{}", all.errors[0]);
}

#[test]
fn a_reader_that_fails_ends_its_input_behind_the_frames_before() {
    let file = pcap_micros(EXACT);
    let all = file.len();
    let reader = Trickle { bytes: io::Cursor::new(file), step: 1_000, fails: true };
    let all_frames = read_all(Capture::new(vec![Input::new("disk", reader)]).unwrap());
    assert_frames(&all_frames, EXACT);
    assert_eq!(all_frames.errors, [format!("disk: byte {all}: the disk is gone")]);
}

/// Every second byte begins what looks like a record of 458,759 bytes, behind which there is none.
#[test]
fn looking_for_a_record_copies_no_more_than_a_few_times_what_it_reads() {
    let mut file = pcap_micros(&[(458_759_000_000_000, b"x", 1)]);
    file.extend_from_slice(&[0xff; 16]);
    file.extend_from_slice(&[0, 7].repeat(2_000_000));
    file.push(0); // so that none ends with the file
    let len = file.len() as u64;
    for step in [1_000, usize::MAX] {
        let reader = Trickle { bytes: io::Cursor::new(file.clone()), step, fails: false };
        let mut capture = Capture::new(vec![Input::new("seven", reader)]).unwrap();
        while capture.next_frame().is_some() {}
        assert_eq!((capture.stats().frames, capture.stats().bytes_passed_over), (1, len - 41));
        assert!(capture.copied() < 4 * len, "{} of {len} bytes", capture.copied());
        assert!(capture.copied() > len / 4, "the window had to grow: {}", capture.copied());
    }
}
