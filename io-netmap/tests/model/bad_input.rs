//! A kernel that says what cannot be, interfaces that disappear, numbers out of bounds: each is one
//! error with what to do, and nothing leaks.

use crate::harness::{Faults, Shape, USUAL, frame, open, submit};
use proptest::prelude::*;
use simoom_core::port::{Advance, Port, TxSync, Unclaimed};
use simoom_core::time::{Duration, Instant};
use simoom_netmap::error::NetmapError;
use simoom_netmap::kernel::Kernel;
use simoom_netmap::model::{BindError, CompletionPolicy, DmaPolicy, Model, ModelConfig};
use simoom_netmap::port::{NetmapConfig, NetmapPort};

fn nic() -> Model {
    Model::nic(USUAL.model_config((DmaPolicy::AtWork, CompletionPolicy::AtRead)))
}

fn error_over(model: &Model, config: &NetmapConfig) -> NetmapError {
    NetmapPort::over(model.bind(0, USUAL.extra).unwrap(), config).unwrap_err()
}

fn assert_sound(model: &Model) {
    let faults = Faults::default();
    faults.look_at(model);
    assert_eq!(faults.all(), Vec::<String>::new());
}

#[test]
fn too_few_extra_buffers_are_an_error_and_are_given_back() {
    let model = nic();
    let config = NetmapConfig { buffers_min: 49, buffers: 49, ..USUAL.port_config() };
    let attachment = model.bind(0, 60).unwrap();
    assert_eq!(attachment.extra, 60);
    drop(NetmapPort::over(attachment, &config).unwrap());
    let few = Model::nic(ModelConfig {
        extra_max: 48,
        ..USUAL.model_config((DmaPolicy::AtWork, CompletionPolicy::AtRead))
    });
    let error = NetmapPort::over(few.bind(0, 60).unwrap(), &config).unwrap_err();
    let TooFew { asked, got, least } = too_few(&error);
    assert_eq!((asked, got, least), (60, 48, 49));
    assert!(error.to_string().contains("enlarge buf_num"), "{error}");
    assert_sound(&few);
    assert_sound(&model);
}

struct TooFew {
    asked: u32,
    got: u32,
    least: u32,
}

fn too_few(error: &NetmapError) -> TooFew {
    match *error {
        NetmapError::TooFewBuffers { asked, got, least, .. } => TooFew { asked, got, least },
        ref other => panic!("{other:?}"),
    }
}

#[test]
fn mtu_above_the_buffer_is_an_error() {
    let model = nic();
    let error = error_over(&model, &NetmapConfig { mtu: 2_031, ..USUAL.port_config() });
    assert!(matches!(error, NetmapError::MtuAboveBuffer { mtu: 2_031, buffer: 2_048, .. }));
    assert!(error.to_string().contains("set a smaller MTU"), "{error}");
    assert_sound(&model);
    let largest = NetmapConfig { mtu: 2_030, ..USUAL.port_config() };
    drop(NetmapPort::over(model.bind(0, USUAL.extra).unwrap(), &largest).unwrap());
    assert_sound(&model);
}

#[test]
fn numbers_out_of_bounds_are_errors() {
    let model = nic();
    for config in [
        NetmapConfig { mtu: 67, ..USUAL.port_config() },
        NetmapConfig { mtu: 16_001, ..USUAL.port_config() },
        NetmapConfig { buffers_min: 1, ..USUAL.port_config() },
        NetmapConfig { buffers_min: 49, ..USUAL.port_config() },
    ] {
        let error = error_over(&model, &config);
        assert!(matches!(error, NetmapError::Config { .. }), "{error:?}");
        assert!(error.to_string().contains("it must be"), "{error}");
    }
    assert_sound(&model);
}

#[test]
fn ring_is_bound_once_and_must_be_there() {
    let model = nic();
    let port = open(&model, 0, USUAL);
    assert_eq!(model.bind(0, 1).unwrap_err(), BindError::Busy);
    assert_eq!(model.bind(1, 1).unwrap_err(), BindError::NoRing);
    drop(port);
    drop(open(&model, 0, USUAL));
    let policies = (DmaPolicy::AtWork, CompletionPolicy::AtRead);
    let small = Model::nic(ModelConfig { buffers: 95, ..USUAL.model_config(policies) });
    assert_eq!(small.bind(0, 1).unwrap_err(), BindError::NoMemory);
    assert_eq!(small.buffers_free(), 95);
}

#[test]
fn interface_that_disappears_ends_the_port_and_not_its_neighbour() {
    let (gone, stays) = (nic(), nic());
    let (mut port, mut other) = (open(&gone, 0, USUAL), open(&stays, 0, USUAL));
    assert!(port.advance(Some(Instant::ZERO)).is_some());
    gone.remove();
    submit(&mut port, &frame(1, 100)).unwrap();
    assert_eq!(port.advance(Some(Instant::ZERO + Duration::from_secs(1))), None);
    assert!(matches!(port.fatal(), Some(NetmapError::Gone { .. })));
    let error = port.sync_tx(TxSync::PushAndReclaim).unwrap_err();
    assert!(error.to_string().contains("make it anew and start again"), "{error}");
    assert_eq!(port.flush(), Err(error));
    assert!(other.advance(Some(Instant::ZERO)).is_some());
    assert_eq!(other.sync_tx(TxSync::PushAndReclaim), Ok(()));
    drop((port, other));
    assert_sound(&gone);
    assert_sound(&stays);
}

