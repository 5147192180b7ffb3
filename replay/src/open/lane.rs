//! A stack for the connections whose servers announced the same: TCP's options and windows are
//! configured per stack.

use super::app::{SERVER, ScriptApp};
use super::files::Texts;
use super::frame::{ClientFrame, OUR_MAC};
use super::port::ReplayPort;
use super::profile::Profile;
use super::watch::Watch;
use crate::prepare::{Shape, ShapeCount};
use simoom_core::port::{BATCH_MAX, Port};
use simoom_core::secrets::Secrets;
use simoom_core::stack::{Config, Stack};
use simoom_core::time::Instant;
use std::fmt;

/// Bytes of receive buffers of one stack, at most.
const RECEIVE_BYTES_MAX: u32 = 8 << 20;

/// The largest receive window: what a captured kernel grows to is not imitated beyond it.
const RECEIVE_WINDOW_MAX: u32 = 4 << 20;

/// The longest text of our stack: what a frame of 65,535 bytes holds beside its headers. Loopback
/// devices take a little more.
const MSS_MAX: u16 = u16::MAX - 128;

/// A stack, its port, and when it wants to be called.
pub(super) struct Lane {
    pub(super) shape: Shape,
    stack: Stack<ScriptApp, Watch>,
    port: ReplayPort,
    /// UTC; None: not before a frame comes.
    pub(super) wake_at: Option<u64>,
    base: u64,
    last: u64,
}

impl Lane {
    pub(super) fn new(
        profile: &Profile,
        shape: Shape,
        count: ShapeCount,
        connections: u32,
        base: u64,
        texts: Texts,
    ) -> Self {
        let announces = profile.announces;
        let mss = announces.mss.unwrap_or(shape.mss).clamp(64, MSS_MAX);
        let port = ReplayPort::new(mss.max(536));
        let mut config = Config::new(OUR_MAC, *SERVER.ip(), 32);
        config.listen = vec![SERVER.port()];
        config.connections_max = connections;
        config.half_open_max = connections;
        config.neighbours_max = 1;
        config.unix_nanos_at_start = base;
        config.tcp = profile.tcp.clone();
        let tcp = &mut config.tcp;
        tcp.mss = mss;
        tcp.timestamps = announces.timestamps.unwrap_or(shape.timestamps);
        tcp.window_scaling = announces.window_scaling.unwrap_or(shape.window_scale.is_some());
        tcp.window_shift_min = shape.window_scale.unwrap_or(0);
        tcp.receive_window = count.window_max.clamp(1_024, RECEIVE_WINDOW_MAX);
        config.receive_buffers = (RECEIVE_BYTES_MAX / tcp.receive_window).clamp(2, 512);
        // Text is made for each send, as far as anybody looks at it: nothing is kept.
        config.content.copies_max = 0;
        config.content.runs_max = 0;
        config.content.mss_classes.clone_from(&profile.mss_classes);
        let watch = Watch::new(texts.fills);
        let app = ScriptApp::new(texts, base);
        let secrets = Secrets::new([0x5151, 0x5252, 0x5353, 0x5454]);
        let stack = Stack::with_trace(config, secrets, port.caps(), app, watch);
        Self { shape, stack, port, wake_at: None, base, last: base }
    }

    pub(super) fn app(&mut self) -> &mut ScriptApp {
        self.stack.app_mut()
    }

    pub(super) fn watch(&self) -> &Watch {
        self.stack.trace()
    }

    pub(super) fn watch_mut(&mut self) -> &mut Watch {
        self.stack.trace_mut()
    }

    /// Whether frames wait for a turn, and whether there is room for another.
    pub(super) fn staged(&self) -> (bool, bool) {
        (self.port.staged() > 0, self.port.staged() < BATCH_MAX)
    }

    pub(super) fn stage(&mut self, frame: &ClientFrame<'_>) {
        self.port.stage(|out| frame.write(out));
    }

    /// Bytes that a connection of this stack may be ahead of its application.
    pub(super) fn connections(&self) -> u32 {
        self.stack.connections()
    }

    /// One turn at `now`, UTC; not before the last.
    pub(super) fn turn(&mut self, now: u64) {
        self.last = self.last.max(now);
        self.stack.app_mut().set_now(self.last);
        let at = Instant::from_nanos(self.last - self.base);
        let deadline = match self.stack.turn(at, &mut self.port) {
            Ok(deadline) => deadline,
            Err(never) => match never {},
        };
        self.wake_at = deadline.map(|deadline| self.base.saturating_add(deadline.at.as_nanos()));
    }
}

impl fmt::Debug for Lane {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lane").field("shape", &self.shape).finish_non_exhaustive()
    }
}
