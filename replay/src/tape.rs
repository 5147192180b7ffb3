//! The tape: what a replay needs of each segment, in the order of the capture, some 60 bytes each.
//!
//! Reading a capture (files, decompression, dissection, the search for the connection) is most of the
//! work, and a replay has to know how a connection goes on before it begins. So the capture is read
//! once; what matters is written here, and the second pass runs over the tape. Standard input needs
//! no copy of its own, and a compressed file is decompressed once.
//!
//! Knows bytes alone: neither connections nor what is done with them.

use simoom_core::seq::SeqNumber;
use simoom_core::wire::tcp::{SackBlocks, TcpFlags, TcpOptions, Timestamps};
use simoom_pcap::dissect::{ChecksumSeen, Ecn, Segment};
use std::io::{self, Read, Write};

/// Bytes of a record without its tail.
const FIXED: usize = 56;
/// The longest tail: SACK blocks, the options of a SYN, text.
const TAIL_MAX: usize = SackBlocks::MAX * 8 + SYN_OPTIONS + u16::MAX as usize;
const SYN_OPTIONS: usize = 5;
/// Bytes read at once.
const READ_BYTES: usize = 1 << 18;

/// Octets of text that a segment is believed to have, at most: twice what the largest frame before
/// segmentation has. A length field may say anything.
pub const TEXT_LEN_MAX: u32 = 1 << 20;

const IS_TO_SERVER: u8 = 1;
const HAS_TIMESTAMPS: u8 = 1 << 1;
const HAS_SYN_OPTIONS: u8 = 1 << 2;
const REWRITES: u8 = 1 << 3;
const ECN_AT: u8 = 4;
const CHECKSUM_AT: u8 = 6;

/// What one record says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Record<'a> {
    /// A segment of a connection.
    Segment(TapeSegment<'a>),
    /// The connection is over: its slot may be given to another from here on.
    End(FlowRef),
}

/// Which connection: its place among those alive, and its number in the capture.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FlowRef {
    /// Place among the connections that are alive at once; small, and used again.
    pub slot: u32,
    /// Number in the order of first frames; never used again.
    pub serial: u32,
}

/// A segment as the tape keeps it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TapeSegment<'a> {
    /// Its connection.
    pub flow: FlowRef,
    /// Nanoseconds since 1970, as captured.
    pub at_unix_nanos: u64,
    /// Number of its frame, as Wireshark counts.
    pub frame: u64,
    /// Whether the client sent it.
    pub to_server: bool,
    /// Sequence number of the first octet, or of SYN.
    pub seq: SeqNumber,
    /// Acknowledgement number.
    pub ack: SeqNumber,
    /// Control bits.
    pub flags: TcpFlags,
    /// The window field, not scaled.
    pub window: u16,
    /// The options.
    pub options: TcpOptions,
    /// Octets of text on the wire.
    pub len: u32,
    /// The octets that were kept: the first ones, or none.
    pub text: &'a [u8],
    /// The IP header's ECN field.
    pub ecn: Ecn,
    /// What the capture shows of the checksums.
    pub checksum: ChecksumSeen,
    /// Its octets are not those that the same numbers carried before.
    pub rewrites: bool,
}

impl<'a> TapeSegment<'a> {
    /// What the tape keeps of a dissected segment. `text` is what of its octets is to be kept, at
    /// most 65,535.
    pub fn new(
        flow: FlowRef,
        (frame, at_unix_nanos): (u64, u64),
        to_server: bool,
        segment: &Segment<'_>,
        text: &'a [u8],
    ) -> Self {
        Self {
            flow,
            at_unix_nanos,
            frame,
            to_server,
            seq: segment.seq,
            ack: segment.ack,
            flags: segment.flags,
            window: segment.window,
            options: segment.options,
            len: segment.payload_len.min(TEXT_LEN_MAX),
            text: &text[..text.len().min(usize::from(u16::MAX))],
            ecn: segment.ecn,
            checksum: segment.checksum,
            rewrites: false,
        }
    }

    /// SEG.LEN: octets of text, and one each for SYN and FIN.
    pub fn seg_len(&self) -> u32 {
        self.len
            .saturating_add(u32::from(self.flags.contains(TcpFlags::SYN)))
            .saturating_add(u32::from(self.flags.contains(TcpFlags::FIN)))
    }
}

