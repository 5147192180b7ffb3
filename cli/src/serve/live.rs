//! A stack and its live port, turned until a signal comes.

use super::turn_log::{LogFile, Recorded};
use super::{netmap_failure, summary, tap_failure};
use crate::failure::{Failure, Kind};
use crate::site::DiskBodies;
use simoom_core::port::{Advance, Port, turn_log};
use simoom_core::server::FileServer;
use simoom_core::stack::Stack;
use simoom_core::tcp::State;
use simoom_core::time::{Duration, Instant};
use simoom_linux::tap::{TapError, TapPort};
use simoom_netmap::device::Device;
use simoom_netmap::error::NetmapError;
use simoom_netmap::port::NetmapPort;
use simoom_pcap::recorder::Recorder;
use simoom_pcap::writer::{Interface, Writer};
use std::fmt::Write as _;
use std::fs::File;
use std::path::Path;

/// How long connections may take to finish once the end was asked for. Then they are reset.
pub(super) const DRAIN_MAX: Duration = Duration::from_secs(5);

/// How often `--stats` prints.
const STATS_EVERY: Duration = Duration::from_secs(1);

/// A port that serves, or something around one.
pub(crate) trait LivePort: Port + Advance + Send + 'static {
    /// Says what is wrong.
    fn failure(error: &Self::Error) -> Failure;
    /// Why the port is dead, if it is.
    fn dead(&self) -> Option<Failure>;
    /// From now on the stop flag ends nothing: to drain.
    fn ignore_stop(&mut self);
    /// The port's time.
    fn now(&self) -> Instant;
    /// The UTC time of [`Instant::ZERO`], in nanoseconds since 1970.
    fn start_unix_nanos(&self) -> u64;
    /// What the port dropped, and what each count is of.
    fn dropped(&self) -> Vec<(u64, &'static str)>;
    /// Puts everything back as it was, and ends what is around the port. Adds to `report`.
    fn finish(self, report: &mut Report);
}

impl LivePort for TapPort {
    fn failure(error: &TapError) -> Failure {
        tap_failure(error)
    }

    fn dead(&self) -> Option<Failure> {
        self.fatal().map(tap_failure)
    }

    fn ignore_stop(&mut self) {
        self.set_stop(None);
    }

    fn now(&self) -> Instant {
        self.clock().now()
    }

    fn start_unix_nanos(&self) -> u64 {
        self.clock().start_unix_nanos()
    }

    fn dropped(&self) -> Vec<(u64, &'static str)> {
        let tap = self.stats();
        vec![
            (tap.rx_oversize, "longer than the MTU"),
            (tap.rx_runt, "shorter than an Ethernet header"),
            (tap.tx_link_down, "not sent, interface down"),
            (tap.tx_errors + tap.tx_short, "not sent, refused by the kernel"),
        ]
    }

    fn finish(self, report: &mut Report) {
        if let Err(e) = self.close() {
            report.failure.get_or_insert(tap_failure(&e));
        }
    }
}

impl LivePort for NetmapPort<Device> {
    fn failure(error: &NetmapError) -> Failure {
        netmap_failure(error)
    }

    fn dead(&self) -> Option<Failure> {
        self.fatal().map(netmap_failure)
    }

    fn ignore_stop(&mut self) {
        self.set_stop(None);
    }

    fn now(&self) -> Instant {
        NetmapPort::now(self)
    }

    fn start_unix_nanos(&self) -> u64 {
        self.clock().start_unix_nanos()
    }

    fn dropped(&self) -> Vec<(u64, &'static str)> {
        let netmap = self.stats();
        vec![
            (netmap.rx_oversize, "longer than the MTU"),
            (netmap.rx_runt, "shorter than an Ethernet header"),
            (netmap.rx_fragmented, "longer than a netmap buffer"),
            (netmap.rx_bad_slot, "in a slot without a buffer"),
        ]
    }

    fn finish(self, report: &mut Report) {
        if let Err(e) = self.close() {
            report.failure.get_or_insert(netmap_failure(&e));
        }
    }
}

impl<P: LivePort> LivePort for Recorder<P, File> {
    fn failure(error: &Self::Error) -> Failure {
        P::failure(error)
    }

    fn dead(&self) -> Option<Failure> {
        self.inner().dead()
    }

    fn ignore_stop(&mut self) {
        self.inner_mut().ignore_stop();
    }

    fn now(&self) -> Instant {
        self.inner().now()
    }

