//! Waits for files to change.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use lumina_engine::Cancel;
use notify::{Event, EventKind, RecommendedWatcher, RecursiveMode, Watcher as _};

/// Changes that follow each other this closely are one: editors write, rename and touch in one go.
const BATCH: Duration = Duration::from_millis(100);

/// A file that never comes to rest is taken as changed after this time.
const STARVE: Duration = Duration::from_millis(500);

/// How often the stop flag is looked at.
const TICK: Duration = Duration::from_millis(50);

/// Watches a set of files.
///
/// What is watched are their folders: an editor that saves by renaming replaces the file, and a watch on the file
/// itself would stay with the old one.
pub(crate) struct Watcher {
    notify: RecommendedWatcher,
    events: Receiver<notify::Result<Event>>,
    folders: BTreeSet<PathBuf>,
    files: BTreeSet<PathBuf>,
}

impl Watcher {
    /// A watcher of nothing.
    pub(crate) fn new() -> Result<Self> {
        let (sender, events) = channel();
        let notify = notify::recommended_watcher(sender).context("cannot watch files")?;
        Ok(Self { notify, events, folders: BTreeSet::new(), files: BTreeSet::new() })
    }

    /// Watches exactly these files.
    pub(crate) fn watch(&mut self, files: impl IntoIterator<Item = PathBuf>) -> Result<()> {
        self.files = files.into_iter().map(absolute).collect();
        let folders: BTreeSet<PathBuf> = self
            .files
            .iter()
            .filter_map(|file| file.parent())
            .filter(|folder| folder.is_dir())
            .map(Path::to_owned)
            .collect();
        for folder in self.folders.difference(&folders) {
            // A folder that is gone needs no unwatching.
            let _ = self.notify.unwatch(folder);
        }
        for folder in folders.difference(&self.folders) {
            self.notify
                .watch(folder, RecursiveMode::NonRecursive)
                .with_context(|| format!("cannot watch `{}`", folder.display()))?;
        }
        self.folders = folders;
        Ok(())
    }

    /// Waits until one of the files may have changed; false when it was stopped instead.
    pub(crate) fn wait(&self, stop: &Cancel) -> bool {
        while !stop.is_cancelled() {
            match self.events.recv_timeout(TICK) {
                Ok(event) if self.concerns(&event) => {
                    self.settle();
                    return true;
                }
                Ok(_) | Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return false,
            }
        }
        false
    }

    /// Takes in events until there is a pause.
    fn settle(&self) {
        let first = Instant::now();
        while first.elapsed() < STARVE && self.events.recv_timeout(BATCH).is_ok() {}
    }

    fn concerns(&self, event: &notify::Result<Event>) -> bool {
        match event {
            // Reading a file is no change; the program itself reads all of them.
            Ok(event) if matches!(event.kind, EventKind::Access(_)) => false,
            Ok(event) => event.paths.iter().any(|path| self.files.contains(&absolute(path.clone()))),
            // An overflow of the queue may have swallowed anything.
            Err(_) => true,
        }
    }
}

fn absolute(path: PathBuf) -> PathBuf {
    std::path::absolute(&path).unwrap_or(path)
}
