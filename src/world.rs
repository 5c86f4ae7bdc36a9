//! The world of a program on this machine: the file system.

use std::collections::HashMap;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::SystemTime;

use lumina_engine::{Digest, NotFound, Resources, World};

/// Files on disk, and what plugins share.
pub struct LocalWorld {
    search: Vec<PathBuf>,
    environment: String,
    resources: Resources,
    digests: Mutex<HashMap<Stamp, Digest>>,
}

/// A file's content is taken as unchanged while these stay the same.
#[derive(PartialEq, Eq, Hash)]
struct Stamp {
    path: PathBuf,
    length: u64,
    modified: Option<SystemTime>,
    /// Set by the system at every change, where it keeps it: no program can set it back.
    changed: Option<(i64, i64)>,
}

impl Stamp {
    fn of(path: &Path, metadata: &fs::Metadata) -> Self {
        #[cfg(unix)]
        let changed = {
            use std::os::unix::fs::MetadataExt;
            Some((metadata.ctime(), metadata.ctime_nsec()))
        };
        #[cfg(not(unix))]
        let changed = None;
        Self { path: path.to_owned(), length: metadata.len(), modified: metadata.modified().ok(), changed }
    }
}

/// Names a folder in which models are searched too.
pub(crate) const MODELS_VARIABLE: &str = "LUMINA_GRAPH_MODELS";

impl LocalWorld {
    /// A world in which the paths of a graph are searched in the current folder, beside the graph file, in the
    /// folder above it, and in the folder that `LUMINA_GRAPH_MODELS` names.
    ///
    /// `environment` names the device and number format for content keys.
    pub fn new(graph: &Path, environment: String, resources: Resources) -> Self {
        let beside = graph.parent().unwrap_or(Path::new("")).to_owned();
        let above = match beside.file_name() {
            Some(_) => beside.parent().unwrap_or(Path::new("")).to_owned(),
            None => beside.join(".."),
        };
        let mut search = vec![PathBuf::new()];
        for folder in [beside, above] {
            if !search.contains(&folder) {
                search.push(folder);
            }
        }
        search.extend(std::env::var_os(MODELS_VARIABLE).map(PathBuf::from));
        Self { search, environment, resources, digests: Mutex::default() }
    }
}

impl World for LocalWorld {
    fn find(&self, path: &Path) -> Result<PathBuf, NotFound> {
        let mut searched: Vec<PathBuf> = Vec::new();
        for folder in &self.search {
            let candidate = folder.join(path);
            if candidate.exists() {
                return Ok(candidate);
            }
            if !searched.contains(&candidate) {
                searched.push(candidate);
            }
        }
        Err(NotFound { path: path.to_owned(), searched })
    }

    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        fs::read(path)
    }

    fn digest(&self, path: &Path) -> io::Result<Digest> {
        let metadata = fs::metadata(path)?;
        let stamp = Stamp::of(path, &metadata);
        let known = self.digests.lock().unwrap_or_else(PoisonError::into_inner).get(&stamp).copied();
        if let Some(digest) = known {
            return Ok(digest);
        }
        let mut hasher = blake3::Hasher::new();
        hasher.update_mmap_rayon(path)?;
        let digest = Digest::from_bytes(hasher.finalize().into());
        self.digests.lock().unwrap_or_else(PoisonError::into_inner).insert(stamp, digest);
        Ok(digest)
    }

    fn write(&self, path: &Path, content: &[u8]) -> io::Result<()> {
        write_whole(path, content)
    }

    fn can_write(&self, path: &Path) -> io::Result<()> {
        if path.is_dir() {
            return Err(io::Error::new(io::ErrorKind::IsADirectory, "a folder stands there"));
        }
        // The folder may not exist yet: the nearest one that does decides.
        let folder = folder_of(path);
        let existing = folder.ancestors().find(|folder| folder.exists() || folder.as_os_str().is_empty());
        let existing = existing.filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        if !existing.is_dir() {
            let message = format!("`{}` is not a folder", existing.display());
            return Err(io::Error::new(io::ErrorKind::NotADirectory, message));
        }
        temporary(existing).map(drop)
    }

    fn exists(&self, path: &Path) -> bool {
        path.exists()
    }

    fn environment(&self) -> String {
        self.environment.clone()
    }

    fn resources(&self) -> &Resources {
        &self.resources
    }
}

