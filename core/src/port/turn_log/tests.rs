use super::codec::{
    CALLS_MAX, CONFIG_BYTES_MAX, CONFIG_BYTES_MAX_1, CONTENT_BYTES_MAX, CONTENT_FILES_MAX,
    FRAME_BYTES_MAX, LogError, MAGIC,
};
use super::*;
use crate::port::{BATCH_MAX, ChecksumOffload};
use alloc::collections::VecDeque;
use alloc::string::ToString;
use alloc::vec;
use proptest::collection::vec as many;
use proptest::prelude::*;

const CAPS: PortCaps = PortCaps {
    frame_max: 64,
    buffers: 4,
    tx_slots: 3,
    tx_hold_max: 0,
    tx_hold_idle: 0,
    max_frags: 1,
    checksum: ChecksumOffload { tx: false, rx: true },
};

/// A port whose slots grow by one each time that somebody asks, as a live ring's may.
struct Restless {
    memory: Vec<[u8; 64]>,
    free: Vec<u32>,
    ring: VecDeque<u32>,
    /// The peer keeps every second buffer, and the port gets another for it.
    exchanges: bool,
    slots: core::cell::Cell<usize>,
    inbox: VecDeque<Vec<u8>>,
}

impl Restless {
    fn new() -> Self {
        Self {
            memory: vec![[0; 64]; CAPS.buffers as usize],
            free: (0..CAPS.buffers).collect(),
            ring: VecDeque::new(),
            exchanges: false,
            slots: 0.into(),
            inbox: VecDeque::new(),
        }
    }
}