#[test]
fn doorbell_of_a_port_whose_interface_is_gone_says_so() {
    let model = nic();
    let mut port = open(&model, 0, USUAL);
    model.remove();
    let error = port.sync_tx(TxSync::PushAndReclaim).unwrap_err();
    assert!(matches!(error, NetmapError::Gone { .. }), "{error:?}");
    assert_eq!(port.advance(None), None);
}

/// Where a field of what is bound lies in the region: the interface first, then the rings.
const INTERFACE: usize = 256;
const TX_RING: usize = 4_096;

#[test]
fn shared_memory_that_makes_no_sense_is_refused_before_anything_is_changed() {
    for (at, value, what) in [
        (INTERFACE + 24, 0, "the number of rings"),
        (INTERFACE + 28, 0, "the number of rings"),
        (INTERFACE + 36, u32::MAX, "the number of rings"),
        (INTERFACE + 56, 0, "the offset of a ring"),
        (INTERFACE + 56, 1 << 30, "the offset of a ring"),
        (INTERFACE + 32, 1, "an extra buffer"),
        (INTERFACE + 32, 1_026, "an extra buffer"),
        (TX_RING + 8, 1, "the number of slots of a ring"),
        (TX_RING + 8, 1 << 20, "the number of slots of a ring"),
        (TX_RING + 8, u32::MAX, "the number of slots of a ring"),
        (TX_RING, 1 << 20, "the place of buffers"),
        (TX_RING + 12, 0, "the place of buffers"),
        (TX_RING + 20, 16, "the head of a ring"),
        (TX_RING + 28, 16, "the tail of a ring"),
    ] {
        let model = nic();
        let attachment = model.bind(0, USUAL.extra).unwrap();
        model.overwrite(at, value);
        let error = NetmapPort::over(attachment, &USUAL.port_config()).unwrap_err();
        match &error {
            NetmapError::Corrupt { what: found, .. } => assert_eq!(*found, what, "{error}"),
            other => panic!("{what}: {other:?}"),
        }
        assert!(error.to_string().contains("open again"), "{error}");
    }
}

#[test]
fn list_of_extra_buffers_that_leads_in_a_circle_is_refused() {
    let model = nic();
    let attachment = model.bind(0, USUAL.extra).unwrap();
    // The list's first buffer links to itself.
    let first = model.word(INTERFACE + 32);
    model.overwrite(model.buffer_at(first), first);
    let error = NetmapPort::over(attachment, &USUAL.port_config()).unwrap_err();
    assert!(matches!(error, NetmapError::Corrupt { .. }), "{error:?}");
}

#[test]
fn cursor_or_slot_that_makes_no_sense_while_running_ends_the_port() {
    for (at, value) in [(28, 16), (28, u32::MAX), (256, 0), (256, 1), (256, u32::MAX)] {
        let model = nic();
        let mut port = open(&model, 0, USUAL);
        model.overwrite(TX_RING + at, value);
        let refused = submit(&mut port, &frame(1, 100)).is_err();
        port.reclaim(Some);
        assert!(matches!(port.fatal(), Some(NetmapError::Corrupt { .. })), "{at} {value}");
        assert_eq!(refused, at == 256);
        assert!(port.sync_tx(TxSync::Push).is_err());
        assert_eq!(port.advance(None), None);
    }
}

proptest! {
    /// Whatever lies in the interface, in the rings and in the first word of buffers: the port is
    /// refused, or dies, or works, and never leaves the region.
    #[test]
    fn hostile_memory_is_survived(
        words in prop::collection::vec((0..3_usize, 0..140_usize, prop_oneof![
            any::<u32>(), 0..200_u32, Just(0), Just(u32::MAX), Just(i32::MAX as u32),
        ]), 1..12),
        early in any::<bool>(),
    ) {
        let model = nic();
        let attachment = model.bind(0, USUAL.extra).unwrap();
        let hurt = || for &(place, word, value) in &words {
            model.overwrite([INTERFACE, TX_RING, 2 * TX_RING][place] + 4 * word, value);
        };
        if early {
            hurt();
        }
        let Ok(mut port) = NetmapPort::over(attachment, &USUAL.port_config()) else { return Ok(()) };
        if !early {
            hurt();
        }
        for number in 0..40 {
            model.inject(0, &frame(number, 100));
            let _ = submit(&mut port, &frame(number, 100));
            let _ = port.sync_tx(TxSync::PushAndReclaim);
            port.receive(32, |frames| {
                assert!(frames.iter().all(|f| f.bytes.len() <= 2_048)); Unclaimed::NONE });
            let _ = port.flush();
            model.work();
            port.reclaim(Some);
            let census = port.census();
            prop_assert_eq!(census.free + census.caller + census.device, port.caps().buffers);
        }
        let _ = port.kernel_mut().rx_sync();
    }
}

#[test]
fn shape_is_as_the_tests_above_take_it() {
    let model = nic();
    let port = open(&model, 0, USUAL);
    assert_eq!(port.caps().tx_slots, 15);
    let Shape { tx_slots, rx_slots, .. } = USUAL;
    assert_eq!(model.word(TX_RING + 8), tx_slots);
    assert_eq!(model.word(2 * TX_RING + 8), rx_slots);
}