/// Writes a tape.
#[derive(Debug)]
pub struct TapeWriter<W> {
    sink: W,
    block: Vec<u8>,
    records: u64,
}

impl<W: Write> TapeWriter<W> {
    /// A tape that goes to `sink`, in large pieces.
    pub fn new(sink: W) -> Self {
        Self { sink, block: Vec::with_capacity(READ_BYTES + FIXED + TAIL_MAX), records: 0 }
    }

    /// Records written.
    pub fn records(&self) -> u64 {
        self.records
    }

    /// Writes a segment.
    ///
    /// # Errors
    /// What the sink answers.
    pub fn segment(&mut self, s: &TapeSegment<'_>) -> io::Result<()> {
        let sack = s.options.sack.as_slice();
        let syn = s.flags.contains(TcpFlags::SYN);
        let ts = s.options.timestamps;
        let mut bits = ecn_bits(s.ecn) << ECN_AT | checksum_bits(s.checksum) << CHECKSUM_AT;
        for (is, bit) in [
            (s.to_server, IS_TO_SERVER),
            (ts.is_some(), HAS_TIMESTAMPS),
            (syn, HAS_SYN_OPTIONS),
            (s.rewrites, REWRITES),
        ] {
            bits |= if is { bit } else { 0 };
        }
        let ts = ts.unwrap_or_default();
        let mut fixed = [0; FIXED];
        put(&mut fixed, 0, s.at_unix_nanos.to_le_bytes());
        put(&mut fixed, 8, s.frame.to_le_bytes());
        put(&mut fixed, 16, s.flow.serial.to_le_bytes());
        put(&mut fixed, 20, s.flow.slot.to_le_bytes());
        put(&mut fixed, 24, s.seq.0.to_le_bytes());
        put(&mut fixed, 28, s.ack.0.to_le_bytes());
        put(&mut fixed, 32, s.len.to_le_bytes());
        put(&mut fixed, 36, ts.val.to_le_bytes());
        put(&mut fixed, 40, ts.ecr.to_le_bytes());
        put(&mut fixed, 44, s.window.to_le_bytes());
        put(&mut fixed, 46, [s.flags.0, bits, 1 + sack.len() as u8]);
        put(&mut fixed, 50, (s.text.len() as u16).to_le_bytes());
        self.block.extend_from_slice(&fixed);
        for (left, right) in sack {
            self.block.extend_from_slice(&left.0.to_le_bytes());
            self.block.extend_from_slice(&right.0.to_le_bytes());
        }
        if syn {
            let o = &s.options;
            let [m0, m1] = o.mss.unwrap_or(0).to_le_bytes();
            let bits = u8::from(o.mss.is_some())
                | u8::from(o.window_scale.is_some()) << 1
                | u8::from(o.sack_permitted) << 2;
            self.block.extend_from_slice(&[m0, m1, o.window_scale.unwrap_or(0), bits, 0]);
        }
        self.block.extend_from_slice(s.text);
        self.records += 1;
        self.drain_if_long()
    }

    /// Writes that a connection is over.
    ///
    /// # Errors
    /// What the sink answers.
    pub fn end(&mut self, flow: FlowRef) -> io::Result<()> {
        let mut fixed = [0; FIXED];
        put(&mut fixed, 16, flow.serial.to_le_bytes());
        put(&mut fixed, 20, flow.slot.to_le_bytes());
        self.block.extend_from_slice(&fixed);
        self.records += 1;
        self.drain_if_long()
    }

    /// Writes what is held, and gives the sink back.
    ///
    /// # Errors
    /// What the sink answers.
    pub fn finish(mut self) -> io::Result<W> {
        self.sink.write_all(&self.block)?;
        self.sink.flush()?;
        Ok(self.sink)
    }

    fn drain_if_long(&mut self) -> io::Result<()> {
        if self.block.len() >= READ_BYTES {
            self.sink.write_all(&self.block)?;
            self.block.clear();
        }
        Ok(())
    }
}

