//! A recorder around a small port in memory: what it notes, when, and that it changes nothing.

use super::*;
use crate::writer::Interface;
use pcap_file::pcapng::blocks::enhanced_packet::EnhancedPacketOption;
use pcap_file::pcapng::{Block, PcapNgReader};
use simoom_core::port::{ChecksumOffload, Unclaimed};
use std::cell::RefCell;
use std::collections::VecDeque;
use std::io;
use std::rc::Rc;

const START: u64 = 1_700_000_000_000_000_000;
const BUFFERS: u32 = 4;
const SLOTS: usize = 2;

/// Four buffers, two slots; what is submitted is overwritten at the doorbell, as a device may.
struct Memory {
    caps: PortCaps,
    buffers: Vec<[u8; 64]>,
    free: Vec<u32>,
    queue: VecDeque<Buf>,
    input: VecDeque<Vec<u8>>,
    times: VecDeque<u64>,
    prefetched: std::cell::Cell<u32>,
    unclaimed: Unclaimed,
}

impl Memory {
    fn new(input: &[&[u8]], times: &[u64]) -> Self {
        Self {
            caps: PortCaps {
                frame_max: 64,
                buffers: BUFFERS,
                tx_slots: SLOTS as u32,
                tx_hold_max: 0,
                tx_hold_idle: 0,
                max_frags: 1,
                checksum: ChecksumOffload::default(),
            },
            buffers: vec![[0; 64]; BUFFERS as usize],
            free: (0..BUFFERS).collect(),
            queue: VecDeque::new(),
            input: input.iter().map(|frame| frame.to_vec()).collect(),
            times: times.iter().copied().collect(),
            prefetched: 0.into(),
            unclaimed: Unclaimed::NONE,
        }
    }
}

impl Port for Memory {
    type Error = &'static str;

    fn caps(&self) -> &PortCaps {
        &self.caps
    }
    fn bytes(&self, buf: &Buf) -> &[u8] {
        &self.buffers[buf.index() as usize]
    }
    fn bytes_mut(&mut self, buf: &mut Buf) -> &mut [u8] {
        &mut self.buffers[buf.index() as usize]
    }
    fn copy(&mut self, from: &Buf, to: &mut Buf, len: usize) {
        let bytes = self.buffers[from.index() as usize];
        self.buffers[to.index() as usize][..len].copy_from_slice(&bytes[..len]);
    }
    fn prefetch(&self, _buf: &Buf) {
        self.prefetched.set(self.prefetched.get() + 1);
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
        let count = max.min(self.input.len());
        let frames: Vec<_> = self.input.drain(..count).collect();
        let batch: Vec<_> = frames.iter().map(|bytes| RxFrame { bytes }).collect();
        if count > 0 {
            self.unclaimed = on_batch(&batch);
        }
        count
    }
    fn tx_free(&self) -> usize {
        SLOTS - self.queue.len()
    }
    fn submit(&mut self, buf: Buf, _len: u16) -> Result<(), TxFull> {
        if self.tx_free() == 0 {
            return Err(TxFull(buf));
        }
        self.queue.push_back(buf);
        Ok(())
    }
    fn reclaim(&mut self, mut on_done: impl FnMut(Buf) -> Option<Buf>) -> usize {
        let count = self.queue.len();
        while let Some(buf) = self.queue.pop_front() {
            if let Some(buf) = on_done(buf) {
                self.give_back(buf);
            }
        }
        count
    }
    fn sync_tx(&mut self, how: TxSync) -> Result<(), &'static str> {
        for buf in &self.queue {
            self.buffers[buf.index() as usize] = [0xdd; 64];
        }
        match how {
            TxSync::Push => Ok(()),
            TxSync::PushAndReclaim => Err("on fire"),
        }
    }
    fn census(&self) -> Census {
        let (free, device) = (self.free.len() as u32, self.queue.len() as u32);
        Census { free, caller: BUFFERS - free - device, device }
    }
}

