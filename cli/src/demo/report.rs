//! What came of a demonstration: a table for people, an object for scripts.

use super::Args;
use super::world::{ClientReport, Demo};
use crate::human;
use serde_json::{Value, json};
use simoom_core::content;
use simoom_core::stack::Stats;
use simoom_sim::hash::{EventHash, EventTap};
use simoom_sim::link::LinkStats;
use std::fmt::Write;

/// The results.
pub(super) struct Report {
    seed: u64,
    hash: EventHash,
    clients: Vec<ClientReport>,
    links: LinkStats,
    server: Stats,
    store: content::Stats,
    simulated_seconds: f64,
    events: u64,
}

/// Sums over clients.
#[derive(Default)]
struct Totals {
    clients: u64,
    requests: u64,
    failed: u64,
    bytes: u64,
    wrong_bytes: u64,
    connections: u64,
}

impl Report {
    pub(super) fn of<T: EventTap>(demo: &Demo<T>) -> Self {
        let (server, store) = demo.server();
        Self {
            seed: demo.seed().0,
            hash: demo.hash(),
            clients: demo.reports().collect(),
            links: demo.links(),
            server: server.clone(),
            store: *store,
            simulated_seconds: demo.now().as_nanos() as f64 / 1e9,
            events: demo.events(),
        }
    }

    /// What was wrong, where anything was.
    pub(super) fn verdict(&self) -> Result<(), String> {
        let all = self.totals(None);
        if all.failed == 0 && all.wrong_bytes == 0 {
            return Ok(());
        }
        Err(format!(
            "{} of {} requests failed, {} answers had wrong bytes",
            all.failed, all.requests, all.wrong_bytes
        ))
    }

    fn totals(&self, kind: Option<&str>) -> Totals {
        let mut sum = Totals::default();
        for client in self.clients.iter().filter(|c| kind.is_none_or(|kind| c.kind == kind)) {
            sum.clients += 1;
            sum.requests += client.requests;
            sum.failed += client.failed;
            sum.bytes += client.bytes;
            sum.wrong_bytes += client.wrong_bytes;
            sum.connections += client.connections;
        }
        sum
    }

    pub(super) fn json(&self, args: &Args) -> String {
        let all = self.totals(None);
        let clients: Vec<Value> = self
            .clients
            .iter()
            .map(|c| {
                json!({
                    "kind": c.kind,
                    "requests": c.requests,
                    "failed": c.failed,
                    "bytes": c.bytes,
                    "wrong_bytes": c.wrong_bytes,
                    "connections": c.connections,
                })
            })
            .collect();
        let object = json!({
            "seed": self.seed,
            "event_hash": self.hash.to_string(),
            "requests": all.requests,
            "failed": all.failed,
            "bytes": all.bytes,
            "wrong_bytes": all.wrong_bytes,
            "simulated_seconds": self.simulated_seconds,
            "packets": self.links.offered,
            "packets_lost": self.links.lost,
            "packets_damaged": self.links.damaged,
            "packets_reordered": self.links.reordered,
            "packets_duplicated": self.links.duplicated,
            "packets_queue_full": self.links.queue_full,
            "events": self.events,
            "segments_prepared": self.server.tx_prepared,
            "segments_copied": self.server.tx_copied,
            "clients": clients,
            "command": args.command(),
        });
        format!("{object:#}\n")
    }

    pub(super) fn table(&self, args: &Args) -> String {
        let mut out = String::new();
        let row = |out: &mut String, name: &str, t: &Totals| {
            let _ = writeln!(
                out,
                "{name:<10}  {:>7}  {:>11}  {:>8}  {:>6}  {:>10}  {:>11}",
                t.clients,
                t.connections,
                t.requests,
                t.failed,
                human::bytes(t.bytes),
                t.wrong_bytes
            );
        };
        let _ = writeln!(
            out,
            "{:<10}  {:>7}  {:>11}  {:>8}  {:>6}  {:>10}  {:>11}",
            "client", "clients", "connections", "requests", "failed", "bodies", "wrong bytes"
        );
        for kind in ["simoom", "smoltcp"] {
            let totals = self.totals(Some(kind));
            if totals.clients > 0 {
                row(&mut out, kind, &totals);
            }
        }
        row(&mut out, "all", &self.totals(None));
        let l = &self.links;
        let _ = writeln!(
            out,
            "\n{:.3} simulated seconds, {} packets on the clients' links:\n\
             {} lost, {} damaged, {} reordered, {} doubled, {} dropped by a full queue",
            self.simulated_seconds,
            l.offered,
            l.lost,
            l.damaged,
            l.reordered,
            l.duplicated,
            l.queue_full
        );
        let _ = writeln!(
            out,
            "{} segments sent from prepared copies, {} copied; {} segments cut, {} further copies",
            self.server.tx_prepared, self.server.tx_copied, self.store.cuts, self.store.copies_made
        );
        let _ = writeln!(out, "{} events, hash {}", self.events, self.hash);
        let _ = writeln!(out, "the same again: {}", args.command());
        out
    }
}
