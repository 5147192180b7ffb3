//! Ports over a model, each with the far end of its wire.

use simoom_core::port::{Buf, Port, Unclaimed};
use simoom_netmap::model::{CompletionPolicy, DmaPolicy, Model, ModelConfig, ModelKernel};
use simoom_netmap::port::{NetmapConfig, NetmapPort};
use simoom_port_conformance::Harness;
use std::cell::RefCell;
use std::rc::Rc;

pub(crate) type ModelPort = NetmapPort<ModelKernel>;

/// What went wrong beside what the suite sees.
#[derive(Clone, Debug, Default)]
pub(crate) struct Faults(Rc<RefCell<Vec<String>>>);

impl Faults {
    pub(crate) fn all(&self) -> Vec<String> {
        self.0.borrow().clone()
    }

    /// Of a model whose ports are closed.
    pub(crate) fn look_at(&self, model: &Model) {
        let mut faults = self.0.borrow_mut();
        faults.extend(model.violations().iter().map(|violation| format!("{violation:?}")));
        let lost = model.buffers_lost();
        if lost > 0 {
            faults.push(format!("{lost} buffers were not given back"));
        }
    }
}

/// Slots, extra buffers and MTU of a port.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Shape {
    pub(crate) tx_slots: u32,
    pub(crate) rx_slots: u32,
    pub(crate) extra: u32,
    pub(crate) mtu: u16,
}

pub(crate) const USUAL: Shape = Shape { tx_slots: 16, rx_slots: 80, extra: 48, mtu: 186 };

impl Shape {
    pub(crate) fn port_config(self) -> NetmapConfig {
        NetmapConfig { mtu: self.mtu, buffers_min: 2, ..NetmapConfig::default() }
    }

    pub(crate) fn model_config(self, (dma, completion): Policies) -> ModelConfig {
        ModelConfig {
            tx_slots: self.tx_slots,
            rx_slots: self.rx_slots,
            dma,
            completion,
            ..ModelConfig::default()
        }
    }
}

pub(crate) type Policies = (DmaPolicy, CompletionPolicy);

pub(crate) fn all_policies() -> impl Iterator<Item = Policies> {
    let pair = |dma| CompletionPolicy::ALL.map(|completion| (dma, completion));
    DmaPolicy::ALL.into_iter().flat_map(pair)
}

/// Binds end `end` of a model.
pub(crate) fn open(model: &Model, end: u16, shape: Shape) -> ModelPort {
    let attachment = model.bind(end, shape.extra).unwrap();
    NetmapPort::over(attachment, &shape.port_config()).unwrap()
}

/// A port on a NIC.
pub(crate) struct NicHarness {
    pub(crate) model: Model,
    port: Option<ModelPort>,
    faults: Faults,
}

impl NicHarness {
    pub(crate) fn new(policies: Policies, shape: Shape, faults: &Faults) -> Self {
        Self::with_seed(policies, shape, 1, faults)
    }

    pub(crate) fn with_seed(policies: Policies, shape: Shape, seed: u64, faults: &Faults) -> Self {
        let model = Model::nic(ModelConfig { seed, ..shape.model_config(policies) });
        let port = Some(open(&model, 0, shape));
        Self { model, port, faults: faults.clone() }
    }
}

impl Drop for NicHarness {
    fn drop(&mut self) {
        self.port = None;
        self.faults.look_at(&self.model);
    }
}

impl Harness for NicHarness {
    type Port = ModelPort;

    fn port(&self) -> &ModelPort {
        self.port.as_ref().unwrap()
    }

    fn port_mut(&mut self) -> &mut ModelPort {
        self.port.as_mut().unwrap()
    }

    fn inject(&mut self, frames: &[&[u8]]) {
        // What was released is the NIC's before more comes.
        let _ = self.port_mut().flush();
        for frame in frames {
            assert!(self.model.inject(0, frame), "more was injected than there is room for");
        }
    }

    fn wire(&mut self) -> Vec<Vec<u8>> {
        let mut wire = Vec::new();
        self.model.take_wire(0, |frame| wire.push(frame.to_vec()));
        wire
    }

    /// Completions show when the policy says: nothing is forced here.
    fn let_device_work(&mut self) {
        let _ = self.port_mut().flush();
        self.model.work();
    }
}

/// A port on one end of a pipe, and another port on the other.
pub(crate) struct PipeHarness {
    model: Model,
    port: Option<ModelPort>,
    far: Option<ModelPort>,
    wire: Vec<Vec<u8>>,
    faults: Faults,
}

impl PipeHarness {
    pub(crate) fn new(shape: Shape, faults: &Faults) -> Self {
        let policies = (DmaPolicy::AtDoorbell, CompletionPolicy::AtRead);
        let slots = shape.tx_slots.max(shape.rx_slots);
        let shape = Shape { tx_slots: slots, rx_slots: slots, ..shape };
        let model = Model::pipe(shape.model_config(policies));
        let port = Some(open(&model, 0, shape));
        // The far end needs a buffer for every frame that may wait.
        let far = Some(open(&model, 1, Shape { extra: 2 * slots, ..shape }));
        Self { model, port, far, wire: Vec::new(), faults: faults.clone() }
    }
}

impl Drop for PipeHarness {
    fn drop(&mut self) {
        self.port = None;
        self.far = None;
        self.faults.look_at(&self.model);
    }
}

impl Harness for PipeHarness {
    type Port = ModelPort;

    fn port(&self) -> &ModelPort {
        self.port.as_ref().unwrap()
    }

    fn port_mut(&mut self) -> &mut ModelPort {
        self.port.as_mut().unwrap()
    }

    fn inject(&mut self, frames: &[&[u8]]) {
        let _ = self.port_mut().flush();
        let far = self.far.as_mut().unwrap();
        far.flush().unwrap();
        for frame in frames {
            far.reclaim(Some);
            submit(far, frame).unwrap();
            far.flush().unwrap();
        }
    }

    fn wire(&mut self) -> Vec<Vec<u8>> {
        std::mem::take(&mut self.wire)
    }

    fn let_device_work(&mut self) {
        let _ = self.port_mut().flush();
        let far = self.far.as_mut().unwrap();
        far.flush().unwrap();
        let wire = &mut self.wire;
        while far.receive(32, |frames| {
            wire.extend(frames.iter().map(|f| f.bytes.to_vec()));
            Unclaimed::NONE
        }) > 0
        {}
        far.flush().unwrap();
        let _ = self.port_mut().flush();
    }
}

/// Sends a frame in a buffer of the free pool.
pub(crate) fn submit(port: &mut ModelPort, frame: &[u8]) -> Result<u32, Option<Buf>> {
    let mut buf = port.take_free().ok_or(None)?;
    let index = buf.index();
    port.bytes_mut(&mut buf)[..frame.len()].copy_from_slice(frame);
    port.submit(buf, frame.len() as u16).map_err(|full| Some(full.0))?;
    Ok(index)
}

/// A frame unlike those of other numbers.
pub(crate) fn frame(number: u32, len: usize) -> Vec<u8> {
    let mut frame = vec![0xff; 6];
    frame.extend([2, 0, 0, 0, 0, 1, 0x88, 0xb5]);
    frame.extend(number.to_be_bytes());
    while frame.len() < len {
        frame.push((frame.len() as u32).wrapping_mul(number.wrapping_mul(2) | 1) as u8);
    }
    frame.truncate(len);
    frame
}