impl Advance for Memory {
    fn advance(&mut self, _wake_at: Option<Instant>) -> Option<Instant> {
        self.times.pop_front().map(Instant::from_nanos)
    }
}

/// A sink that can be looked into while it is written.
#[derive(Clone, Default)]
struct Shared(Rc<RefCell<(Vec<u8>, u32)>>);

impl Write for Shared {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.borrow_mut().0.extend(bytes);
        Ok(bytes.len())
    }
    fn flush(&mut self) -> io::Result<()> {
        self.0.borrow_mut().1 += 1;
        Ok(())
    }
}

impl Shared {
    /// Nanoseconds since the start, inbound (1) or outbound (2), bytes.
    fn records(&self) -> Vec<(u64, u32, Vec<u8>)> {
        let file = self.0.borrow();
        let mut reader = PcapNgReader::new(&file.0[..]).unwrap();
        let mut records = Vec::new();
        while let Some(block) = reader.next_block() {
            if let Block::EnhancedPacket(packet) = block.unwrap() {
                let [EnhancedPacketOption::Flags(flags)] = packet.options[..] else {
                    panic!("{:?}", packet.options)
                };
                let at = packet.timestamp.as_nanos() as u64 - START;
                records.push((at, flags, packet.data.to_vec()));
            }
        }
        records
    }

    fn flushes(&self) -> u32 {
        self.0.borrow().1
    }
}

fn record(port: Memory) -> (Recorder<Memory, Shared>, Shared) {
    let sink = Shared::default();
    let writer = Writer::new(sink.clone(), &[Interface::new("memory")]).unwrap();
    (Recorder::new(port, writer, START), sink)
}

fn send(port: &mut impl Port, first: u8, len: u16) -> Result<(), TxFull> {
    let mut buf = port.take_free().unwrap();
    port.bytes_mut(&mut buf)[..usize::from(len)].fill(first);
    port.submit(buf, len)
}

#[test]
fn notes_both_directions_in_order_with_the_time_of_the_turn() {
    let input: [&[u8]; 3] = [&[1; 60], &[2; 61], &[3; 14]];
    let (mut port, sink) = record(Memory::new(&input, &[5, 70]));
    assert_eq!(port.advance(None), Some(Instant::from_nanos(5)));
    let mut seen = 0;
    assert_eq!(
        port.receive(2, |batch| {
            seen += batch.len();
            Unclaimed::NONE
        }),
        2
    );
    send(&mut port, 10, 33).unwrap();
    port.sync_tx(TxSync::Push).unwrap();
    assert_eq!(port.advance(None), Some(Instant::from_nanos(70)));
    assert_eq!(
        port.receive(32, |batch| {
            seen += batch.len();
            Unclaimed::NONE
        }),
        1
    );
    assert_eq!(port.receive(32, |_| panic!("nothing came")), 0);
    assert_eq!(seen, 3);
    port.set_now(Instant::from_nanos(71));
    port.reclaim(Some);
    send(&mut port, 11, 64).unwrap();
    let (_, writer) = port.into_inner();
    assert_eq!(writer.packets_lost(), 0);
    writer.finish().unwrap();
    assert_eq!(
        sink.records(),
        [
            (5, 1, vec![1; 60]),
            (5, 1, vec![2; 61]),
            (5, 2, vec![10; 33]),
            (70, 1, vec![3; 14]),
            (71, 2, vec![11; 64]),
        ]
    );
}

#[test]
fn a_frame_that_the_ring_refuses_is_not_in_the_capture() {
    let (mut port, sink) = record(Memory::new(&[], &[]));
    send(&mut port, 1, 60).unwrap();
    send(&mut port, 2, 60).unwrap();
    let TxFull(buf) = send(&mut port, 3, 60).unwrap_err();
    assert_eq!(port.bytes(&buf)[0], 3, "the same buffer, as it was");
    port.give_back(buf);
    port.reclaim(Some);
    send(&mut port, 4, 60).unwrap();
    drop(port);
    let firsts: Vec<_> = sink.records().iter().map(|(_, _, bytes)| bytes[0]).collect();
    assert_eq!(firsts, [1, 2, 4]);
}

