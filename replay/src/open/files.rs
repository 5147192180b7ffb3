//! Answers from files: what our own file server says to clients whose octets read as HTTP, and how
//! the heads of its answers compare with the captured ones.
//!
//! When it says something is the script's matter: see [`super::app`].

use crate::compare::HeadDifference;
use crate::compare::head::{self, Captured, HEAD_MAX, Head};
use crate::content::Content;
use simoom_core::content::{ContentSource, ObjectId, ReadAt};
use simoom_core::server::{Bodies, Catalogue, FileId, FileServer, ServerConfig, ServerConn};
use simoom_core::stack::app::{App, Source};
use std::cell::RefCell;
use std::fmt;
use std::rc::Rc;

/// Objects of files; those of scripts are named by their slots, below.
const FILES_FROM: u32 = 1 << 31;

/// What our file server serves in a replay: a catalogue, and who reads the bodies.
#[derive(Clone)]
pub struct Files {
    catalogue: Catalogue,
    bodies: Shared,
}

impl Files {
    /// Of this catalogue and these bodies.
    pub fn new(catalogue: Catalogue, bodies: impl Bodies + 'static) -> Self {
        Self { catalogue, bodies: Shared(Rc::new(RefCell::new(bodies))) }
    }

    pub(super) fn server(&self) -> FileServer<Shared> {
        let config = ServerConfig { memo_heads: 0, ..ServerConfig::default() };
        FileServer::new(self.catalogue.clone(), self.bodies.clone(), config)
    }
}

impl fmt::Debug for Files {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Files").finish_non_exhaustive()
    }
}

/// Bodies that the servers of several stacks read.
#[derive(Clone)]
pub(super) struct Shared(Rc<RefCell<dyn Bodies>>);

impl Bodies for Shared {
    fn read_at(&mut self, file: FileId, offset: u64, out: &mut [u8]) -> ReadAt {
        self.0.borrow_mut().read_at(file, offset, out)
    }
}

/// What a replayed server says: scripts' text, and files.
pub(super) struct Texts {
    pub(super) scripts: Content,
    pub(super) files: Option<FileServer<Shared>>,
    /// Whether anybody looks at it.
    pub(super) fills: bool,
}

impl Texts {
    pub(super) fn new(scripts: Content, files: Option<&Files>, fills: bool) -> Self {
        Self { scripts, files: files.map(Files::server), fills }
    }
}

impl ContentSource for Texts {
    fn read_at(&mut self, object: ObjectId, offset: u64, out: &mut [u8]) -> ReadAt {
        match (&mut self.files, object.0.checked_sub(FILES_FROM)) {
            (_, None) => self.scripts.read_at(object, offset, out),
            (Some(files), Some(n)) if self.fills => {
                files.content().read_at(ObjectId(n), offset, out)
            }
            _ => ReadAt::Done,
        }
    }
}

impl fmt::Debug for Texts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Texts").field("files", &self.files.is_some()).finish_non_exhaustive()
    }
}

/// What is compared of one connection.
#[derive(Clone, Debug, Default)]
pub(super) struct Answers {
    captured: Captured,
    /// Stream offset at which our next answer begins.
    ours_at: u64,
    count: u32,
}

/// What came of an answer of ours.
#[derive(Clone, Debug)]
pub(super) enum Laid {
    /// Its head is as the captured one.
    Same,
    /// It is not.
    Differs(HeadDifference),
    /// The captured one cannot be read.
    Unread,
}

impl Answers {
    /// Lays the heads of answers that our server has now, and had not before, beside the captured
    /// ones.
    pub(super) fn look(
        &mut self,
        slot: u32,
        conn: &ServerConn,
        texts: &mut Texts,
        mut each: impl FnMut(Laid),
    ) {
        while let Some((octets, len)) = self.next_of_ours(conn, texts) {
            self.ours_at += len;
            self.count += 1;
            let Some(ours) = head::parse(&octets) else { return each(Laid::Unread) };
            let promised =
                ours.fields.iter().find(|(n, _)| n.eq_ignore_ascii_case("content-length"));
            let promised = promised.and_then(|(_, value)| value.parse::<u64>().ok()).unwrap_or(0);
            // A promise that is not kept answers HEAD.
            let to_head = promised > 0 && len == octets.len() as u64 && ours.status != 304;
            let scripts = &texts.scripts;
            let mut read = |at: u64, out: &mut [u8]| scripts.captured(slot, at, out);
            each(match self.captured.next(to_head, &mut read) {
                Ok(Some((theirs, their_len))) => self.lay(&ours, &theirs, [Some(len), their_len]),
                _ => Laid::Unread,
            });
        }
    }

    fn lay(&self, ours: &Head<'_>, theirs: &[u8], len: [Option<u64>; 2]) -> Laid {
        let Some(theirs) = head::parse(theirs) else { return Laid::Unread };
        head::compare(self.count, ours, &theirs, len).map_or(Laid::Same, Laid::Differs)
    }

    /// The head of our next answer, and how many octets the answer has.
    fn next_of_ours(&self, conn: &ServerConn, texts: &mut Texts) -> Option<(Vec<u8>, u64)> {
        let files = texts.files.as_mut()?;
        let mut octets = Vec::new();
        let (object, len, pins) = match files.source(conn, self.ours_at, u32::MAX) {
            Source::Bytes { bytes, .. } if !bytes.is_empty() => {
                octets.extend_from_slice(bytes.get(..HEAD_MAX).unwrap_or(bytes));
                octets.truncate(head::end_of_head(&octets)?);
                return Some((octets, bytes.len() as u64));
            }
            Source::Prepared { object, offset: 0, len, pins, .. } => {
                let pins =
                    pins.map(|pin| pin.map(|pin| (usize::from(pin.offset), pin.bytes.to_vec())));
                (object, len, pins)
            }
            _ => return None,
        };
        octets.resize(len.min(HEAD_MAX as u64) as usize, 0);
        if files.content().read_at(object, 0, &mut octets) != ReadAt::Done {
            return None;
        }
        for (at, bytes) in pins.iter().flatten() {
            octets.get_mut(*at..at + bytes.len())?.copy_from_slice(bytes);
        }
        octets.truncate(head::end_of_head(&octets)?);
        Some((octets, len))
    }
}

/// What our server says at a stream offset, of it what lies before `upto`.
pub(super) fn said_before<'a>(
    server: &'a mut FileServer<Shared>,
    conn: &ServerConn,
    at: u64,
    upto: u64,
    max: u32,
) -> Source<'a> {
    if at >= upto {
        return Source::Pending;
    }
    let room = upto - at;
    match server.source(conn, at, max) {
        Source::Prepared { object, offset, len, pins, fin } => Source::Prepared {
            object: ObjectId(FILES_FROM | object.0),
            offset,
            len: len.min(room),
            pins,
            fin: fin && len <= room,
        },
        Source::Bytes { bytes, fin } => {
            let len = (bytes.len() as u64).min(room) as usize;
            Source::Bytes { bytes: &bytes[..len], fin: fin && len == bytes.len() }
        }
        other => other,
    }
}
