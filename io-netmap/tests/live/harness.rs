//! Two real ports at the ends of one cable.

use simoom_core::port::turn_log::TurnLog;
use simoom_core::port::{Port, TxSync};
use simoom_core::time::Duration;
use simoom_core::wire::MacAddr;
use simoom_netmap::device::Device;
use simoom_netmap::kernel::Kernel;
use simoom_netmap::name::{Pipe, PipeEnd, PortName};
use simoom_netmap::port::{NetmapConfig, NetmapPort};
use simoom_port_conformance::{Harness, frames, sender};
use std::fs::File;
use std::io::{ErrorKind, Read, Seek, SeekFrom};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

pub(crate) type LivePort = NetmapPort<Device>;

/// Whether there is netmap. Says so where not.
///
/// # Panics
/// Where there is none and there must be.
pub(crate) fn has_netmap() -> bool {
    let has = Path::new("/dev/netmap").exists();
    if !has {
        assert!(
            std::env::var_os("SIMOOM_REQUIRE_NETMAP").is_none(),
            "SIMOOM_REQUIRE_NETMAP is set and there is no /dev/netmap"
        );
        println!("skipped: no /dev/netmap; io-netmap/tests/vm.sh runs this in a virtual machine");
    }
    has
}

pub(crate) fn name(text: &str) -> PortName {
    text.parse().unwrap()
}

pub(crate) fn config(buffers: u32, mtu: u16) -> NetmapConfig {
    NetmapConfig { buffers, buffers_min: 2, mtu, busy_poll: false }
}

pub(crate) fn open(text: &str, buffers: u32) -> LivePort {
    NetmapPort::open(&name(text), &config(buffers, 1_500)).unwrap_or_else(|e| panic!("{text}: {e}"))
}

/// The port at the other end of a pipe, or another port of the same switch; None for an interface.
pub(crate) fn other_end(near: &PortName) -> Option<PortName> {
    let mut far = near.clone();
    if let Some(Pipe { end, .. }) = &mut far.pipe {
        *end = match end {
            PipeEnd::Master => PipeEnd::Slave,
            PipeEnd::Slave => PipeEnd::Master,
        };
    } else if far.switch.is_some() {
        far.name.truncate(12);
        far.name.push_str("far");
    } else {
        return None;
    }
    Some(far)
}

/// What is between the two ends.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Cable {
    /// A pipe or a switch: netmap passes a frame on within the call.
    Memory,
    /// Interfaces, with a kernel or a wire between them, which take their time.
    Interfaces,
}

/// A cable between interfaces has passed everything on when it was looked at in vain so often.
const LOOKS: u32 = 10;
const LOOK_EVERY: Duration = Duration::from_nanos(500_000);
/// What was sent has come by then.
const WAIT: Duration = Duration::from_millis(5);

pub(crate) struct TwoEnds {
    port: LivePort,
    far: LivePort,
    cable: Cable,
    /// Who sends what is looked for, beside the suite.
    sender: MacAddr,
    wire: Vec<Vec<u8>>,
}

impl TwoEnds {
    /// For the stack of a turn log.
    pub(crate) fn with_sender(near: &PortName, far: &PortName, log: &TurnLog) -> Self {
        Self { sender: sender(&log.header).unwrap(), ..Self::new(near, far, 256, 1_500) }
    }

    pub(crate) fn new(near: &PortName, far: &PortName, buffers: u32, mtu: u16) -> Self {
        let open = |name: &PortName, buffers| {
            NetmapPort::open(name, &config(buffers, mtu)).unwrap_or_else(|e| panic!("{name}: {e}"))
        };
        let cable = if near.is_interface() { Cable::Interfaces } else { Cable::Memory };
        let port = open(near, buffers);
        // A buffer for every frame that may wait.
        let far = open(far, 512);
        Self { port, far, cable, sender: MacAddr::ZERO, wire: Vec::new() }
    }

    /// Everything that the far end has; whether there was anything.
    fn read_far_end(&mut self) -> bool {
        let Self { far, wire, cable, sender, .. } = self;
        let before = wire.len();
        far.flush().unwrap();
        let mut take = |frames: &[simoom_core::port::RxFrame<'_>]| {
            let ours = frames.iter().filter(|frame| match cable {
                Cable::Memory => true,
                Cable::Interfaces => is_tested(frame.bytes, *sender),
            });
            wire.extend(ours.map(|frame| frame.bytes.to_vec()));
            simoom_core::port::Unclaimed::NONE
        };
        while far.receive(32, &mut take) > 0 {}
        far.flush().unwrap();
        wire.len() > before
    }
}

