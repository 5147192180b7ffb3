//! Several inputs, and clocks that run backwards.

use super::*;

fn order(all: &All) -> Vec<(u32, u64)> {
    all.frames.iter().map(|frame| (frame.input, frame.at / 1_000)).collect()
}

#[test]
fn inputs_are_merged_by_time_and_ties_go_to_the_first_in_the_list() {
    let a = pcap_micros(&[(1_000, b"a", 1), (4_000, b"a", 1), (5_000, b"a", 1)]);
    let b = pcapng(&[(2_000, b"b", 1), (4_000, b"b", 1), (9_000, b"b", 1)]);
    let c = pcap(&[(4_000, b"c", 1)], TsResolution::NanoSecond, Endianness::Big);
    let all = read_all(capture(&[&a, &b, &c]));
    assert_eq!(order(&all), [(0, 1), (1, 2), (0, 4), (1, 4), (2, 4), (0, 5), (1, 9)]);
    assert_eq!(all.stats.clock_backwards, 0);
}

#[test]
fn a_clock_that_runs_backwards_keeps_its_inputs_order_and_is_counted() {
    let a = pcap_micros(&[(5_000, b"a", 1), (3_000, b"a", 1), (6_000, b"a", 1)]);
    let b = pcap_micros(&[(4_000, b"b", 1), (5_500, b"b", 1)]);
    let all = read_all(capture(&[&a, &b]));
    assert_eq!(order(&all), [(1, 4), (0, 5), (0, 3), (1, 5), (0, 6)]);
    assert_eq!(all.stats.clock_backwards, 1);
}

#[test]
fn an_input_that_is_damaged_leaves_the_others_whole() {
    let good = pcap_micros(EXACT);
    let all = read_all(capture(&[b"GIF89a", &good, &good[..good.len() - 1]]));
    assert_eq!(all.frames.len(), 2 * EXACT.len() - 1);
    assert_eq!(
        all.errors,
        [
            "file0: byte 0: expected a capture (pcap or pcapng, as it is or packed by gzip or zstd), \
             found 47 49 46 38",
            "file2: byte 146: the input ends within the header of a record: 16 bytes expected, 15 are there",
        ]
    );
}

#[test]
fn no_input_and_too_many_are_told() {
    assert!(capture(&[]).next_frame().is_none());
    let files = vec![&b""[..]; INPUTS_MAX + 1];
    let inputs = files.iter().map(|bytes| Input::new("x", *bytes)).collect();
    assert_eq!(Capture::new(inputs).unwrap_err().to_string(), "x: byte 0: more than 128 inputs");
}
