//! A stack and its live port, turned until a signal comes.

use super::{summary, tap_failure};
use crate::failure::{Failure, Kind};
use crate::site::DiskBodies;
use simoom_core::port::{Advance, Port};
use simoom_core::server::FileServer;
use simoom_core::stack::Stack;
use simoom_core::tcp::State;
use simoom_core::time::{Duration, Instant};
use simoom_linux::tap::{TapError, TapPort};
use simoom_pcap::recorder::Recorder;
use simoom_pcap::writer::{Interface, Writer};
use std::fmt::Write as _;
use std::fs::File;
use std::path::Path;

/// How long connections may take to finish once the end was asked for. Then they are reset.
pub(super) const DRAIN_MAX: Duration = Duration::from_secs(5);

/// How often `--stats` prints.
const STATS_EVERY: Duration = Duration::from_secs(1);

/// A TAP port, or something around one.
pub(super) trait LivePort: Port<Error = TapError> + Advance + Send + 'static {
    fn tap(&self) -> &TapPort;
    fn tap_mut(&mut self) -> &mut TapPort;
    /// Puts the interface back as it was, and ends what is around the port. Adds to `report`.
    fn finish(self, report: &mut Report);
}

impl LivePort for TapPort {
    fn tap(&self) -> &TapPort {
        self
    }

    fn tap_mut(&mut self) -> &mut TapPort {
        self
    }

    fn finish(self, report: &mut Report) {
        if let Err(e) = self.close() {
            report.failure.get_or_insert(tap_failure(&e));
        }
    }
}

impl LivePort for Recorder<TapPort, File> {
    fn tap(&self) -> &TapPort {
        self.inner()
    }

    fn tap_mut(&mut self) -> &mut TapPort {
        self.inner_mut()
    }

    fn finish(self, report: &mut Report) {
        let (port, writer) = self.into_inner();
        port.finish(report);
        let (written, lost) = (writer.packets_written(), writer.packets_lost());
        match writer.finish() {
            Ok(_) => {
                let _ = writeln!(report.summary, "  {written:>12}  frames recorded");
            }
            Err(e) => {
                let why = format!("the recording ends early, {lost} frames are missing: {e}");
                report.failure.get_or_insert(Failure::new(Kind::File, why));
            }
        }
    }
}

/// What came of serving.
pub(super) struct Report {
    /// The counters, a line each.
    pub(super) summary: String,
    pub(super) failure: Option<Failure>,
}

/// A stack with its port.
pub(super) struct Server<P> {
    name: String,
    port: P,
    stack: Stack<FileServer<DiskBodies>>,
    /// When the counters are printed next.
    stats_at: Option<Instant>,
    printed: summary::Snapshot,
}

impl Server<TapPort> {
    pub(super) fn new(
        name: String,
        port: TapPort,
        stack: Stack<FileServer<DiskBodies>>,
        stats: bool,
    ) -> Self {
        let stats_at = stats.then_some(Instant::ZERO + STATS_EVERY);
        Self { name, port, stack, stats_at, printed: summary::Snapshot::default() }
    }

    /// The same, with every frame recorded to a new file.
    pub(super) fn record(self, path: &Path) -> Result<Server<Recorder<TapPort, File>>, Failure> {
        let fail =
            |e| Failure::new(Kind::File, format!("cannot record to {}: {e}", path.display()));
        let file = File::create(path).map_err(fail)?;
        let writer = Writer::new(file, &[Interface::new(&self.name)]).map_err(fail)?;
        let start = self.port.clock().start_unix_nanos();
        let Self { name, port, stack, stats_at, printed } = self;
        Ok(Server { name, port: Recorder::new(port, writer, start), stack, stats_at, printed })
    }
}

impl<P: LivePort> Server<P> {
    /// Serves until the stop flag is up or the port fails, then drains and restores the device.
    pub(super) fn serve(mut self) -> Report {
        let done = self.turn_until_stopped().and_then(|()| self.drain());
        let summary = summary::of(&self.name, &self.stack, self.port.tap().stats());
        let mut report = Report { summary, failure: done.err().map(|e| tap_failure(&e)) };
        self.port.finish(&mut report);
        report
    }

    fn turn_until_stopped(&mut self) -> Result<(), TapError> {
        let mut wake_at = Some(Instant::ZERO);
        while let Some(now) = self.port.advance(earlier(wake_at, self.stats_at)) {
            wake_at = self.stack.turn(now, &mut self.port)?.map(|deadline| deadline.at);
            if self.stats_at.is_some_and(|at| at <= now) {
                self.print_stats(now);
            }
        }
        self.port.tap().fatal().cloned().map_or(Ok(()), Err)
    }

    /// Stops accepting, finishes what is under way as long as [`DRAIN_MAX`] allows, resets the rest.
    fn drain(&mut self) -> Result<(), TapError> {
        self.port.tap_mut().set_stop(None);
        self.stack.stop_listening();
        self.stack.app_mut().drain();
        let mut now = self.port.tap().clock().now();
        let until = now + DRAIN_MAX;
        let mut wake_at = Some(now);
        while let Some(at) = self.port.advance(earlier(wake_at, Some(until))) {
            now = at;
            wake_at = self.stack.turn(now, &mut self.port)?.map(|deadline| deadline.at);
            if self.is_quiet() || now >= until {
                break;
            }
        }
        self.stack.shut_down(now, &mut self.port)
    }

    /// Nothing is owed to anybody: no answer under way, no FIN of ours without acknowledgement.
    fn is_quiet(&self) -> bool {
        self.stack.app().pending() == 0
            && self.stack.connection_infos().all(|(_, info)| match info.state {
                State::Established | State::FinWait2 | State::TimeWait | State::SynReceived => true,
                State::SynSent
                | State::FinWait1
                | State::CloseWait
                | State::Closing
                | State::LastAck => false,
            })
    }

    #[cold]
    fn print_stats(&mut self, now: Instant) {
        let snapshot = summary::Snapshot::of(&self.stack);
        eprintln!("{}", snapshot.line(&self.printed, &self.name, self.stack.connections()));
        self.printed = snapshot;
        self.stats_at = Some(now + STATS_EVERY);
    }
}

fn earlier(a: Option<Instant>, b: Option<Instant>) -> Option<Instant> {
    a.into_iter().chain(b).min()
}
