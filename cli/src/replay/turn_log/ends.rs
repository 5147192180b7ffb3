//! Ports that a turn log is played over, each with the far end of its wire: the simulator's NIC, the
//! model of netmap's NIC, and two netmap ports at the ends of one cable, modelled or real.

use simoom_core::port::{Port, PortCaps, RxFrame, TxSync, Unclaimed};
use simoom_core::time::{Duration, Instant};
use simoom_core::wire::MacAddr;
use simoom_netmap::error::NetmapError;
use simoom_netmap::kernel::Kernel;
use simoom_netmap::model::{self, Model, ModelConfig, ModelKernel, Violation};
use simoom_netmap::port::{MTU_MAX, NetmapConfig, NetmapPort};
use simoom_port_conformance::{Harness, frames};
use simoom_sim::link::Rate;
use simoom_sim::nic::{self, NicConfig, SimPort};
use simoom_sim::seed::{Seed, Stream};

/// Buffers beyond those of the recorded port: what an idle device keeps, and some to push that out.
const SPARE: u32 = 16;
/// Slots of the simulated and the modelled rings: few, so that they wrap often.
const SLOTS: u32 = 128;
/// Ethernet header.
const ETHERNET_LEN: u16 = 14;

/// A NIC of the simulator.
pub(super) struct SimEnd {
    port: SimPort,
    now: Instant,
}

impl SimEnd {
    pub(super) fn new(
        logged: &PortCaps,
        (dma, completion): (nic::DmaPolicy, nic::CompletionPolicy),
    ) -> Self {
        let caps = PortCaps {
            buffers: logged.buffers.saturating_add(SPARE),
            tx_slots: SLOTS,
            tx_hold_max: SLOTS,
            tx_hold_idle: 1,
            ..*logged
        };
        let config = NicConfig {
            caps,
            rx_slots: SLOTS,
            rate: Rate::gbit(10),
            // Preamble, FCS and the gap.
            overhead_bytes: 24,
            dma,
            completion,
            lateness_max: Duration::from_micros(100),
            stalls: None,
        };
        Self { port: SimPort::new(config, 1, Seed(1).stream(Stream::Dma(0))), now: Instant::ZERO }
    }
}

impl Harness for SimEnd {
    type Port = SimPort;

    fn port(&self) -> &SimPort {
        &self.port
    }

    fn port_mut(&mut self) -> &mut SimPort {
        &mut self.port
    }

    fn inject(&mut self, frames: &[&[u8]]) {
        for frame in frames {
            let frame = self.port.frames_mut().add(frame);
            // What finds no room is missing, and that is said.
            self.port.deliver(frame);
        }
    }

    fn wire(&mut self) -> Vec<Vec<u8>> {
        let mut wire = Vec::new();
        while let Some(sent) = self.port.take_sent() {
            wire.push(self.port.frames_mut().get(sent.frame).to_vec());
            self.port.frames_mut().remove(sent.frame);
        }
        wire
    }

    fn let_device_work(&mut self) {
        while let Some(at) = self.port.next_event() {
            self.now = self.now.max(at);
            self.port.advance(self.now);
        }
        // A frame that was read may still be on its way out.
        self.now += Duration::from_millis(1);
        self.port.advance(self.now);
    }
}

/// How a netmap port must be opened to be as large as the recorded one, and a little larger.
pub(super) fn netmap_config(logged: &PortCaps) -> NetmapConfig {
    NetmapConfig {
        buffers: logged.buffers.saturating_add(SPARE),
        buffers_min: 2,
        mtu: logged.frame_max.saturating_sub(ETHERNET_LEN).min(MTU_MAX),
        busy_poll: false,
    }
}

fn model_config(logged: &PortCaps) -> ModelConfig {
    ModelConfig {
        tx_slots: SLOTS,
        rx_slots: SLOTS,
        buffers: logged.buffers.saturating_add(8 * SLOTS),
        // Room for a tag that a received frame may have.
        buffer_bytes: (u32::from(logged.frame_max) + 4).next_multiple_of(64).max(2_048),
        ..ModelConfig::default()
    }
}

/// A port over the model of netmap's NIC.
pub(super) struct NicEnd {
    model: Model,
    port: NetmapPort<ModelKernel>,
}

impl NicEnd {
    pub(super) fn new(
        logged: &PortCaps,
        (dma, completion): (model::DmaPolicy, model::CompletionPolicy),
    ) -> Result<Self, NetmapError> {
        let model = Model::nic(ModelConfig { dma, completion, ..model_config(logged) });
        let port = open(&model, 0, &netmap_config(logged))?;
        Ok(Self { model, port })
    }

    /// What the port did wrong by netmap's rules.
    pub(super) fn violations(&self) -> Vec<Violation> {
        self.model.violations()
    }
}

fn open(
    model: &Model,
    end: u16,
    config: &NetmapConfig,
) -> Result<NetmapPort<ModelKernel>, NetmapError> {
    let attachment = model.bind(end, config.buffers).expect("a fresh model has its rings");
    NetmapPort::over(attachment, config)
}