/// Writes a file whole or not at all: to a temporary name beside it, then renamed. A link stays one, and a file that is
/// replaced keeps its permissions.
pub(crate) fn write_whole(path: &Path, content: &[u8]) -> io::Result<()> {
    let target = if path.is_symlink() { fs::canonicalize(path)? } else { path.to_owned() };
    if fs::metadata(&target).is_ok_and(|there| !there.is_file() && !there.is_dir()) {
        // A device or a pipe is written into: what stands at its place would be another thing.
        return File::options().write(true).open(&target)?.write_all(content);
    }
    let folder = folder_of(&target);
    fs::create_dir_all(folder)?;
    let mut file = temporary(folder)?;
    file.write_all(content)?;
    if let Ok(replaced) = fs::metadata(&target) {
        file.as_file().set_permissions(replaced.permissions())?;
    }
    file.as_file().sync_all()?;
    file.persist(&target).map_err(|error| plain(error.error))?;
    Ok(())
}

fn folder_of(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// How the names of temporary files begin.
pub(crate) const TEMPORARY_PREFIX: &str = ".lumina-graph-";

/// A file beside its future self, gone again unless it is renamed, with the usual permissions.
pub(crate) fn temporary(folder: &Path) -> io::Result<tempfile::NamedTempFile> {
    let mut builder = tempfile::Builder::new();
    builder.prefix(TEMPORARY_PREFIX);
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        builder.permissions(fs::Permissions::from_mode(0o666));
    }
    builder.tempfile_in(folder).map_err(plain)
}

/// The error without the name of the temporary file, which nobody asked about.
fn plain(error: io::Error) -> io::Error {
    match error.raw_os_error() {
        Some(_) => error,
        None => io::Error::new(error.kind(), error.kind().to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn world(graph: &Path) -> LocalWorld {
        LocalWorld::new(graph, "cpu".into(), Resources::default())
    }

    #[test]
    fn paths_are_found_beside_the_graph_and_above_it() {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir_all(folder.path().join("graphs")).unwrap();
        fs::write(folder.path().join("only-here"), "x").unwrap();
        let world = world(&folder.path().join("graphs/a.ron"));
        assert_eq!(world.find(Path::new("only-here")).unwrap(), folder.path().join("only-here"));
        let missing = world.find(Path::new("nothing")).unwrap_err();
        assert_eq!(missing.searched.len(), 3);
    }

    #[test]
    fn writing_makes_folders_and_leaves_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a/b/c.txt");
        let world = world(Path::new("g.ron"));
        world.can_write(&path).unwrap();
        assert!(!folder.path().join("a").exists());
        world.write(&path, b"one").unwrap();
        world.write(&path, b"two").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"two");
        assert_eq!(fs::read_dir(path.parent().unwrap()).unwrap().count(), 1);
    }

    #[test]
    fn a_folder_or_a_file_in_the_way_is_noticed() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("file"), "x").unwrap();
        let world = world(Path::new("g.ron"));
        assert!(world.can_write(folder.path()).is_err());
        assert!(world.can_write(&folder.path().join("file/below.png")).is_err());
    }

    #[test]
    fn a_digest_follows_the_content() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        let world = world(Path::new("g.ron"));
        fs::write(&path, "one").unwrap();
        let one = world.digest(&path).unwrap();
        assert_eq!(one, Digest::of(b"one"));
        fs::write(&path, "longer").unwrap();
        assert_ne!(world.digest(&path).unwrap(), one);
    }
}
