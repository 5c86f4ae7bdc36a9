//! A store in a folder: one file a name, shared by any number of processes.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use lumina_engine::{Store, Stored};

use crate::world::{TEMPORARY_PREFIX, temporary};

/// A process that was killed leaves its temporary file; after this time nobody writes it any more.
const ABANDONED: Duration = Duration::from_secs(3600);

/// Files below a folder.
pub(crate) struct FolderStore {
    root: PathBuf,
}

impl FolderStore {
    /// A store below a folder, which is made when something is written.
    pub(crate) fn new(root: PathBuf) -> Self {
        Self { root }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.root.join(name)
    }
}

impl Store for FolderStore {
    fn read(&self, name: &str) -> io::Result<Option<Vec<u8>>> {
        match fs::read(self.path(name)) {
            Ok(content) => Ok(Some(content)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn write(&self, name: &str, content: &[u8]) -> io::Result<()> {
        let path = self.path(name);
        let folder = path.parent().unwrap_or(&self.root);
        fs::create_dir_all(folder)?;
        let mut file = temporary(folder)?;
        file.write_all(content)?;
        file.persist(&path).map_err(|error| error.error)?;
        Ok(())
    }

    fn contains(&self, name: &str) -> bool {
        self.path(name).is_file()
    }

    fn touch(&self, name: &str) {
        // The time of last use only decides what goes first; a failure is no matter.
        if let Ok(file) = File::options().append(true).open(self.path(name)) {
            let _ = file.set_modified(SystemTime::now());
        }
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        match fs::remove_file(self.path(name)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }

    fn now(&self) -> Option<u64> {
        SystemTime::now().duration_since(UNIX_EPOCH).ok().map(|time| time.as_secs())
    }

    fn list(&self) -> io::Result<Vec<Stored>> {
        let mut all = Vec::new();
        for table in ["action", "blob", "recipe"] {
            for folder in entries(&self.root.join(table))? {
                for file in entries(&folder)? {
                    all.extend(self.stored(&file));
                }
            }
        }
        Ok(all)
    }
}

impl FolderStore {
    fn stored(&self, file: &Path) -> Option<Stored> {
        let metadata = fs::metadata(file).ok()?;
        let modified = metadata.modified().ok()?;
        let is_temporary = file.file_name()?.to_str()?.starts_with(TEMPORARY_PREFIX);
        if is_temporary && modified.elapsed().is_ok_and(|age| age < ABANDONED) {
            return None;
        }
        let age = modified.duration_since(UNIX_EPOCH).unwrap_or_default().as_millis();
        let last_used = if is_temporary { 0 } else { u64::try_from(age).unwrap_or(u64::MAX) };
        let name = file.strip_prefix(&self.root).ok()?.to_str()?.to_owned();
        Some(Stored { name, bytes: metadata.len(), last_used })
    }
}

/// What is in a folder; nothing when it does not exist or is a file.
fn entries(folder: &Path) -> io::Result<Vec<PathBuf>> {
    match fs::read_dir(folder) {
        Ok(entries) => entries.map(|entry| entry.map(|entry| entry.path())).collect(),
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
            Ok(Vec::new())
        }
        Err(error) => Err(error),
    }
}