#[test]
fn everything_else_is_the_ports_own_answer() {
    let (mut port, _sink) = record(Memory::new(&[], &[]));
    assert_eq!(port.caps().tx_slots, 2);
    assert_eq!((port.free(), port.tx_free()), (4, 2));
    let mut one = port.take_free().unwrap();
    let mut two = port.take_free().unwrap();
    port.bytes_mut(&mut one)[..3].copy_from_slice(b"abc");
    port.copy(&one, &mut two, 2);
    assert_eq!(&port.bytes(&two)[..3], b"ab\0");
    port.prefetch(&one);
    assert_eq!(port.inner().prefetched.get(), 1);
    port.submit(one, 60).unwrap();
    let census = Census { free: 2, caller: 1, device: 1 };
    assert_eq!(port.census(), census);
    assert_eq!(port.sync_tx(TxSync::PushAndReclaim), Err("on fire"));
    let mut kept = None;
    assert_eq!(
        port.reclaim(|buf| {
            kept = Some(buf);
            None
        }),
        1
    );
    assert_eq!(port.census().caller, 2);
    port.give_back(kept.unwrap());
    port.give_back(two);
    assert_eq!((port.free(), port.advance(None)), (4, None));
    port.inner_mut().times.push_back(9);
    assert_eq!(port.advance(None), Some(Instant::from_nanos(9)));
}

#[test]
fn records_reach_the_sink_within_a_second_of_turns_and_at_the_end() {
    const MS: u64 = 1_000_000;
    let times = [0, 400 * MS, 999 * MS, 1000 * MS, 1500 * MS, 2000 * MS, 2100 * MS];
    let (mut port, sink) = record(Memory::new(&[], &times));
    let mut in_sink = Vec::new();
    while port.advance(None).is_some() {
        in_sink.push((sink.records().len(), sink.flushes()));
        send(&mut port, 1, 60).unwrap();
        port.reclaim(Some);
    }
    // The turn at 1.0 s ends with a flush, that at 1.5 s does not, that at 2.0 s does.
    assert_eq!(in_sink, [(0, 0), (0, 0), (0, 0), (0, 0), (4, 1), (4, 1), (6, 2)]);
    assert_eq!(sink.records().len(), 7);
}

#[test]
fn a_failing_sink_does_not_disturb_the_port() {
    struct Head(usize);
    impl Write for Head {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0 += 1;
            if self.0 > 1 {
                return Err(io::Error::from(io::ErrorKind::StorageFull));
            }
            Ok(bytes.len())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let writer = Writer::new(Head(0), &[Interface::new("memory")]).unwrap();
    let times = [2_000_000_000, 4_000_000_000, 6_000_000_000];
    let mut port = Recorder::new(Memory::new(&[&[1; 60]], &times), writer, START);
    let mut turns = 0;
    while port.advance(None).is_some() {
        turns += 1;
        port.receive(32, |_| Unclaimed::NONE);
        send(&mut port, 1, 60).unwrap();
        send(&mut port, 2, 60).unwrap();
        let TxFull(buf) = send(&mut port, 3, 60).unwrap_err();
        port.give_back(buf);
        port.sync_tx(TxSync::Push).unwrap();
        assert_eq!(port.reclaim(Some), 2);
    }
    assert_eq!(turns, 3);
    let (port, writer) = port.into_inner();
    assert_eq!(port.census().free, BUFFERS);
    // One received and six sent; those refused are not counted.
    assert_eq!((writer.packets_written(), writer.packets_lost()), (0, 7));
    assert_eq!(writer.finish().err().unwrap().kind(), io::ErrorKind::StorageFull);
}

#[test]
fn what_a_batch_leaves_to_others_reaches_the_port() {
    let (mut port, _sink) = record(Memory::new(&[&[1; 60], &[2; 60], &[3; 60]], &[5]));
    let left: Unclaimed = [0, 2].into_iter().collect();
    port.receive(32, |_| left);
    assert_eq!(port.into_inner().0.unclaimed, left);
}