impl Harness for TwoEnds {
    type Port = LivePort;

    fn port(&self) -> &LivePort {
        &self.port
    }

    fn port_mut(&mut self) -> &mut LivePort {
        &mut self.port
    }

    fn inject(&mut self, frames: &[&[u8]]) {
        self.port.flush().unwrap();
        for frame in frames {
            self.far.sync_tx(TxSync::PushAndReclaim).unwrap();
            self.far.reclaim(Some);
            let mut buf = self.far.take_free().unwrap();
            self.far.bytes_mut(&mut buf)[..frame.len()].copy_from_slice(frame);
            self.far.submit(buf, frame.len() as u16).unwrap();
            self.far.flush().unwrap();
        }
        if let Cable::Interfaces = self.cable {
            self.port.kernel_mut().pause(WAIT);
        }
        self.port.flush().unwrap();
    }

    fn wire(&mut self) -> Vec<Vec<u8>> {
        std::mem::take(&mut self.wire)
    }

    fn let_device_work(&mut self) {
        self.port.flush().unwrap();
        match self.cable {
            Cable::Memory => {
                while self.read_far_end() {
                    self.port.flush().unwrap();
                }
            }
            Cable::Interfaces => {
                let mut idle = 0;
                while idle < LOOKS {
                    idle = if self.read_far_end() { 0 } else { idle + 1 };
                    self.port.kernel_mut().pause(LOOK_EVERY);
                    self.port.flush().unwrap();
                }
            }
        }
        self.port.flush().unwrap();
    }
}

/// Whether a frame is the suite's, or of the stack that a turn log tells of: a kernel at the same cable
/// sends some of its own.
fn is_tested(frame: &[u8], sender: MacAddr) -> bool {
    frames::is_ours(frame) || frame.get(6..12) == Some(&sender.0)
}

/// Sends a frame in a buffer of the free pool; whether there was a slot and a buffer.
pub(crate) fn submit(port: &mut LivePort, frame: &[u8]) -> bool {
    let Some(mut buf) = port.take_free() else { return false };
    port.bytes_mut(&mut buf)[..frame.len()].copy_from_slice(frame);
    match port.submit(buf, frame.len() as u16) {
        Ok(()) => true,
        Err(full) => {
            port.give_back(full.0);
            false
        }
    }
}

/// A frame unlike those of other numbers.
pub(crate) fn frame(number: u32, len: usize) -> Vec<u8> {
    let mut frame = vec![0xff; 6];
    frame.extend([2, 0, 0, 0, 0, 1]);
    frame.extend(frames::ETHERTYPE);
    frame.extend(number.to_be_bytes());
    while frame.len() < len {
        frame.push((frame.len() as u32).wrapping_mul(number.wrapping_mul(2) | 1) as u8);
    }
    frame.truncate(len);
    frame
}

/// The kernel's log, from some moment on.
pub(crate) struct KernelLog(File);

impl KernelLog {
    pub(crate) fn from_now() -> Self {
        let mut log = File::options()
            .read(true)
            .custom_flags(libc::O_NONBLOCK)
            .open("/dev/kmsg")
            .expect("whoever may open netmap may read the kernel's log");
        log.seek(SeekFrom::End(0)).unwrap();
        Self(log)
    }

    /// How often netmap says that a buffer was freed twice, or was none.
    pub(crate) fn complaints(mut self) -> usize {
        let mut record = [0; 8_192];
        let mut complaints = 0;
        loop {
            match self.0.read(&mut record) {
                Ok(len) => {
                    let text = String::from_utf8_lossy(&record[..len]);
                    let bad = ["double free", "Cannot free buf", "breaking with head"];
                    complaints += usize::from(bad.iter().any(|bad| text.contains(bad)));
                }
                // Overwritten before it was read.
                Err(e) if e.raw_os_error() == Some(libc::EPIPE) => {}
                Err(e) if e.kind() == ErrorKind::WouldBlock => return complaints,
                Err(e) => panic!("the kernel's log: {e}"),
            }
        }
    }
}
