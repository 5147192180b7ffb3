//! A run stopped at an event, in words: its hosts, their connections, its links.

use super::Run;
use crate::host::Progress;
use simoom_core::tcp::Info;
use simoom_core::time::Duration;
use simoom_sim::endpoint::Host;
use simoom_sim::hash::EventTap;
use simoom_sim::world::Direction;
use std::fmt::Write;

impl<T: EventTap> Run<'_, T> {
    /// Every host with its connections, one a line, then every direction of a link.
    pub(super) fn describe(&mut self) -> String {
        let world = &self.world;
        let mut out = format!(
            "{} {}, seed {}: after event {}, at {:?}, hash {}\n",
            self.case.scenario,
            self.case.name,
            world.seed(),
            world.events(),
            world.now(),
            world.hash()
        );
        for (n, id) in self.hosts.iter().enumerate() {
            let host = self.world.host(*id);
            let _ = writeln!(out, "{}: {}", self.case.world.hosts[n].name, host.describe());
            if self.is_client(n) {
                let Progress { completed, failed, bytes, .. } = self.full_progress(n);
                let wanted = self.wanted(n);
                let _ = writeln!(
                    out,
                    "  {completed} of {wanted} requests answered, {failed} failed, {bytes} bytes \
                     of bodies"
                );
            }
            for (key, info) in host.keyed_connections() {
                let _ = write!(out, "  {} to {}: ", key.local(), key.remote());
                describe_connection(&mut out, &info);
            }
        }
        self.describe_links(&mut out);
        out
    }

    fn describe_links(&mut self, out: &mut String) {
        for (n, link) in self.links.clone().into_iter().enumerate() {
            let spec = &self.case.world.links[n];
            let ends = [spec.from.0, spec.to.0].map(|host| &self.case.world.hosts[host].name);
            for (d, direction) in [Direction::Forward, Direction::Backward].into_iter().enumerate()
            {
                let (frames, bytes) = self.world.link_queue(link, direction);
                let stats = self.world.link_stats(link, direction);
                let _ = writeln!(
                    out,
                    "{}, from {} to {}: {frames} frames of {bytes} bytes wait; {} offered, {} \
                     lost, {} found the queue full",
                    spec.name,
                    ends[d],
                    ends[1 - d],
                    stats.offered,
                    stats.lost,
                    stats.queue_full
                );
            }
        }
    }
}

/// One line: what is sent, what is received, how fast, and what it waits for.
fn describe_connection(out: &mut String, info: &Info) {
    let _ = write!(
        out,
        "{:?}; snd.una {} nxt +{} max +{} wnd {}; rcv.nxt {} wnd {}; mss {} cwnd {} ssthresh ",
        info.state,
        info.snd_una.0,
        info.snd_nxt.since(info.snd_una),
        info.snd_max.since(info.snd_una),
        info.snd_wnd,
        info.rcv_nxt.0,
        info.rcv_wnd,
        info.mss,
        info.cwnd,
    );
    let _ = match info.ssthresh {
        u32::MAX => write!(out, "none"),
        ssthresh => write!(out, "{ssthresh}"),
    };
    let millis = |time: Duration| time.as_nanos() as f64 / 1e6;
    let _ = write!(out, " flight {}; ", info.flight);
    if info.srtt > Duration::ZERO {
        let _ =
            write!(out, "srtt {:.3} ms rttvar {:.3} ms ", millis(info.srtt), millis(info.rttvar));
    }
    let _ = write!(out, "rto {:.3} ms", millis(info.rto));
    for (count, what) in [(info.backoffs, "backoffs"), (info.retries, "retries")] {
        if count > 0 {
            let _ = write!(out, " {what} {count}");
        }
    }
    out.push_str(if info.in_recovery { "; in fast recovery\n" } else { "\n" });
}