/// Reads a tape.
#[derive(Debug)]
pub struct TapeReader<R> {
    source: R,
    block: Vec<u8>,
    /// What of `block` is read and not yet given out.
    from: usize,
    upto: usize,
    at_end: bool,
}

impl<R: Read> TapeReader<R> {
    /// A tape that comes from `source`.
    pub fn new(source: R) -> Self {
        Self {
            source,
            block: vec![0; READ_BYTES + FIXED + TAIL_MAX],
            from: 0,
            upto: 0,
            at_end: false,
        }
    }

    /// The next record; None at the end.
    ///
    /// # Errors
    /// What the source answers; of kind `InvalidData` for a tape that was cut, or is none.
    pub fn next_record(&mut self) -> io::Result<Option<Record<'_>>> {
        if self.upto - self.from < FIXED + TAIL_MAX {
            self.fill()?;
        }
        if self.from == self.upto {
            return Ok(None);
        }
        let have = &self.block[self.from..self.upto];
        let (record, len) = decode(have).ok_or_else(|| {
            io::Error::new(io::ErrorKind::InvalidData, "the tape of the replay is cut")
        })?;
        self.from += len;
        Ok(Some(record))
    }

    /// Moves the rest to the front and reads on, until there is a whole record or the end.
    fn fill(&mut self) -> io::Result<()> {
        if self.at_end {
            return Ok(());
        }
        self.block.copy_within(self.from..self.upto, 0);
        (self.from, self.upto) = (0, self.upto - self.from);
        while self.upto < FIXED + TAIL_MAX {
            let n = self.source.read(&mut self.block[self.upto..])?;
            if n == 0 {
                self.at_end = true;
                break;
            }
            self.upto += n;
        }
        Ok(())
    }
}

/// The first record of `bytes`, and its length.
fn decode(bytes: &[u8]) -> Option<(Record<'_>, usize)> {
    let (fixed, mut tail) = bytes.split_first_chunk::<FIXED>()?;
    let flow = FlowRef { serial: u32_at(fixed, 16), slot: u32_at(fixed, 20) };
    let [flags, bits, kind] = [fixed[46], fixed[47], fixed[48]];
    let Some(blocks) = kind.checked_sub(1) else { return Some((Record::End(flow), FIXED)) };
    let mut options = TcpOptions::default();
    for _ in 0..blocks {
        let (block, rest) = tail.split_first_chunk::<8>()?;
        options.sack.push(SeqNumber(u32_at(block, 0)), SeqNumber(u32_at(block, 4)));
        tail = rest;
    }
    if bits & HAS_TIMESTAMPS != 0 {
        options.timestamps = Some(Timestamps { val: u32_at(fixed, 36), ecr: u32_at(fixed, 40) });
    }
    if bits & HAS_SYN_OPTIONS != 0 {
        let (&[m0, m1, shift, has, _], rest) = tail.split_first_chunk::<SYN_OPTIONS>()?;
        options.mss = (has & 1 != 0).then_some(u16::from_le_bytes([m0, m1]));
        options.window_scale = (has & 2 != 0).then_some(shift);
        options.sack_permitted = has & 4 != 0;
        tail = rest;
    }
    let text_len = u16::from_le_bytes([fixed[50], fixed[51]]);
    let (text, rest) = tail.split_at_checked(usize::from(text_len))?;
    let segment = TapeSegment {
        flow,
        at_unix_nanos: u64_at(fixed, 0),
        frame: u64_at(fixed, 8),
        to_server: bits & IS_TO_SERVER != 0,
        seq: SeqNumber(u32_at(fixed, 24)),
        ack: SeqNumber(u32_at(fixed, 28)),
        flags: TcpFlags(flags),
        window: u16::from_le_bytes([fixed[44], fixed[45]]),
        options,
        len: u32_at(fixed, 32),
        text,
        ecn: Ecn::from_traffic_class(bits >> ECN_AT),
        checksum: CHECKSUMS[usize::from(bits >> CHECKSUM_AT & 3)],
        rewrites: bits & REWRITES != 0,
    };
    Some((Record::Segment(segment), bytes.len() - rest.len()))
}

const CHECKSUMS: [ChecksumSeen; 4] =
    [ChecksumSeen::Good, ChecksumSeen::Bad, ChecksumSeen::Offloaded, ChecksumSeen::NotChecked];

