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

    /// Watches exactly these files. A file may be missing, and so may its folder: then the nearest one that is there is
    /// watched until it comes.
    pub(crate) fn watch(&mut self, files: impl IntoIterator<Item = PathBuf>) -> Result<()> {
        self.files = files.into_iter().map(absolute).collect();
        let folder =
            |file: &PathBuf| file.ancestors().skip(1).find(|folder| folder.is_dir()).map(Path::to_owned);
        let folders: BTreeSet<PathBuf> = self.files.iter().filter_map(folder).collect();
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
                    return !stop.is_cancelled();
                }
                Ok(_) | Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return false,
            }
        }
        false
    }

    /// Takes in events until there is a pause. Those of other files, such as the pictures that a run writes into the same
    /// folder, do not prolong it.
    fn settle(&self) {
        let mut batch = Batch::begin(Instant::now());
        loop {
            let left = batch.end().saturating_duration_since(Instant::now());
            match self.events.recv_timeout(left) {
                Ok(event) if self.concerns(&event) => batch.prolong(Instant::now()),
                Ok(_) if !left.is_zero() => {}
                Ok(_) | Err(_) => return,
            }
        }
    }

    fn concerns(&self, event: &notify::Result<Event>) -> bool {
        match event {
            // Reading a file is no change; the program itself reads all of them.
            Ok(event) if matches!(event.kind, EventKind::Access(_)) => false,
            Ok(event) => event.paths.iter().any(|path| self.is_on_the_way(&absolute(path.clone()))),
            // An overflow of the queue may have swallowed anything.
            Err(_) => true,
        }
    }

    /// Is a path one of the files, or a folder that one of them lies in?
    fn is_on_the_way(&self, path: &Path) -> bool {
        // In this order what begins with a path comes directly behind it.
        self.files.range(path.to_owned()..).next().is_some_and(|file| file.starts_with(path))
    }
}

/// Changes that are taken together.
struct Batch {
    first: Instant,
    last: Instant,
}

impl Batch {
    fn begin(now: Instant) -> Self {
        Self { first: now, last: now }
    }

    /// Another change has come.
    fn prolong(&mut self, now: Instant) {
        self.last = now;
    }

    /// When it is over unless another change comes.
    fn end(&self) -> Instant {
        (self.last + BATCH).min(self.first + STARVE)
    }
}

fn absolute(path: PathBuf) -> PathBuf {
    std::path::absolute(&path).unwrap_or(path)
}

#[cfg(test)]
mod tests {
    use super::*;
    use notify::event::CreateKind;

    #[test]
    fn a_batch_ends_after_a_pause_and_never_later_than_it_may() {
        let start = Instant::now();
        let mut batch = Batch::begin(start);
        assert_eq!(batch.end(), start + BATCH);
        batch.prolong(start + BATCH / 2);
        assert_eq!(batch.end(), start + BATCH / 2 + BATCH);
        batch.prolong(start + STARVE);
        assert_eq!(batch.end(), start + STARVE);
    }

    #[test]
    fn only_files_and_the_folders_on_their_way_concern() {
        let folder = tempfile::tempdir().unwrap();
        let file = |name: &str| folder.path().join(name);
        let mut watcher = Watcher::new().unwrap();
        let files = ["parts/inner/a.ron", "parts.ron", "b.ron"].map(file);
        watcher.watch(files.clone()).unwrap();
        assert_eq!(watcher.folders, BTreeSet::from([folder.path().to_owned()]));
        let concerns = |name: &str| {
            let event = Event::new(EventKind::Create(CreateKind::Any)).add_path(file(name));
            watcher.concerns(&Ok(event))
        };
        for name in ["parts", "parts/inner", "parts/inner/a.ron", "b.ron"] {
            assert!(concerns(name), "{name}");
        }
        for name in ["part", "parts/inner/b.ron", "b.ron.swp", "out"] {
            assert!(!concerns(name), "{name}");
        }
        std::fs::create_dir_all(file("parts/inner")).unwrap();
        watcher.watch(files).unwrap();
        assert_eq!(watcher.folders, BTreeSet::from([folder.path().to_owned(), file("parts/inner")]));
    }
}
