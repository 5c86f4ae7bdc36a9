//! A world in which written files go to a temporary folder: what a user has is never written over.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, OnceLock, PoisonError};

use lumina_engine::{Digest, NotFound, Resources, World};
use tempfile::TempDir;

use crate::world::LocalWorld;

/// This machine, except for what is written.
pub(super) struct Elsewhere {
    inner: LocalWorld,
    folder: TempDir,
    /// Where the files are that were to be written.
    made: Mutex<HashMap<PathBuf, PathBuf>>,
    /// What the graph reads.
    inputs: OnceLock<HashSet<PathBuf>>,
    /// Graph files as they were, by path: they take the place of what lies on the disk by now.
    graphs: BTreeMap<PathBuf, String>,
}

impl Elsewhere {
    /// A world whose temporary folder lives as long as it does. `graphs` are the texts of graph files that the recorded one
    /// includes, by the path they were recorded under.
    ///
    /// # Errors
    /// When there can be no temporary folder.
    pub(super) fn new(inner: LocalWorld, graphs: BTreeMap<PathBuf, String>) -> io::Result<Self> {
        let folder = tempfile::Builder::new().prefix("lumina-graph-verify-").tempdir()?;
        Ok(Self { inner, folder, made: Mutex::default(), inputs: OnceLock::new(), graphs })
    }

    /// From now on only these files have a digest, and those made here. A file that an earlier run has written where the
    /// graph writes is taken as absent, so that it is made again.
    pub(super) fn reads_only(&self, inputs: impl IntoIterator<Item = PathBuf>) {
        // A graph is checked once, so there is one list.
        let _ = self.inputs.set(inputs.into_iter().collect());
    }

    /// The file that was made in place of another.
    pub(super) fn made(&self, path: &Path) -> Option<PathBuf> {
        self.made.lock().unwrap_or_else(PoisonError::into_inner).get(path).cloned()
    }

    /// The world as it is.
    pub(super) fn inner(&self) -> &LocalWorld {
        &self.inner
    }
}

impl World for Elsewhere {
    fn find(&self, path: &Path) -> Result<PathBuf, NotFound> {
        // A graph that was not beside the one that includes it was recorded under the path it was found at.
        let recorded = || self.graphs.keys().find(|recorded| recorded.ends_with(path)).cloned();
        self.made(path).or_else(recorded).map_or_else(|| self.inner.find(path), Ok)
    }

    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        match self.graphs.get(path) {
            Some(text) => Ok(text.clone().into_bytes()),
            None => self.inner.read(&self.made(path).unwrap_or_else(|| path.to_owned())),
        }
    }

    fn digest(&self, path: &Path) -> io::Result<Digest> {
        if let Some(made) = self.made(path) {
            return self.inner.digest(&made);
        }
        match self.inputs.get() {
            Some(inputs) if !inputs.contains(path) => Err(io::ErrorKind::NotFound.into()),
            _ => self.inner.digest(path),
        }
    }

    fn write(&self, path: &Path, content: &[u8]) -> io::Result<()> {
        let mut made = self.made.lock().unwrap_or_else(PoisonError::into_inner);
        // A folder for each file: two may have the same name.
        let folder = self.folder.path().join(made.len().to_string());
        let target =
            made.entry(path.to_owned()).or_insert_with(|| folder.join(path.file_name().unwrap_or_default()));
        self.inner.write(target, content)
    }

    fn can_write(&self, _: &Path) -> io::Result<()> {
        Ok(())
    }

    fn exists(&self, path: &Path) -> bool {
        self.graphs.contains_key(path) || self.made(path).is_some() || self.inner.exists(path)
    }

    fn environment(&self) -> String {
        self.inner.environment()
    }

    fn resources(&self) -> &Resources {
        self.inner.resources()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_of_the_user_is_neither_written_nor_taken_for_one_made_here() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.png");
        std::fs::write(&path, "mine").unwrap();
        let inner = LocalWorld::new(Path::new("g.ron"), "cpu".into(), Resources::default());
        let world = Elsewhere::new(inner, BTreeMap::new()).unwrap();
        world.reads_only([]);
        assert!(world.digest(&path).is_err());
        world.write(&path, b"made").unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"mine");
        assert_eq!(std::fs::read(world.made(&path).unwrap()).unwrap(), b"made");
        assert_eq!(world.digest(&path).unwrap(), Digest::of(b"made"));
        assert_eq!(std::fs::read(world.find(&path).unwrap()).unwrap(), b"made");
    }

    #[test]
    fn recorded_graphs_take_the_place_of_those_on_the_disk() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("a.ron"), "edited").unwrap();
        let inner = LocalWorld::new(&folder.path().join("g.ron"), "cpu".into(), Resources::default());
        let recorded = ["a.ron", "elsewhere/b.ron"].map(|path| (path.into(), "recorded".to_owned()));
        let world = Elsewhere::new(inner, recorded.into()).unwrap();
        assert!(world.exists(Path::new("a.ron")) && !world.exists(Path::new("b.ron")));
        assert_eq!(world.read(Path::new("a.ron")).unwrap(), b"recorded");
        let found = world.find(Path::new("b.ron")).unwrap();
        assert_eq!(world.read(&found).unwrap(), b"recorded");
        assert!(world.find(Path::new("c.ron")).is_err());
    }
}
