//! Frames that no two of which are alike, of an EtherType that no kernel answers.

/// The EtherType of every frame of the suite: local experimental, IEEE 802.
pub const ETHERTYPE: [u8; 2] = [0x88, 0xb5];

/// Bytes of the shortest frame: an Ethernet header.
pub const FRAME_MIN: usize = 14;

/// What the suite fills a buffer with as soon as it is the caller's again. No frame of
/// [`numbered`] has it twice in a row after its header.
pub(crate) const POISON: u8 = 0xdd;

/// Whether this frame is one of the suite's. A live wire carries others.
pub fn is_ours(frame: &[u8]) -> bool {
    frame.get(12..FRAME_MIN) == Some(&ETHERTYPE)
}

/// Frame number `serial` of `len` bytes, at least [`FRAME_MIN`]: broadcast, the number, then a
/// pattern of its own.
pub(crate) fn numbered(serial: u32, len: usize) -> Vec<u8> {
    let mut frame = vec![0xff; 6];
    frame.extend([0x02, 0, 0, 0, 0, 1]);
    frame.extend(ETHERTYPE);
    frame.extend(serial.to_be_bytes());
    let mut random = Random(serial.into());
    let mut last = 0;
    while frame.len() < len {
        let byte = random.next() as u8;
        // Never the poison twice in a row.
        last = if byte == POISON && last == POISON { 0 } else { byte };
        frame.push(last);
    }
    frame.truncate(len.max(FRAME_MIN));
    frame
}

/// The number of a frame made by [`numbered`]; None where it was too short to carry one.
pub(crate) fn serial(frame: &[u8]) -> Option<u32> {
    Some(u32::from_be_bytes(frame.get(14..18)?.try_into().ok()?))
}

/// SplitMix64: small, and the same on every machine.
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `end`, which is at least 1.
    pub(crate) fn below(&mut self, end: usize) -> usize {
        (self.next() % end as u64) as usize
    }
}