impl Harness for NicEnd {
    type Port = NetmapPort<ModelKernel>;

    fn port(&self) -> &Self::Port {
        &self.port
    }

    fn port_mut(&mut self) -> &mut Self::Port {
        &mut self.port
    }

    fn inject(&mut self, frames: &[&[u8]]) {
        let _ = self.port.flush();
        for frame in frames {
            self.model.inject(0, frame);
        }
    }

    fn wire(&mut self) -> Vec<Vec<u8>> {
        let mut wire = Vec::new();
        self.model.take_wire(0, |frame| wire.push(frame.to_vec()));
        wire
    }

    fn let_device_work(&mut self) {
        let _ = self.port.flush();
        self.model.work();
    }
}

/// What is between two ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Cable {
    /// A pipe or a switch: netmap passes a frame on within the call.
    Memory,
    /// Interfaces, with a kernel or a wire between them, which take their time, and other senders.
    Interfaces,
}

/// A cable between interfaces has passed everything on when it was looked at in vain so often.
const LOOKS: u32 = 10;
const LOOK_EVERY: Duration = Duration::from_micros(500);
/// What was sent has come by then.
const WAIT: Duration = Duration::from_millis(5);

/// Two netmap ports at the ends of a cable. Where one dies, the next turn of the log says so.
pub(super) struct TwoEnds<K: Kernel> {
    near: NetmapPort<K>,
    far: NetmapPort<K>,
    cable: Cable,
    /// Who sends what is looked for.
    sender: MacAddr,
    wire: Vec<Vec<u8>>,
}

impl TwoEnds<ModelKernel> {
    /// The ends of a modelled pipe.
    pub(super) fn modelled(logged: &PortCaps, sender: MacAddr) -> Result<Self, NetmapError> {
        let model = Model::pipe(model_config(logged));
        let near = open(&model, 0, &netmap_config(logged))?;
        let far = open(&model, 1, &far_config(&netmap_config(logged)))?;
        Ok(Self::new(near, far, Cable::Memory, sender))
    }
}

/// The far end's buffers: one for each frame that may wait.
pub(super) fn far_config(near: &NetmapConfig) -> NetmapConfig {
    NetmapConfig { buffers: 2 * SLOTS, ..*near }
}

impl<K: Kernel> TwoEnds<K> {
    pub(super) fn new(
        near: NetmapPort<K>,
        far: NetmapPort<K>,
        cable: Cable,
        sender: MacAddr,
    ) -> Self {
        Self { near, far, cable, sender, wire: Vec::new() }
    }

    /// Everything that the far end has; whether there was anything.
    fn read_far_end(&mut self) -> bool {
        let Self { far, wire, cable, sender, .. } = self;
        let before = wire.len();
        let _ = far.flush();
        let mut take = |frames: &[RxFrame<'_>]| {
            let ours = frames.iter().filter(|frame| {
                *cable == Cable::Memory
                    || frame.bytes.get(6..12) == Some(&sender.0)
                    || frames::is_ours(frame.bytes)
            });
            wire.extend(ours.map(|frame| frame.bytes.to_vec()));
            Unclaimed::NONE
        };
        while far.receive(32, &mut take) > 0 {}
        let _ = far.flush();
        wire.len() > before
    }

    /// Sends from the far end; what finds no room there is missing at the near one, and that is said.
    fn send(&mut self, frame: &[u8]) {
        let far = &mut self.far;
        let _ = far.sync_tx(TxSync::PushAndReclaim);
        far.reclaim(Some);
        let Some(mut buf) = far.take_free() else { return };
        let Some(room) = far.bytes_mut(&mut buf).get_mut(..frame.len()) else {
            return far.give_back(buf);
        };
        room.copy_from_slice(frame);
        if let Err(full) = far.submit(buf, frame.len() as u16) {
            far.give_back(full.0);
        }
        let _ = far.flush();
    }
}

impl<K: Kernel> Harness for TwoEnds<K> {
    type Port = NetmapPort<K>;

    fn port(&self) -> &NetmapPort<K> {
        &self.near
    }

    fn port_mut(&mut self) -> &mut NetmapPort<K> {
        &mut self.near
    }

    fn inject(&mut self, frames: &[&[u8]]) {
        let _ = self.near.flush();
        frames.iter().for_each(|frame| self.send(frame));
        if self.cable == Cable::Interfaces {
            self.near.kernel_mut().pause(WAIT);
        }
        let _ = self.near.flush();
    }

    fn wire(&mut self) -> Vec<Vec<u8>> {
        std::mem::take(&mut self.wire)
    }

    fn let_device_work(&mut self) {
        let _ = self.near.flush();
        match self.cable {
            Cable::Memory => {
                while self.read_far_end() {
                    let _ = self.near.flush();
                }
            }
            Cable::Interfaces => {
                let mut idle = 0;
                while idle < LOOKS {
                    idle = if self.read_far_end() { 0 } else { idle + 1 };
                    self.near.kernel_mut().pause(LOOK_EVERY);
                    let _ = self.near.flush();
                }
            }
        }
        let _ = self.near.flush();
    }
}
