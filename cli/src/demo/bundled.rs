//! The site that comes with the program.

use crate::site::scan::content_type;
use simoom_core::server::bodies::pattern_fill;
use simoom_core::server::{Catalogue, FileInfo, MemoryBodies};
use std::sync::Arc;

/// Files in the program, by name.
const FILES: [(&str, &[u8]); 5] = [
    ("/index.html", include_bytes!("../../site/index.html")),
    ("/notes/index.html", include_bytes!("../../site/notes/index.html")),
    ("/style.css", include_bytes!("../../site/style.css")),
    ("/dune.svg", include_bytes!("../../site/dune.svg")),
    ("/robots.txt", include_bytes!("../../site/robots.txt")),
];

/// A larger one, made at start: about two hundred segments.
const SAND: &str = "/sand.bin";
const SAND_BYTES: usize = 288_000;

/// 2026-01-01, for `Last-Modified`.
const MODIFIED: u64 = 1_767_225_600;

/// A file of the site.
#[derive(Clone, Debug)]
pub(super) struct Page {
    /// As it stands in a request.
    pub(super) target: &'static str,
    pub(super) body: Arc<[u8]>,
}

/// Everything that is served: each client fetches from this list, and compares with it.
pub(super) fn pages() -> Vec<Page> {
    let mut sand = vec![0; SAND_BYTES];
    pattern_fill(0x5a4d, 0, &mut sand);
    let mut pages: Vec<_> =
        FILES.iter().map(|&(target, body)| Page { target, body: Arc::from(body) }).collect();
    pages.push(Page { target: SAND, body: sand.into() });
    pages
}

/// The same for the server.
pub(super) fn catalogue(pages: &[Page]) -> (Catalogue, MemoryBodies) {
    let mut bodies = MemoryBodies::new();
    let mut catalogue = Catalogue::builder(0);
    for (version, page) in (1..).zip(pages) {
        let file = bodies.add_bytes(Arc::clone(&page.body));
        catalogue
            .add_file(FileInfo {
                path: page.target,
                content_type: content_type(page.target),
                modified: MODIFIED,
                version,
                len: page.body.len() as u64,
                file,
            })
            .expect("the names of the bundled site are good");
    }
    (catalogue.build(), bodies)
}
