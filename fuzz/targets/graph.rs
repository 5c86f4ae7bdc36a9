//! A graph file: parsed, laid out, and checked without any file beside it.

#![no_main]

use std::io;
use std::path::{Path, PathBuf};

use libfuzzer_sys::fuzz_target;
use lumina_engine::{
    Digest, NotFound, Overrides, Registry, Resources, Source, World, check, format, parse, render,
};

/// No files at all.
#[derive(Default)]
struct Nothing(Resources);

impl World for Nothing {
    fn find(&self, path: &Path) -> Result<PathBuf, NotFound> {
        Err(NotFound { path: path.to_owned(), searched: Vec::new() })
    }

    fn read(&self, _: &Path) -> io::Result<Vec<u8>> {
        Err(io::ErrorKind::NotFound.into())
    }

    fn digest(&self, _: &Path) -> io::Result<Digest> {
        Err(io::ErrorKind::NotFound.into())
    }

    fn write(&self, _: &Path, _: &[u8]) -> io::Result<()> {
        Err(io::ErrorKind::PermissionDenied.into())
    }

    fn can_write(&self, _: &Path) -> io::Result<()> {
        Ok(())
    }

    fn exists(&self, _: &Path) -> bool {
        false
    }

    fn environment(&self) -> String {
        String::new()
    }

    fn resources(&self) -> &Resources {
        &self.0
    }
}

fuzz_target!(|text: &str| {
    let source = Source::new("graph.ron", text);
    if let Ok(laid_out) = format(&source) {
        // Laying out what is laid out changes nothing.
        assert_eq!(format(&Source::new("graph.ron", laid_out.clone())).ok(), Some(laid_out));
    }
    let (document, diagnostics) = parse(source);
    let checked = check(&document, diagnostics, &Registry::new(), &Nothing::default(), &Overrides::default());
    render(&checked.sources, &checked.diagnostics, false);
});
