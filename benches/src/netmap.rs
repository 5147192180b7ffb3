//! simoom's file server behind the netmap port, over the model of the kernel's side.
//!
//! What the model does, the wire's part and the kernel's, is outside of [`netmap_region_stack`] and its
//! like, which are what is counted.

use crate::memory_port::HEADERS;
use crate::rx::RxQueue;
use crate::simoom::{App, config, file_server};
use crate::subject::Subject;
use simoom_core::content::{self, Mode};
use simoom_core::port::{Port, TxSync, Unclaimed};
use simoom_core::secrets::Secrets;
use simoom_core::stack::{Deadline, Stack, WakeReason};
use simoom_core::time::Instant;
use simoom_netmap::kernel::Kernel;
use simoom_netmap::model::{CompletionPolicy, DmaPolicy, Model, ModelConfig, ModelKernel};
use simoom_netmap::port::{BareLoop, NetmapConfig, NetmapPort};
use simoom_sim::machine::Work;
use simoom_sim::port_host::PortStack;

/// Slots of each ring.
const SLOTS: u32 = 1_024;
/// Extra buffers.
const BUFFERS: u32 = 4_096;

/// The port that is measured.
pub type ModelPort = NetmapPort<ModelKernel>;

/// A NIC that reads late and reports half a ring at a time, as drivers do.
pub fn nic() -> Model {
    Model::nic(ModelConfig {
        tx_slots: SLOTS,
        rx_slots: SLOTS,
        buffers: 2 * SLOTS + BUFFERS,
        dma: DmaPolicy::NextCall,
        completion: CompletionPolicy::HalfRing,
        ..ModelConfig::default()
    })
}

/// A port on it.
pub fn open(model: &Model) -> ModelPort {
    let attachment = model.bind(0, BUFFERS).expect("the model is free");
    NetmapPort::over(attachment, &NetmapConfig::default()).expect("the model is sound")
}

/// The loop that swaps buffers, on it.
pub fn open_bare(model: &Model) -> BareLoop<ModelKernel> {
    let attachment = model.bind(0, BUFFERS).expect("the model is free");
    BareLoop::over(attachment).expect("the model is sound")
}

/// The stack and its port.
pub struct NetmapSimoom {
    /// The stack.
    pub stack: Stack<App>,
    /// Its port.
    pub port: ModelPort,
    /// What is behind the port.
    pub model: Model,
    rx: RxQueue,
    response_lens: Vec<u64>,
    /// What left in the last turn, one frame after the other.
    wire: Vec<u8>,
    ends: Vec<usize>,
    frames_out: u64,
    text_out: u64,
}

impl NetmapSimoom {
    /// A server of `objects` objects of so many bytes, cold.
    pub fn new(object_bytes: u64, objects: u32, connections: u32, mode: Mode) -> Self {
        let app = file_server(object_bytes, objects);
        let response_lens: Vec<u64> = app.catalogue().files().map(|f| f.total_len).collect();
        let model = nic();
        let port = open(&model);
        let mut config = config(connections);
        config.content =
            content::Config { mode, copies_max: BUFFERS, ..content::Config::default() };
        let stack = Stack::new(config, Secrets::new([1, 2, 3, 4]), port.caps(), app);
        let (wire, ends) = (Vec::with_capacity(1 << 21), Vec::with_capacity(SLOTS as usize));
        let rx = RxQueue::default();
        let (frames_out, text_out) = (0, 0);
        Self { stack, port, model, rx, response_lens, wire, ends, frames_out, text_out }
    }
}

/// A turn of the stack over the port.
#[inline(never)]
pub fn netmap_region_stack<K: Kernel>(
    stack: &mut Stack<App>,
    port: &mut NetmapPort<K>,
    now: Instant,
) -> Option<Deadline> {
    stack.turn(now, port).expect("the model does not fail")
}

/// Reclaims, receives, and sends so many frames, without a stack.
#[inline(never)]
pub fn netmap_region_port(port: &mut ModelPort, frames: usize, len: u16) {
    port.reclaim(Some);
    port.receive(32, |frames| {
        std::hint::black_box(frames.iter().fold(0, |seen, frame| seen ^ frame.bytes[0]));
        Unclaimed::NONE
    });
    for _ in 0..frames {
        let Some(buf) = port.take_free() else { break };
        if let Err(full) = port.submit(buf, len) {
            port.give_back(full.0);
            break;
        }
    }
    port.sync_tx(TxSync::Push).expect("the model does not fail");
}

/// The same without a port.
#[inline(never)]
pub fn netmap_region_bare(bare: &mut BareLoop<ModelKernel>, frames: usize, len: u16) {
    bare.receive(32);
    bare.send(frames, len);
}

impl Subject for NetmapSimoom {
    fn rx(&mut self) -> &mut RxQueue {
        &mut self.rx
    }

    fn turn(&mut self, now: u64, _active: &[u32]) -> bool {
        for _ in 0..32 {
            let Some(frame) = self.rx.pop() else { break };
            assert!(self.model.inject(0, frame), "the ring has room for a turn");
        }
        self.port.flush().expect("the model does not fail");
        let now = Instant::from_nanos(now);
        let deadline = netmap_region_stack(&mut self.stack, &mut self.port, now);
        self.port.flush().expect("the model does not fail");
        self.model.work();
        self.wire.clear();
        self.ends.clear();
        let Self { model, wire, ends, frames_out, text_out, .. } = self;
        model.take_wire(0, |frame| {
            *frames_out += 1;
            *text_out += (frame.len() as u64).saturating_sub(HEADERS);
            wire.extend_from_slice(frame);
            ends.push(wire.len());
        });
        deadline.is_some_and(|d| matches!(d.why, WakeReason::MoreWork | WakeReason::Starved))
    }

    fn last_frames(&self, show: &mut dyn FnMut(&[u8])) {
        let mut start = 0;
        for &end in &self.ends {
            show(&self.wire[start..end]);
            start = end;
        }
    }

    fn sent(&self) -> (u64, u64) {
        (self.frames_out, self.text_out)
    }

    fn response_len(&self, object: u32) -> u64 {
        self.response_lens[object as usize]
    }

    fn work(&self) -> Work {
        let copied_bytes = self.port.stats().copied_bytes;
        Work { copied_bytes, turns: self.stack.stats().turns, ..PortStack::work(&self.stack) }
    }

    fn diagnosis(&self) -> String {
        format!(
            "{:?}\n{:?}\n{:?}\n{:?}",
            self.stack.stats(),
            self.stack.store().stats(),
            self.port.stats(),
            self.model.violations()
        )
    }
}