    fn start_unix_nanos(&self) -> u64 {
        self.inner().start_unix_nanos()
    }

    fn dropped(&self) -> Vec<(u64, &'static str)> {
        self.inner().dropped()
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
pub(crate) struct Report {
    /// The counters, a line each.
    pub(super) summary: String,
    pub(crate) failure: Option<Failure>,
    /// The turns that a recorder wrote down.
    pub(super) recorded: Option<Recorded>,
}

impl Report {
    /// Nothing counted yet.
    pub(crate) fn new(failure: Option<Failure>) -> Self {
        Self { summary: String::new(), failure, recorded: None }
    }
}

/// A stack with its port.
pub(super) struct Server<P> {
    name: String,
    port: P,
    stack: Stack<FileServer<DiskBodies>>,
    /// When the counters are printed next.
    stats_at: Option<Instant>,
    printed: summary::Snapshot,
    /// Where a recorder's turns go.
    log: Option<LogFile>,
}

impl<P: LivePort> Server<P> {
    pub(super) fn new(
        name: String,
        port: P,
        stack: Stack<FileServer<DiskBodies>>,
        stats: bool,
    ) -> Self {
        let stats_at = stats.then_some(Instant::ZERO + STATS_EVERY);
        Self { name, port, stack, stats_at, printed: summary::Snapshot::default(), log: None }
    }

    /// The same, with every turn written down.
    pub(super) fn log_turns(self, mut log: LogFile) -> Server<turn_log::Recorder<P>> {
        let Self { name, port, stack, stats_at, printed, .. } = self;
        let port = log.recorder(port);
        Server { name, port, stack, stats_at, printed, log: Some(log) }
    }

    /// The same, with every frame recorded to a new file.
    pub(super) fn record(self, path: &Path) -> Result<Server<Recorder<P, File>>, Failure> {
        let fail =
            |e| Failure::new(Kind::File, format!("cannot record to {}: {e}", path.display()));
        let file = File::create(path).map_err(fail)?;
        let interface = self.name.split_once(':').map_or(self.name.as_str(), |(_, name)| name);
        let writer = Writer::new(file, &[Interface::new(interface)]).map_err(fail)?;
        let start = self.port.start_unix_nanos();
        let Self { name, port, stack, stats_at, printed, log } = self;
        let port = Recorder::new(port, writer, start);
        Ok(Server { name, port, stack, stats_at, printed, log })
    }
}

impl<P: LivePort> Server<P> {
    /// Serves until the stop flag is up or the port fails, then drains and restores the device.
    pub(super) fn serve(mut self) -> Report {
        let done = self.turn_until_stopped().and_then(|()| self.drain());
        let summary = summary::of(&self.name, &self.stack, &self.port.dropped());
        let mut report = Report { summary, ..Report::new(done.err()) };
        self.port.finish(&mut report);
        if let (Some(log), Some(recorded)) = (self.log, report.recorded.take()) {
            log.write(recorded, &mut report);
        }
        report
    }

    fn turn_until_stopped(&mut self) -> Result<(), Failure> {
        let mut wake_at = Some(Instant::ZERO);
        while let Some(now) = self.port.advance(earlier(wake_at, self.stats_at)) {
            wake_at = self.turn(now)?;
            if self.stats_at.is_some_and(|at| at <= now) {
                self.print_stats(now);
            }
        }
        self.port.dead().map_or(Ok(()), Err)
    }

    /// A turn of the stack, and when the next is due.
    fn turn(&mut self, now: Instant) -> Result<Option<Instant>, Failure> {
        let deadline = self.stack.turn(now, &mut self.port).map_err(|e| P::failure(&e))?;
        Ok(deadline.map(|deadline| deadline.at))
    }

    /// Stops accepting, finishes what is under way as long as [`DRAIN_MAX`] allows, resets the rest.
    fn drain(&mut self) -> Result<(), Failure> {
        self.port.ignore_stop();
        self.stack.stop_listening();
        self.stack.app_mut().drain();
        let mut now = self.port.now();
        let until = now + DRAIN_MAX;
        let mut wake_at = Some(now);
        while let Some(at) = self.port.advance(earlier(wake_at, Some(until))) {
            now = at;
            wake_at = self.turn(now)?;
            if self.is_quiet() || now >= until {
                break;
            }
        }
        self.stack.shut_down(now, &mut self.port).map_err(|e| P::failure(&e))
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
