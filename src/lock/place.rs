//! Where a lock file is, and how it names other files.

use std::path::{Component, Path, PathBuf};

/// A graph file with its lock file.
pub(crate) struct Place {
    graph: PathBuf,
    lock: PathBuf,
    /// The folder of both, absolute.
    folder: PathBuf,
}

impl Place {
    /// The lock file that belongs to a graph: `t2i.lock.ron` beside `t2i.ron`.
    pub(crate) fn beside(graph: &Path) -> Self {
        Self::new(graph.to_owned(), super::path_of(graph))
    }

    /// A lock file, and the graph that it names.
    pub(crate) fn of(lock: &Path, graph: &str) -> Self {
        let folder = lock.parent().unwrap_or(Path::new(""));
        Self::new(folder.join(graph), lock.to_owned())
    }

    fn new(graph: PathBuf, lock: PathBuf) -> Self {
        let folder = absolute(lock.parent().unwrap_or(Path::new("")));
        Self { graph, lock, folder }
    }

    /// The graph file.
    pub(crate) fn graph(&self) -> &Path {
        &self.graph
    }

    /// The lock file.
    pub(crate) fn lock(&self) -> &Path {
        &self.lock
    }

    /// How the lock file names a file: relative to its folder, with slashes.
    ///
    /// A file that was found through an absolute path, and that is neither below this folder nor below the one above
    /// it, keeps the absolute one: it is a part of the machine and does not move with the graph.
    pub(crate) fn name(&self, file: &Path) -> String {
        let full = absolute(file);
        let shared = full.components().zip(self.folder.components()).take_while(|(a, b)| a == b).count();
        let up = self.folder.components().count() - shared;
        if shared == 0 || (file.is_absolute() && up > 1) {
            return full.display().to_string();
        }
        let down = full.components().skip(shared).map(|part| part.as_os_str().to_string_lossy().into_owned());
        let parts: Vec<String> = std::iter::repeat_n("..".to_owned(), up).chain(down).collect();
        parts.join("/")
    }

    /// The file that the lock file names.
    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }
}

/// The path from the root, without `.` and `folder/..`.
fn absolute(path: &Path) -> PathBuf {
    let path = match path.as_os_str().is_empty() {
        true => std::env::current_dir().unwrap_or_default(),
        false => std::path::absolute(path).unwrap_or_else(|_| path.to_owned()),
    };
    let mut plain = PathBuf::new();
    for component in path.components() {
        match component {
            Component::CurDir => {}
            Component::ParentDir => drop(plain.pop()),
            other => plain.push(other),
        }
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_near_the_graph_are_named_from_its_folder() {
        let place = Place::beside(Path::new("/home/project/graphs/t2i.ron"));
        assert_eq!(place.lock(), Path::new("/home/project/graphs/t2i.lock.ron"));
        assert_eq!(place.name(Path::new("/home/project/graphs/a.png")), "a.png");
        assert_eq!(place.name(Path::new("/home/project/graphs/../weights/./w")), "../weights/w");
        assert_eq!(place.name(Path::new("/home/models/w")), "/home/models/w");
    }

    #[test]
    fn a_file_named_relatively_stays_relative() {
        let place = Place::beside(Path::new("a/b/c/g.ron"));
        assert_eq!(place.name(Path::new("weights/w")), "../../../weights/w");
        assert_eq!(absolute(&place.file("../../../weights/w")), absolute(Path::new("weights/w")));
    }

    #[test]
    fn the_graph_of_a_lock_file_lies_beside_it() {
        assert_eq!(Place::of(Path::new("x/g.lock.ron"), "g.ron").graph(), Path::new("x/g.ron"));
        assert_eq!(Place::of(Path::new("g.lock.ron"), "g.ron").graph(), Path::new("g.ron"));
    }
}
