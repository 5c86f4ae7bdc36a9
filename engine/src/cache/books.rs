//! The recipes of graphs in the disk cache: `recipe/DIGEST`, by the name that the graph is known by.

use super::DiskCache;
use crate::explain::Book;
use crate::key::Digest;

impl DiskCache {
    /// The recipes of a graph; none when there are none, or when they are damaged.
    pub(crate) fn book(&self, graph: &str) -> Book {
        match self.store.read(&name(graph)) {
            Ok(Some(bytes)) => Book::open(&bytes),
            _ => Book::default(),
        }
    }

    /// Replaces the recipes of a graph.
    pub(crate) fn write_book(&self, graph: &str, book: &Book) {
        let _ = self.store.write(&name(graph), &book.seal());
    }

    /// Notes that the recipes of a graph were used now.
    pub(crate) fn touch_book(&self, graph: &str) {
        self.store.touch(&name(graph));
    }
}

fn name(graph: &str) -> String {
    let digest = Digest::of(graph.as_bytes()).to_string();
    format!("recipe/{}/{digest}", &digest[..2])
}
