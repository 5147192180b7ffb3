//! What is particular to pipes: buffers change hands.

use crate::harness::{Faults, Shape, USUAL, frame, open, submit};
use simoom_core::port::{Buf, Port, TxSync, Unclaimed};
use simoom_netmap::model::{CompletionPolicy, DmaPolicy, Model};
use simoom_netmap::mutants::{Mutant, want};

const SHAPE: Shape = Shape { tx_slots: 16, rx_slots: 16, extra: 24, ..USUAL };

fn pipe() -> Model {
    Model::pipe(SHAPE.model_config((DmaPolicy::AtDoorbell, CompletionPolicy::AtRead)))
}

/// What came of sending to a peer that keeps every buffer.
struct Sent {
    /// The tokens that came home, whether each said that its bytes are lost, and what is in its memory.
    home: Vec<(u32, bool, Vec<u8>)>,
    /// Frames that the peer read otherwise than they were sent.
    wrong: u32,
}

fn send_to_a_peer_that_keeps_buffers(model: &Model) -> Sent {
    let mut port = open(model, 0, SHAPE);
    let (mut number, mut home, mut sent) = (0, Vec::new(), Vec::new());
    let (mut read, mut wrong) = (0, 0);
    for _ in 0..40 {
        while port.tx_free() > 0 && port.free() > 0 {
            sent.push(submit(&mut port, &frame(number, 100)).unwrap());
            number += 1;
        }
        port.sync_tx(TxSync::PushAndReclaim).unwrap();
        let mut kept = Vec::new();
        while model.exchange_received(1, |bytes| {
            wrong += u32::from(bytes != frame(read, 100));
            read += 1;
        }) {}
        port.sync_tx(TxSync::PushAndReclaim).unwrap();
        port.reclaim(|buf| {
            kept.push(buf);
            None
        });
        for buf in kept {
            let bytes = port.bytes(&buf)[..100].to_vec();
            home.push((buf.index(), buf.has_lost_bytes(), bytes));
            port.give_back(buf);
        }
    }
    let order: Vec<_> = home.iter().map(|(index, ..)| *index).collect();
    assert_eq!(order, sent[..order.len()], "in the order of submission");
    if port.stats().tx_exchanged > 0 {
        assert_eq!(port.stats().tx_exchanged, home.len() as u64);
    }
    port.close().unwrap();
    Sent { home, wrong }
}

#[test]
fn buffers_that_the_peer_kept_come_home_as_others_and_say_so() {
    let model = pipe();
    let Sent { home, wrong } = send_to_a_peer_that_keeps_buffers(&model);
    assert!(home.len() > 300, "{} came home", home.len());
    assert_eq!(wrong, 0);
    for (index, lost, bytes) in home {
        assert!(lost, "token {index} promises bytes that the peer has");
        // What the peer put there, or what we sent once and the peer had kept until now.
        assert!(bytes[20] == 0xee || bytes[12..14] == [0x88, 0xb5], "{bytes:?}");
    }
    let faults = Faults::default();
    faults.look_at(&model);
    assert_eq!(faults.all(), Vec::<String>::new());
}

#[test]
fn exchange_that_is_not_noticed_is_caught() {
    let model = pipe();
    want(Some(Mutant::ExchangeUnseen));
    let Sent { home, .. } = send_to_a_peer_that_keeps_buffers(&model);
    want(None);
    assert!(home.iter().all(|(_, lost, _)| !lost));
    let faults = Faults::default();
    faults.look_at(&model);
    assert_ne!(
        faults.all(),
        Vec::<String>::new(),
        "buffers of the peer's were used or freed twice"
    );
}

/// Our own port at the far end gives every buffer back as it came.
#[test]
fn buffers_come_home_with_their_bytes_from_a_peer_that_only_reads() {
    let model = pipe();
    let (mut near, mut far) = (open(&model, 0, SHAPE), open(&model, 1, SHAPE));
    for number in 0..500 {
        let index = submit(&mut near, &frame(number, 100)).unwrap();
        near.flush().unwrap();
        far.flush().unwrap();
        far.receive(32, |frames| {
            assert_eq!(frames[0].bytes, frame(number, 100));
            Unclaimed::NONE
        });
        far.flush().unwrap();
        near.sync_tx(TxSync::PushAndReclaim).unwrap();
        let mut home = Vec::new();
        near.reclaim(|buf| {
            home.push(buf);
            None
        });
        for buf in home {
            assert!(!buf.has_lost_bytes());
            // The slot at the tail stays: what comes home is the frame before.
            assert_eq!(near.bytes(&buf)[..100], frame(number - 1, 100));
            assert_ne!(buf.index(), index);
            near.give_back(buf);
        }
    }
    assert_eq!(near.stats().tx_exchanged, 0);
}

/// An end that is bound again finds the rings as its last owner left them.
#[test]
fn end_is_bound_again_in_the_middle_of_the_ring() {
    let model = pipe();
    let mut far = open(&model, 1, SHAPE);
    let mut number = 0;
    for _ in 0..20 {
        let mut near = open(&model, 0, SHAPE);
        let mut due = Vec::new();
        for _ in 0..5 {
            due.push(frame(number, 80));
            submit(&mut near, &frame(number, 80)).unwrap();
            number += 1;
        }
        near.flush().unwrap();
        // Frames are still on their way when the end is closed.
        drop(near);
        far.flush().unwrap();
        let mut came = Vec::new();
        while far.receive(32, |frames| {
            came.extend(frames.iter().map(|f| f.bytes.to_vec()));
            Unclaimed::NONE
        }) > 0
        {}
        assert_eq!(came, due);
        far.flush().unwrap();
    }
    drop(far);
    let faults = Faults::default();
    faults.look_at(&model);
    assert_eq!(faults.all(), Vec::<String>::new());
}

/// For the eye of a reader: a token is not a buffer's index.
#[test]
fn tokens_are_numbered_from_zero_whatever_the_kernel_calls_its_buffers() {
    let model = pipe();
    let mut port = open(&model, 0, SHAPE);
    let mut tokens: Vec<Buf> = std::iter::from_fn(|| port.take_free()).collect();
    tokens.sort_by_key(Buf::index);
    assert!(tokens.iter().map(Buf::index).eq(0..SHAPE.extra));
    tokens.into_iter().for_each(|buf| port.give_back(buf));
}
