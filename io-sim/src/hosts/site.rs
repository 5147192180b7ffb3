//! A web site of many sizes: pages of a document and some objects, drawn from a seed.
//!
//! The sizes are Pareto distributed between bounds, as those of real sites are; the bytes are patterns, so that a
//! site of gigabytes costs nothing until it is asked for.

use crate::seed::{Draws, Seed, Stream};
use simoom_core::server::bodies::MemoryBodies;
use simoom_core::server::catalogue::{CatalogueBuilder, CatalogueError, FileInfo};
use std::ops::Range;

/// Sizes in bytes, Pareto distributed between two bounds, not zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sizes {
    /// The smallest.
    pub low: u64,
    /// The largest.
    pub high: u64,
    /// The shape in thousandths: 1,200 is 1.2.
    pub shape_thousandths: u32,
}

impl Sizes {
    fn draw(self, draws: &mut Draws) -> u64 {
        draws.bounded_pareto(self.low, self.high, self.shape_thousandths)
    }
}

/// What a site is like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SiteConfig {
    /// Pages, at least 1.
    pub pages: u32,
    /// Objects of a page at least.
    pub objects_min: u32,
    /// Objects of a page at most; evenly distributed between both.
    pub objects_max: u32,
    /// Sizes of the documents.
    pub document: Sizes,
    /// Sizes of the objects.
    pub object: Sizes,
}

impl Default for SiteConfig {
    /// Ten pages of a document from 5 KB to 200 KB and 2 to 20 objects from 500 bytes to 2 MB.
    fn default() -> Self {
        Self {
            pages: 10,
            objects_min: 2,
            objects_max: 20,
            document: Sizes { low: 5_000, high: 200_000, shape_thousandths: 1_200 },
            object: Sizes { low: 500, high: 2_000_000, shape_thousandths: 1_200 },
        }
    }
}

/// A file of a site: its bytes are the pattern with this seed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SiteFile {
    /// The target in a request.
    pub path: String,
    /// The pattern's seed.
    pub seed: u64,
    /// Bytes.
    pub len: u64,
}

/// A page: file `document` first, then files `objects`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page {
    /// The document's number.
    pub document: u32,
    /// The objects' numbers.
    pub objects: Range<u32>,
}

/// A site.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Site {
    /// All files.
    pub files: Vec<SiteFile>,
    /// All pages, at least one.
    pub pages: Vec<Page>,
}

impl Site {
    /// Site `number` of a seed.
    pub fn new(seed: Seed, number: u32, config: SiteConfig) -> Self {
        assert!(config.pages > 0, "pages: at least 1");
        assert!(config.objects_min <= config.objects_max, "objects_min is above objects_max");
        let mut draws = seed.stream(Stream::Named("Site", number));
        let mut site = Self { files: Vec::new(), pages: Vec::new() };
        for _ in 0..config.pages {
            let document = site.add(config.document.draw(&mut draws));
            let more = u64::from(config.objects_max - config.objects_min) + 1;
            let objects = config.objects_min + draws.below(more) as u32;
            for _ in 0..objects {
                site.add(config.object.draw(&mut draws));
            }
            let first = document + 1;
            site.pages.push(Page { document, objects: first..first + objects });
        }
        site
    }

    fn add(&mut self, len: u64) -> u32 {
        let number = self.files.len() as u32;
        self.files.push(SiteFile { path: format!("/f{number}"), seed: number.into(), len });
        number
    }

    /// Puts all files into a server's catalogue and bodies.
    ///
    /// # Errors
    /// The catalogue's: a path of the site is there already.
    pub fn add_to(
        &self,
        catalogue: &mut CatalogueBuilder,
        bodies: &mut MemoryBodies,
    ) -> Result<(), CatalogueError> {
        self.files.iter().try_for_each(|file| {
            let id = bodies.add_pattern(file.seed, file.len);
            catalogue.add_file(FileInfo {
                path: &file.path,
                content_type: "application/octet-stream",
                modified: 1_700_000_000,
                version: file.seed,
                len: file.len,
                file: id,
            })
        })
    }

    /// Bytes of a page.
    pub fn page_bytes(&self, page: u32) -> u64 {
        let Page { document, objects } = &self.pages[page as usize];
        let files = std::iter::once(*document).chain(objects.clone());
        files.map(|file| self.files[file as usize].len).sum()
    }
}
