//! `--turn-log`: what a live port tells a stack, for `simoom replay --turn-log`.
//!
//! The log is kept in memory, within a bound, and written once serving is over: it says how many turns
//! it has before it says them. It ends where the server is told to stop, since draining is asked for
//! from outside of the turns.

use super::live::{LivePort, Report};
use crate::failure::{Failure, Kind};
use crate::site::Site;
use crate::site::scan::content_type;
use simoom_core::port::turn_log::codec::CONTENT_BYTES_MAX;
use simoom_core::port::turn_log::{OutputSum, Recorder, TurnLog};
use simoom_core::server::ServerConfig;
use simoom_core::stack::Config;
use simoom_core::time::Instant;
use simoom_port_conformance::served::{Served, ServedFile};
use std::fmt::Write as _;
use std::fs::{File, OpenOptions, Permissions};
use std::io::{Read, Write as _};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

/// Bytes of a site whose bodies are put into the log; of a larger one the digests alone.
const EMBEDDED_MAX: u64 = 4 << 20;
const _: () = assert!(EMBEDDED_MAX <= CONTENT_BYTES_MAX as u64);

/// A log that was asked for: where it goes and what it begins with.
pub(super) struct LogFile {
    path: PathBuf,
    file: File,
    served: String,
    bodies: Vec<Vec<u8>>,
    secrets: [u64; 4],
    bytes_max: usize,
}

/// What came of recording.
pub(super) struct Recorded {
    log: TurnLog,
    turns_lost: u64,
}

impl LogFile {
    /// Makes the file, which none but its owner may read, and reads what is served.
    pub(super) fn create(
        path: &Path,
        megabytes: u32,
        config: &Config,
        site: &Site,
        secrets: [u64; 4],
    ) -> Result<Self, Failure> {
        let fail =
            |e| Failure::new(Kind::File, format!("cannot log turns to {}: {e}", path.display()));
        let mut options = OpenOptions::new();
        let file = options.write(true).create(true).truncate(true).mode(OWNER_ONLY).open(path);
        let file = file.map_err(fail)?;
        // One that was there already had permissions of its own.
        file.set_permissions(Permissions::from_mode(OWNER_ONLY)).map_err(fail)?;
        let embeds = site.bytes <= EMBEDDED_MAX;
        let (mut files, mut bodies) = (Vec::new(), Vec::new());
        for item in site.catalogue.files() {
            let disk = &site.files[item.file.0 as usize];
            let (digest, body) = read(&disk.path, disk.stamp.len, embeds)?;
            files.push(ServedFile {
                path: item.path.into(),
                content_type: content_type(item.path).into(),
                modified: disk.stamp.modified(),
                version: disk.stamp.version(),
                len: disk.stamp.len,
                digest,
            });
            bodies.extend(body);
        }
        let served = Served { config: config.clone(), server: ServerConfig::default(), files };
        Ok(Self {
            path: path.into(),
            file,
            served: served.to_string(),
            bodies,
            secrets,
            bytes_max: megabytes as usize * 1_000_000,
        })
    }

    /// The port with its recorder.
    pub(super) fn recorder<P: LivePort>(&mut self, port: P) -> Recorder<P> {
        let config = std::mem::take(&mut self.served);
        let bodies = std::mem::take(&mut self.bodies);
        Recorder::with_content(port, config, bodies, Some(self.secrets), self.bytes_max)
    }

    /// Writes the log, and a line about it.
    pub(super) fn write(mut self, recorded: Recorded, report: &mut Report) {
        let Recorded { log, turns_lost } = recorded;
        let path = self.path.display();
        let Some(bytes) = log.encode() else {
            let why = format!(
                "{path}: no turn log was written: more files are served than its format has room for"
            );
            report.failure.get_or_insert(Failure::new(Kind::File, why));
            return;
        };
        if let Err(e) = self.file.write_all(&bytes) {
            let why = format!("cannot log turns to {path}: {e}");
            report.failure.get_or_insert(Failure::new(Kind::File, why));
            return;
        }
        let _ = writeln!(report.summary, "  {:>12}  turns logged", log.turns.len());
        if turns_lost > 0 {
            let _ = writeln!(
                report.summary,
                "  {turns_lost:>12}  turns not logged: the log was full (--turn-log-max)"
            );
        }
    }
}

/// Secrets are in it.
const OWNER_ONLY: u32 = 0o600;

/// The digest of a file as it was scanned, and its bytes where they are wanted.
fn read(path: &Path, len: u64, keep: bool) -> Result<([u8; 16], Option<Vec<u8>>), Failure> {
    let fail = |what: String| Failure::new(Kind::File, format!("{}: {what}", path.display()));
    let mut file = File::open(path).map_err(|e| fail(e.to_string()))?;
    let (mut sum, mut body, mut part) = (OutputSum::default(), Vec::new(), vec![0; 1 << 16]);
    sum.begin(len as usize);
    let mut seen = 0;
    loop {
        match file.read(&mut part).map_err(|e| fail(e.to_string()))? {
            0 => break,
            count => {
                sum.push_part(&part[..count]);
                seen += count as u64;
                if keep && seen <= len {
                    body.extend_from_slice(&part[..count]);
                }
            }
        }
    }
    if seen != len {
        return Err(fail("has changed since it was looked at: start again".into()));
    }
    Ok((sum.output().digest, keep.then_some(body)))
}

impl<P: LivePort> LivePort for Recorder<P> {
    fn failure(error: &Self::Error) -> Failure {
        P::failure(error)
    }

    fn dead(&self) -> Option<Failure> {
        self.port().dead()
    }

    fn ignore_stop(&mut self) {
        // What the server does from now on it was told from outside.
        self.end();
        self.port_mut().ignore_stop();
    }

    fn now(&self) -> Instant {
        self.port().now()
    }

    fn start_unix_nanos(&self) -> u64 {
        self.port().start_unix_nanos()
    }

    fn dropped(&self) -> Vec<(u64, &'static str)> {
        self.port().dropped()
    }

    fn finish(self, report: &mut Report) {
        let turns_lost = self.turns_lost();
        let (port, log) = Recorder::finish(self);
        report.recorded = Some(Recorded { log, turns_lost });
        port.finish(report);
    }
}
