//! simoom's file server behind the memory port.

use crate::arena::Pages;
use crate::client::{SERVER_IP, SERVER_MAC, object_path};
use crate::memory_port::MemoryPort;
use crate::rx::RxQueue;
use crate::subject::Subject;
use simoom_core::content::{self, Mode};
use simoom_core::port::Port;
use simoom_core::secrets::Secrets;
use simoom_core::server::bodies::pattern_fill;
use simoom_core::server::{Catalogue, FileInfo, FileServer, MemoryBodies, ServerConfig};
use simoom_core::stack::{self, Stack, WakeReason};
use simoom_core::time::Instant;
use simoom_sim::machine::Work;
use simoom_sim::port_host::PortStack;

/// The application that is measured.
pub type App = FileServer<MemoryBodies>;

/// How it is set up.
#[derive(Clone, Copy, Debug)]
pub struct Setup {
    /// Bytes of a body.
    pub object_bytes: u64,
    /// Objects in the catalogue.
    pub objects: u32,
    /// Connections, at most.
    pub connections: u32,
    /// Whether the stack computes and verifies checksums.
    pub checksums: bool,
    /// How segments get into buffers.
    pub mode: Mode,
    /// Whether the store has a class for the client's MSS: else every segment goes the copying way.
    pub class: bool,
    /// Pages of the buffers.
    pub pages: Pages,
}

/// The stack and its port, which gathers or does not.
pub struct Simoom<const GATHERS: bool = false> {
    /// The stack.
    pub stack: Stack<App>,
    /// Its port.
    pub port: MemoryPort<GATHERS>,
    response_lens: Vec<u64>,
}

/// Objects of a catalogue whose bodies are bytes in memory; the bodies of more are made when read.
const IN_MEMORY_MAX: u32 = 64;

/// A catalogue of equal objects, and their bodies.
pub fn file_server(object_bytes: u64, objects: u32) -> App {
    let mut bodies = MemoryBodies::new();
    let mut builder = Catalogue::builder(1);
    for object in 0..objects {
        let seed = u64::from(object);
        // What is read often is read from memory; many objects are read once, to be cut.
        let file = if objects <= IN_MEMORY_MAX {
            let mut body = vec![0; object_bytes as usize];
            pattern_fill(seed, 0, &mut body);
            bodies.add_bytes(body)
        } else {
            bodies.add_pattern(seed, object_bytes)
        };
        let info = FileInfo {
            path: &object_path(object),
            content_type: "text/html; charset=utf-8",
            modified: 1_700_000_000,
            version: u64::from(object),
            len: object_bytes,
            file,
        };
        builder.add_file(info).expect("the path is a name");
    }
    FileServer::new(builder.build(), bodies, ServerConfig::default())
}

/// The configuration of a stack for `connections` connections.
pub fn config(connections: u32) -> stack::Config {
    let mut config = stack::Config::new(SERVER_MAC, SERVER_IP, 8);
    config.connections_max = connections;
    config.unix_nanos_at_start = 1_750_000_000_000_000_000;
    config
}

impl<const GATHERS: bool> Simoom<GATHERS> {
    /// A server, cold: nothing is cut.
    pub fn new(setup: Setup) -> Self {
        Self::with_config(setup, config(setup.connections))
    }

    /// The same with bounds of one's own; what the setup says about content is put into `config`.
    pub fn with_config(setup: Setup, mut config: stack::Config) -> Self {
        let app = file_server(setup.object_bytes, setup.objects);
        let response_lens: Vec<u64> = app.catalogue().files().map(|f| f.total_len).collect();
        let segments = (setup.object_bytes / 1_448 + 2) as u32;
        let copies = setup.objects * segments.next_multiple_of(16) + 4_096;
        let buffers = copies + 2 * 4_096;
        config.content = content::Config {
            mode: setup.mode,
            copies_max: copies,
            runs_max: setup.objects * segments.div_ceil(16) + 64,
            ..content::Config::default()
        };
        if !setup.class {
            config.content.mss_classes.retain(|class| *class > 1_460);
        }
        let port = MemoryPort::new(buffers, !setup.checksums, setup.pages);
        let stack = Stack::new(config, Secrets::new([1, 2, 3, 4]), port.caps(), app);
        Self { stack, port, response_lens }
    }
}

impl<const GATHERS: bool> Subject for Simoom<GATHERS> {
    fn rx(&mut self) -> &mut RxQueue {
        &mut self.port.rx
    }

    #[inline]
    fn turn(&mut self, now: u64, _active: &[u32]) -> bool {
        let Ok(deadline) = self.stack.turn(Instant::from_nanos(now), &mut self.port);
        deadline.is_some_and(|d| matches!(d.why, WakeReason::MoreWork | WakeReason::Starved))
    }

    fn last_frames(&self, show: &mut dyn FnMut(&[u8])) {
        self.port.show_last_frames(show);
    }

    fn sent(&self) -> (u64, u64) {
        (self.port.frames_out, self.port.text_out)
    }

    fn response_len(&self, object: u32) -> u64 {
        self.response_lens[object as usize]
    }

    fn work(&self) -> Work {
        let copied_bytes = self.port.copied_bytes;
        Work { copied_bytes, turns: self.stack.stats().turns, ..PortStack::work(&self.stack) }
    }

    fn buffers_used(&self) -> u32 {
        self.port.buffers_used()
    }

    fn diagnosis(&self) -> String {
        format!("{:?}\n{:?}", self.stack.stats(), self.stack.store().stats())
    }
}
