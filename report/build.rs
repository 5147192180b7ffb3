//! Packs the plotting library that the `plotly` crate carries, and takes the digests of the two
//! scripts that a page may run.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use flate2::{Compression, GzBuilder};
use sha2::{Digest, Sha256};
use std::io::Write;
use std::path::Path;
use std::{env, fs};

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed=src/page.js");
    let out = env::var_os("OUT_DIR").expect("cargo says where to write");
    let out = Path::new(&out);

    // Script elements: the library, then one for formulas, which no page of ours has.
    let elements = plotly::Plot::offline_js_sources();
    let (_, rest) = elements.split_once('>').expect("an element opens");
    let (library, _) = rest.split_once("</script>").expect("and closes");
    assert!(library.contains("plotly.js v"), "the first element is no longer the library");

    // No file name, no time: the same bytes in every build.
    let mut packed = GzBuilder::new().write(Vec::new(), Compression::best());
    packed.write_all(library.as_bytes()).expect("a vector takes everything");
    let packed = packed.finish().expect("a vector takes everything");
    fs::write(out.join("library.txt"), STANDARD.encode(packed)).expect("OUT_DIR is writable");

    let page = fs::read("src/page.js").expect("a file of this package");
    for (name, script) in [("library", library.as_bytes()), ("page", &page)] {
        let digest = format!("sha256-{}", STANDARD.encode(Sha256::digest(script)));
        fs::write(out.join(format!("{name}.digest")), digest).expect("OUT_DIR is writable");
    }
}