fn ecn_bits(ecn: Ecn) -> u8 {
    match ecn {
        Ecn::NotEct => 0,
        Ecn::Ect1 => 1,
        Ecn::Ect0 => 2,
        Ecn::Ce => 3,
    }
}

fn checksum_bits(seen: ChecksumSeen) -> u8 {
    CHECKSUMS.iter().position(|&one| one == seen).unwrap_or(0) as u8
}

fn put<const N: usize>(out: &mut [u8; FIXED], at: usize, bytes: [u8; N]) {
    out[at..at + N].copy_from_slice(&bytes);
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from(u32_at(bytes, at)) | u64::from(u32_at(bytes, at + 4)) << 32
}

#[cfg(test)]
mod tests {
    use super::*;

    fn segment(n: u32, text: &[u8]) -> TapeSegment<'_> {
        let mut sack = SackBlocks::default();
        for block in 0..n % 5 {
            sack.push(SeqNumber(n + 2 * block), SeqNumber(n + 2 * block + 1));
        }
        let syn = n.is_multiple_of(3);
        TapeSegment {
            flow: FlowRef { slot: n % 7, serial: n },
            at_unix_nanos: u64::from(n) << 33,
            frame: u64::from(n) + (1 << 40),
            to_server: n.is_multiple_of(2),
            seq: SeqNumber(n.wrapping_mul(0x9e37_79b9)),
            ack: SeqNumber(!n),
            flags: TcpFlags(if syn { 0x02 } else { 0x18 }),
            window: n as u16,
            options: TcpOptions {
                mss: syn.then_some(1_460),
                window_scale: (syn && n.is_multiple_of(2)).then_some(7),
                sack_permitted: syn,
                timestamps: (!n.is_multiple_of(4))
                    .then_some(Timestamps { val: n, ecr: n ^ 0xffff }),
                sack,
            },
            len: n + 5,
            text,
            ecn: Ecn::from_traffic_class(n as u8),
            checksum: CHECKSUMS[n as usize % 4],
            rewrites: n.is_multiple_of(11),
        }
    }

    #[test]
    fn what_was_written_is_read_in_pieces_of_any_size() {
        /// Reads a few bytes at a time.
        struct Slow<'a>(&'a [u8], usize);
        impl Read for Slow<'_> {
            fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
                self.1 = self.1 % 4_093 + 1;
                let n = self.1.min(out.len()).min(self.0.len());
                out[..n].copy_from_slice(&self.0[..n]);
                self.0 = &self.0[n..];
                Ok(n)
            }
        }
        let text: Vec<u8> = (0..70_000u32).map(|n| n as u8).collect();
        let len_of = |n: u32| if n.is_multiple_of(500) { 65_535 } else { n as usize % 90 };
        let mut tape = TapeWriter::new(Vec::new());
        for n in 0..3_000 {
            tape.segment(&segment(n, &text[..len_of(n)])).unwrap();
            if n.is_multiple_of(10) {
                tape.end(FlowRef { slot: n % 7, serial: n }).unwrap();
            }
        }
        let bytes = tape.finish().unwrap();
        let mut tape = TapeReader::new(Slow(&bytes, 0));
        for n in 0..3_000 {
            let expected = Record::Segment(segment(n, &text[..len_of(n)]));
            assert_eq!(tape.next_record().unwrap(), Some(expected));
            if n.is_multiple_of(10) {
                let end = Record::End(FlowRef { slot: n % 7, serial: n });
                assert_eq!(tape.next_record().unwrap(), Some(end));
            }
        }
        assert_eq!(tape.next_record().unwrap(), None);
    }

    #[test]
    fn a_tape_that_was_cut_is_an_error() {
        let mut tape = TapeWriter::new(Vec::new());
        tape.segment(&segment(3, b"some text")).unwrap();
        let bytes = tape.finish().unwrap();
        for cut in 1..bytes.len() {
            let mut tape = TapeReader::new(&bytes[..cut]);
            assert_eq!(tape.next_record().unwrap_err().kind(), io::ErrorKind::InvalidData);
        }
    }
}
