//! A stack and its live port, turned until a signal comes.

use super::crew::Post;
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
use simoom_netmap::kernel::Kernel;
use simoom_netmap::port::{NetmapPort, NetmapStats};
use simoom_pcap::recorder::Recorder;
use simoom_pcap::writer::{Interface, Writer};
use std::fmt::Write as _;
use std::fs::File;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// How long connections may take to finish once the end was asked for. Then they are reset.
pub(super) const DRAIN_MAX: Duration = Duration::from_secs(5);

/// How often `--stats` prints.
const STATS_EVERY: Duration = Duration::from_secs(1);

/// Connections that are looked at before anything is said of their rings: enough for a number to mean
/// something, few enough to be said soon.
const HASHED_MIN: u64 = 32;

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

/// A kernel that ends waits when the end is asked for.
pub(super) trait StopKernel: Kernel + Send + 'static {
    /// From now on the end is no reason to return.
    fn ignore_stop(&mut self);
}

impl StopKernel for Device {
    fn ignore_stop(&mut self) {
        self.set_stop(None);
    }
}

impl<K: StopKernel> LivePort for NetmapPort<K> {
    fn failure(error: &NetmapError) -> Failure {
        netmap_failure(error)
    }

    fn dead(&self) -> Option<Failure> {
        self.fatal().map(netmap_failure)
    }

    fn ignore_stop(&mut self) {
        self.kernel_mut().ignore_stop();
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
            (netmap.rx_fragmented, "in several slots, longer than the MTU"),
            (netmap.rx_bad_slot, "in a slot without a buffer"),
            (netmap.host_ring_full, "for the host, its ring full"),
            (netmap.to_host_fragmented, "for the host, of several slots"),
            (netmap.from_host_bad, "of the host, not a frame"),
        ]
    }

    fn finish(self, report: &mut Report) {
        let NetmapStats { to_host, from_host, .. } = *self.stats();
        for (count, what) in
            [(to_host, "frames handed to the host"), (from_host, "frames of the host sent")]
        {
            if self.has_host_rings() {
                let _ = writeln!(report.summary, "  {count:>12}  {what}");
            }
        }
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
    /// What is compared with other shards.
    pub(super) counted: summary::Snapshot,
    pub(crate) failure: Option<Failure>,
    /// The turns that a recorder wrote down.
    pub(super) recorded: Option<Recorded>,
}

impl Report {
    /// Nothing counted yet.
    pub(crate) fn new(failure: Option<Failure>) -> Self {
        let counted = summary::Snapshot::default();
        Self { summary: String::new(), counted, failure, recorded: None }
    }
}

/// What is told while a server turns, and to whom.
pub(super) struct Watch {
    /// Who is told.
    pub(super) post: Post,
    /// The core that the thread is kept on.
    pub(super) core: Option<usize>,
    /// Whether counters are told once a second.
    pub(super) stats: bool,
    /// What is to be said of a ring that does not fit the hash.
    pub(super) misfit: Option<Misfit>,
}

/// What is said, by one shard of a port, once.
pub(super) struct Misfit {
    /// What hashes, in words.
    pub(super) hash: String,
    /// What to look at.
    pub(super) fix: String,
    /// Set by the shard that says it. Nobody looks at it before there is something to say.
    pub(super) said: Arc<AtomicBool>,
}

/// A stack with its port.
pub(super) struct Server<P> {
    name: String,
    port: P,
    stack: Stack<FileServer<DiskBodies>>,
    /// When the counters are told next.
    stats_at: Option<Instant>,
    watch: Watch,
    /// Where a recorder's turns go.
    log: Option<LogFile>,
}

impl<P: LivePort> Server<P> {
    pub(super) fn new(
        name: String,
        port: P,
        stack: Stack<FileServer<DiskBodies>>,
        watch: Watch,
    ) -> Self {
        let stats_at = watch.stats.then_some(Instant::ZERO + STATS_EVERY);
        Self { name, port, stack, stats_at, watch, log: None }
    }

    /// The same, with every turn written down.
    pub(super) fn log_turns(self, mut log: LogFile) -> Server<turn_log::Recorder<P>> {
        let Self { name, port, stack, stats_at, watch, .. } = self;
        let port = log.recorder(port);
        Server { name, port, stack, stats_at, watch, log: Some(log) }
    }

    /// The same, with every frame recorded to a new file.
    pub(super) fn record(self, path: &Path) -> Result<Server<Recorder<P, File>>, Failure> {
        let fail =
            |e| Failure::new(Kind::File, format!("cannot record to {}: {e}", path.display()));
        let file = File::create(path).map_err(fail)?;
        let interface = self.name.split_once(':').map_or(self.name.as_str(), |(_, name)| name);
        let writer = Writer::new(file, &[Interface::new(interface)]).map_err(fail)?;
        let start = self.port.start_unix_nanos();
        let Self { name, port, stack, stats_at, watch, log } = self;
        let port = Recorder::new(port, writer, start);
        Ok(Server { name, port, stack, stats_at, watch, log })
    }
}

impl<P: LivePort> Server<P> {
    /// Serves until the stop flag is up or the port fails, then drains and restores the device.
    pub(super) fn serve(mut self) -> Report {
        let done = self.turn_until_stopped().and_then(|()| self.drain());
        let title = match self.watch.core {
            Some(core) => format!("{} (core {core})", self.name),
            None => self.name.clone(),
        };
        let summary = summary::of(&title, &self.stack, &self.port.dropped());
        let counted = summary::Snapshot::of(&self.stack);
        let mut report = Report { summary, counted, ..Report::new(done.err()) };
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
                self.tell_stats(now);
            }
        }
        self.port.dead().map_or(Ok(()), Err)
    }

    /// A turn of the stack, and when the next is due.
    fn turn(&mut self, now: Instant) -> Result<Option<Instant>, Failure> {
        let deadline = self.stack.turn(now, &mut self.port).map_err(|e| P::failure(&e))?;
        if self.watch.misfit.is_some() && self.stack.stats().rx_other_ring > 0 {
            self.tell_misfit();
        }
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
    fn tell_stats(&mut self, now: Instant) {
        self.watch.post.counted(summary::Snapshot::of(&self.stack));
        self.stats_at = Some(now + STATS_EVERY);
    }

    #[cold]
    fn tell_misfit(&mut self) {
        let stats = self.stack.stats();
        if stats.rx_hashed < HASHED_MIN {
            return;
        }
        let Some(Misfit { hash, fix, said }) = self.watch.misfit.take() else { return };
        if !said.swap(true, Ordering::Relaxed) {
            self.watch.post.say(format!(
                "simoom: {}: of {} new connections {} came on this ring though {hash} chooses another \
                 for them; as long as all frames of a connection come on one ring they are served, \
                 else they are reset: {fix}\n",
                self.name, stats.rx_hashed, stats.rx_other_ring
            ));
        }
    }
}

fn earlier(a: Option<Instant>, b: Option<Instant>) -> Option<Instant> {
    a.into_iter().chain(b).min()
}