impl Port for Restless {
    type Error = ();
    fn caps(&self) -> &PortCaps {
        &CAPS
    }
    fn bytes(&self, buf: &Buf) -> &[u8] {
        &self.memory[buf.index() as usize]
    }
    fn bytes_mut(&mut self, buf: &mut Buf) -> &mut [u8] {
        &mut self.memory[buf.index() as usize]
    }
    fn copy(&mut self, from: &Buf, to: &mut Buf, len: usize) {
        let from = self.memory[from.index() as usize];
        self.memory[to.index() as usize][..len].copy_from_slice(&from[..len]);
    }
    fn take_free(&mut self) -> Option<Buf> {
        self.free.pop().map(|index| Buf::mint(0, index))
    }
    fn give_back(&mut self, buf: Buf) {
        self.free.push(buf.index());
    }
    fn free(&self) -> usize {
        self.free.len()
    }
    fn receive(
        &mut self,
        max: usize,
        mut on_batch: impl FnMut(&[RxFrame<'_>]) -> Unclaimed,
    ) -> usize {
        let count = max.min(BATCH_MAX).min(self.inbox.len());
        let frames: Vec<_> = self.inbox.drain(..count).collect();
        if count > 0 {
            on_batch(&frames.iter().map(|bytes| RxFrame { bytes }).collect::<Vec<_>>());
        }
        count
    }
    fn tx_free(&self) -> usize {
        self.slots.set(self.slots.get() + 1);
        self.slots.get()
    }
    fn submit(&mut self, buf: Buf, _len: u16) -> Result<(), TxFull> {
        if self.slots.get() == 0 {
            return Err(TxFull(buf));
        }
        self.slots.set(self.slots.get() - 1);
        self.ring.push_back(buf.index());
        Ok(())
    }
    fn reclaim(&mut self, mut on_done: impl FnMut(Buf) -> Option<Buf>) -> usize {
        let done = core::mem::take(&mut self.ring);
        for (place, &index) in done.iter().enumerate() {
            let buf = Buf::mint(0, index);
            let buf = if self.exchanges && place % 2 == 1 { buf.without_bytes() } else { buf };
            if let Some(buf) = on_done(buf) {
                self.free.push(buf.index());
            }
        }
        done.len()
    }
    fn sync_tx(&mut self, _how: TxSync) -> Result<(), ()> {
        Ok(())
    }
    fn census(&self) -> Census {
        Census { free: self.free.len() as u32, caller: 0, device: self.ring.len() as u32 }
    }
}

fn at(nanos: u64) -> Instant {
    Instant::from_nanos(nanos)
}

/// One turn of a caller that submits a frame of `fill` as often as `tx_free` says, at most twice.
fn echo_turn(port: &mut Recorder<Restless>, now: Instant, fill: u8) -> usize {
    port.begin(now);
    port.reclaim(Some);
    port.receive(8, |_| Unclaimed::NONE);
    let mut sent = 0;
    while sent < 2 && port.tx_free() > 0 {
        let mut buf = port.take_free().unwrap();
        port.bytes_mut(&mut buf)[..3].fill(fill);
        port.submit(buf, 3).unwrap();
        sent += 1;
    }
    port.sync_tx(TxSync::Push).unwrap();
    sent
}

#[test]
fn recorder_writes_down_what_the_port_told() {
    let mut port = Restless::new();
    port.inbox.extend([vec![1], vec![2, 2]]);
    let mut recorder = Recorder::new(port, "test".to_string(), Some([1, 2, 3, 4]), 1 << 20);
    // Asked at the start (1), at the turn's begin (2), after reclaim (3).
    assert_eq!(echo_turn(&mut recorder, at(5), 0xa), 2);
    // Two went out (1), the turn's begin (2), after reclaim (3).
    assert_eq!(echo_turn(&mut recorder, at(9), 0xb), 2);
    let (_, log) = recorder.finish();

    let mut sum = OutputSum::default();
    for fill in [0xa, 0xa, 0xb, 0xb] {
        sum.push(&[fill; 3]);
    }
    assert_eq!(log.output, sum.output());
    assert_eq!(
        log.turns,
        [
            Turn {
                now: at(5),
                tx_free: 2,
                buffers_free: 4,
                reclaims: vec![Reclaim { tx_free: 3, ..Reclaim::default() }],
                received: vec![vec![vec![1], vec![2, 2]]],
            },
            Turn {
                now: at(9),
                tx_free: 2,
                buffers_free: 2,
                reclaims: vec![Reclaim { completed: 2, tx_free: 3, lost: vec![] }],
                received: vec![vec![]],
            },
        ]
    );
    assert_eq!(
        log.header,
        Header { caps: CAPS, secrets: Some([1, 2, 3, 4]), config: "test".into(), content: vec![] }
    );
}

#[test]
fn recorder_writes_down_which_completions_came_without_their_bytes() {
    let port = Restless { exchanges: true, ..Restless::new() };
    let mut recorder = Recorder::new(port, String::new(), None, 1 << 20);
    for now in 0..3 {
        assert_eq!(echo_turn(&mut recorder, at(now), 1), 2);
    }
    let log = recorder.finish().1;
    let lost: Vec<_> = log.turns.iter().map(|turn| turn.reclaims[0].lost.clone()).collect();
    assert_eq!(lost, [vec![], vec![1], vec![1]]);
}

#[test]
fn recorder_holds_slots_still_between_two_reclaims() {
    let mut recorder = Recorder::new(Restless::new(), String::new(), None, 1 << 20);
    recorder.begin(at(0));
    let slots = recorder.tx_free();
    assert_eq!((recorder.tx_free(), slots), (2, 2));
    for left in [1, 0] {
        let buf = recorder.take_free().unwrap();
        recorder.submit(buf, 1).unwrap();
        assert_eq!(recorder.tx_free(), left);
    }
    let buf = recorder.take_free().unwrap();
    let index = buf.index();
    let TxFull(back) = recorder.submit(buf, 1).unwrap_err();
    assert_eq!(back.index(), index);
    recorder.give_back(back);
    assert_eq!(recorder.finish().1.output.frames, 2);
}

#[test]
fn full_recorder_keeps_whole_turns_and_goes_on_serving() {
    let one =
        Turn { reclaims: vec![Reclaim::default()], received: vec![vec![]], ..Turn::default() };
    let mut recorder = Recorder::new(Restless::new(), String::new(), None, 2 * one.memory());
    for turn in 0..5 {
        assert_eq!(echo_turn(&mut recorder, at(turn), turn as u8), 2);
    }
    assert_eq!(recorder.turns_lost(), 2, "the fifth is still going on");
    let (_, log) = recorder.finish();
    assert_eq!(log.turns.len(), 2);
    let mut sum = OutputSum::default();
    for fill in [0, 0, 1, 1] {
        sum.push(&[fill; 3]);
    }
    assert_eq!(log.output, sum.output());
}

#[test]
fn recorder_that_has_ended_goes_on_as_a_port_only() {
    let mut recorder = Recorder::new(Restless::new(), String::new(), None, 1 << 20);
    assert_eq!(echo_turn(&mut recorder, at(1), 1), 2);
    recorder.end();
    for now in 2..4 {
        assert_eq!(echo_turn(&mut recorder, at(now), 2), 2);
    }
    assert_eq!(recorder.turns_lost(), 0, "they are not wanted");
    let log = recorder.finish().1;
    assert_eq!((log.turns.len(), log.output.frames), (1, 2));
}

/// Values of a second implementation of SipHash, so that a new version of the crate moves no log.
#[test]
fn digest_has_golden_values() {
    let mut sum = OutputSum::default();
    assert_eq!(u128::from_be_bytes(sum.output().digest), 0x5049d74780a3e07d4202ab47d4cef2f4);
    sum.push(b"abc");
    assert_eq!(u128::from_be_bytes(sum.output().digest), 0xd0fe551c660ac00943c16093f566b0cd);
}

#[test]
fn output_tells_frames_from_their_concatenation() {
    let (mut a, mut b) = (OutputSum::default(), OutputSum::default());
    a.push(b"abc");
    a.push(b"d");
    b.push(b"ab");
    b.push(b"cd");
    assert_eq!(a.output().bytes, b.output().bytes);
    assert_ne!(a.output().digest, b.output().digest);
}

fn small_log() -> TurnLog {
    TurnLog {
        header: Header { caps: CAPS, secrets: None, config: "a=1".into(), content: vec![] },
        turns: vec![Turn {
            now: at(300),
            tx_free: 3,
            buffers_free: 4,
            reclaims: vec![Reclaim { completed: 1, tx_free: 2, lost: vec![] }],
            received: vec![vec![vec![7, 8]], vec![]],
        }],
        output: OutputSum::default().output(),
    }
}

/// The format, byte for byte: a change of any of these is a new version.
#[test]
fn version_1_is_written_as_documented() {
    let file = small_log().encode().unwrap();
    let mut expected = b"simoomTL\x01\x00".to_vec();
    expected.extend([64, 0, 4, 0, 0, 0, 3, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 2]);
    expected.extend([0, 3, b'a', b'=', b'1']);
    expected.extend([1, 0xac, 0x02, 3, 4, 1, 1, 2, 2, 1, 2, 7, 8, 0]);
    expected.extend([0, 0]);
    expected.extend(small_log().output.digest);
    let (body, check) = file.split_at(file.len() - 8);
    assert_eq!(body, expected);
    assert_eq!(check, 0xfa99_2370_5912_df6c_u64.to_le_bytes());
}

/// What version 1 has no words for: a body, and two completions of five without their bytes.
fn small_log_2() -> TurnLog {
    let mut log = small_log();
    log.header.content = vec![b"xyz".to_vec(), vec![]];
    log.turns[0].reclaims = vec![Reclaim { completed: 5, tx_free: 2, lost: vec![1, 4] }];
    log
}

#[test]
fn version_2_is_written_as_documented() {
    let file = small_log_2().encode().unwrap();
    let mut expected = b"simoomTL\x02\x00".to_vec();
    expected.extend([64, 0, 4, 0, 0, 0, 3, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 2]);
    expected.extend([0, 3, b'a', b'=', b'1']);
    expected.extend([2, 3, b'x', b'y', b'z', 0]);
    expected.extend([1, 0xac, 0x02, 3, 4, 1, 5, 2, 2, 1, 2, 2, 1, 2, 7, 8, 0]);
    expected.extend([0, 0]);
    expected.extend(small_log().output.digest);
    assert_eq!(file[..file.len() - 8], expected);
    assert_eq!(TurnLog::decode(&file), Ok(small_log_2()));
}

#[test]
fn each_thing_that_version_1_cannot_say_makes_it_version_2() {
    let version = |change: fn(&mut TurnLog)| {
        let mut log = small_log();
        change(&mut log);
        let file = log.encode().unwrap();
        assert_eq!(TurnLog::decode(&file), Ok(log));
        file[8]
    };
    assert_eq!(version(|_| ()), 1);
    assert_eq!(version(|log| log.header.config = "x".repeat(CONFIG_BYTES_MAX_1)), 1);
    assert_eq!(version(|log| log.header.config = "x".repeat(CONFIG_BYTES_MAX_1 + 1)), 2);
    assert_eq!(version(|log| log.header.content = vec![vec![]]), 2);
    assert_eq!(version(|log| log.turns[0].reclaims[0].lost = vec![0]), 2);
}

/// The same bytes are not refused as version 2: a longer text is what the older version had no room for.
#[test]
fn version_1_keeps_its_bound() {
    let mut log = small_log();
    log.header.config = "x".repeat(CONFIG_BYTES_MAX_1 + 1);
    let mut file = log.encode().unwrap();
    file[8] = 1;
    let (field, value) = ("length of the configuration", CONFIG_BYTES_MAX_1 as u64 + 1);
    let max = CONFIG_BYTES_MAX_1 as u64;
    assert_eq!(TurnLog::decode(&file), Err(LogError::OutOfRange { field, offset: 31, value, max }));
}

#[test]
fn completions_without_bytes_are_some_of_the_completions() {
    let file = |tail: &[u8]| {
        let mut file = small_log_2().encode().unwrap();
        file.truncate(8 + 2 + 20 + 1 + 4 + 6);
        file.extend_from_slice(tail);
        TurnLog::decode(&file).unwrap_err()
    };
    let of = |field, offset, value, max| LogError::OutOfRange { field, offset, value, max };
    // A turn with one call of reclaim and 2 completions, then how many came without bytes.
    assert_eq!(
        file(&[1, 0, 0, 0, 1, 2, 0, 3]),
        of("completions without bytes", 48, 3, 2),
        "more than there are"
    );
    assert_eq!(file(&[1, 0, 0, 0, 1, 2, 0, 1, 2]), of("place of a completion", 49, 2, 1));
    assert_eq!(file(&[1, 0, 0, 0, 1, 2, 0, 2, 1, 0]), of("place of a completion", 50, 0, 0));
    for lost in [vec![2], vec![1, 1], vec![1, 0], vec![0, u32::MAX]] {
        let mut log = small_log();
        log.turns[0].reclaims[0] = Reclaim { completed: 2, tx_free: 0, lost };
        assert_eq!(log.encode(), None);
    }
}

#[test]
fn every_cut_of_a_log_is_refused_by_name() {
    for file in [small_log().encode().unwrap(), small_log_2().encode().unwrap()] {
        for len in 0..file.len() {
            let error = TurnLog::decode(&file[..len]).unwrap_err();
            match len {
                0..8 => assert_eq!(error, LogError::NotATurnLog),
                _ => assert!(
                    matches!(error, LogError::Truncated { offset, have, .. } if offset + have == len),
                    "{len}: {error:?}"
                ),
            }
        }
    }
}

#[test]
fn every_flipped_bit_is_noticed() {
    for file in [small_log().encode().unwrap(), small_log_2().encode().unwrap()] {
        for bit in 0..file.len() * 8 {
            let mut damaged = file.clone();
            damaged[bit / 8] ^= 1 << (bit % 8);
            assert!(TurnLog::decode(&damaged).is_err(), "bit {bit}");
        }
    }
}

#[test]
fn hostile_counts_are_refused_without_allocation_on_their_word() {
    let head = |tail: &[u8]| {
        let mut file = small_log().encode().unwrap();
        file.truncate(8 + 2 + 20 + 1 + 4);
        file.extend_from_slice(tail);
        TurnLog::decode(&file).unwrap_err()
    };
    let huge = [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01];
    assert_eq!(head(&huge), LogError::Truncated { offset: 45, need: 1, have: 0 });
    let of = |field, value, max| LogError::OutOfRange { field, offset: 36 + 3, value, max };
    // A turn at 0 with no slots and no buffers, then the calls of reclaim.
    assert_eq!(head(&[1, 0, 0, 0, 0x81, 0x20]), of("calls of reclaim", 4097, CALLS_MAX as u64));
    let error = head(&[1, 0, 0, 0, 0, 1, 33]);
    assert!(matches!(error, LogError::OutOfRange { field: "frames of a batch", value: 33, .. }));
    let error = head(&[1, 0, 0, 0, 0, 1, 1, 0x80, 0x80, 0x04]);
    assert!(matches!(error, LogError::OutOfRange { field: "length of a frame", value: 65536, .. }));
    let error = head(&[1, 0, 0x80, 0x80, 0x80, 0x80, 0x10]);
    assert!(matches!(error, LogError::OutOfRange { field: "slots free", max: 0xffff_ffff, .. }));
}

#[test]
fn varint_has_one_spelling() {
    let file = |spelling: &[u8]| {
        let mut file = small_log().encode().unwrap();
        file.truncate(8 + 2 + 20 + 1 + 4);
        file.extend_from_slice(spelling);
        TurnLog::decode(&file)
    };
    assert_eq!(file(&[0x80, 0x00]), Err(LogError::Varint { offset: 35 }));
    assert_eq!(file(&[0xff; 10]), Err(LogError::Varint { offset: 35 }));
    let mut wide = [0x80; 10];
    wide[9] = 2;
    assert_eq!(file(&wide), Err(LogError::Varint { offset: 35 }));
}

#[test]
fn what_the_format_cannot_hold_is_not_written() {
    let with = |change: fn(&mut TurnLog)| {
        let mut log = small_log();
        change(&mut log);
        log.encode()
    };
    assert!(with(|log| log.header.config = "x".repeat(CONFIG_BYTES_MAX)).is_some());
    assert!(with(|log| log.header.config = "x".repeat(CONFIG_BYTES_MAX + 1)).is_none());
    assert!(with(|log| log.header.content = vec![vec![0; CONTENT_BYTES_MAX]]).is_some());
    assert!(with(|log| log.header.content = vec![vec![0; CONTENT_BYTES_MAX + 1]]).is_none());
    assert!(with(|log| log.header.content = vec![vec![]; CONTENT_FILES_MAX + 1]).is_none());
    assert!(with(|log| log.turns[0].received[0] = vec![vec![]; BATCH_MAX]).is_some());
    assert!(with(|log| log.turns[0].received[0] = vec![vec![]; BATCH_MAX + 1]).is_none());
    assert!(with(|log| log.turns[0].received[0][0] = vec![0; FRAME_BYTES_MAX + 1]).is_none());
    assert!(with(|log| log.turns[0].received = vec![vec![]; CALLS_MAX + 1]).is_none());
    assert!(with(|log| log.turns[0].reclaims = vec![Reclaim::default(); CALLS_MAX + 1]).is_none());
}

#[test]
fn trailing_bytes_other_versions_and_other_texts_are_refused() {
    let file = small_log().encode().unwrap();
    let mut longer = file.clone();
    longer.push(0);
    assert_eq!(TurnLog::decode(&longer), Err(LogError::Trailing { offset: file.len() }));
    let mut newer = file.clone();
    newer[8] = 3;
    assert_eq!(TurnLog::decode(&newer), Err(LogError::Version { found: 3 }));
    let mut none = file.clone();
    none[8] = 0;
    assert_eq!(TurnLog::decode(&none), Err(LogError::Version { found: 0 }));
    let mut text = file.clone();
    text[33] = 0xff;
    assert_eq!(TurnLog::decode(&text), Err(LogError::Text { offset: 33 }));
    assert_eq!(TurnLog::decode(b"GET / HTTP/1.1\r\n"), Err(LogError::NotATurnLog));
    let error = TurnLog::decode(&newer).unwrap_err().to_string();
    assert_eq!(error, "turn log of version 3; this program reads versions 1 to 2");
}

fn any_turn() -> impl Strategy<Value = Turn> {
    let lost = proptest::collection::btree_set(0..300u32, 0..4);
    let reclaim = (any::<u32>(), any::<u32>(), lost).prop_map(|(completed, tx_free, lost)| {
        Reclaim { completed, tx_free, lost: lost.into_iter().filter(|&p| p < completed).collect() }
    });
    let frames = many(many(many(any::<u8>(), 0..100), 0..4), 0..3);
    (any::<u64>(), any::<u32>(), any::<u32>(), many(reclaim, 0..3), frames).prop_map(
        |(now, tx_free, buffers_free, reclaims, received)| Turn {
            now: at(now),
            tx_free,
            buffers_free,
            reclaims,
            received,
        },
    )
}

proptest! {
    #[test]
    fn what_is_written_is_read_back(
        turns in many(any_turn(), 0..20),
        config in ".{0,40}",
        content in many(many(any::<u8>(), 0..20), 0..3),
        secrets: Option<[u64; 4]>,
        words: [u32; 4],
        small: (u16, u8, bool, bool),
        output: (u64, u64, [u8; 16]),
    ) {
        let [buffers, tx_slots, tx_hold_max, tx_hold_idle] = words;
        let (frame_max, max_frags, tx, rx) = small;
        let checksum = ChecksumOffload { tx, rx };
        let caps =
            PortCaps { frame_max, buffers, tx_slots, tx_hold_max, tx_hold_idle, max_frags, checksum };
        let output = Output { frames: output.0, bytes: output.1, digest: output.2 };
        let log = TurnLog { header: Header { caps, secrets, config, content }, turns, output };
        prop_assert_eq!(TurnLog::decode(&log.encode().unwrap()), Ok(log));
    }

    #[test]
    fn random_bytes_after_the_magic_never_panic(bytes in many(any::<u8>(), 0..400)) {
        let mut file = MAGIC.to_vec();
        file.extend([1, 0]);
        file.extend(bytes);
        prop_assert!(TurnLog::decode(&file).is_err());
    }
}
