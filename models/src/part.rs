//! Part of a model by itself: a folder, or a weight file with its config beside it.

use std::path::{Path, PathBuf};

use crate::weights::Checkpoint;
use crate::{ModelError, Result};

/// The name of the config of a part.
pub(crate) const CONFIG: &str = "config.json";

/// Opens the headers at `path`: of a file, or in a folder of the first of `stems` that is there (see
/// [`Checkpoint::open`]). Gives the folder too.
///
/// # Errors
/// As [`Checkpoint::open`]; [`ModelError::FileNotFound`] lists all places.
pub(crate) fn open(path: &Path, stems: &[&str]) -> Result<(Checkpoint, PathBuf)> {
    if path.is_file() {
        let folder = path.parent().unwrap_or(Path::new("."));
        return Ok((Checkpoint::open_file(path)?, folder.to_owned()));
    }
    let mut searched = Vec::new();
    for stem in stems {
        match Checkpoint::open(path, stem) {
            // A shard that an index promises is another matter than no weights at all.
            Err(ModelError::FileNotFound { searched: places, .. }) if places.len() > 1 => {
                searched.extend(places);
            }
            found => return Ok((found?, path.to_owned())),
        }
    }
    Err(ModelError::FileNotFound { path: searched.first().cloned().unwrap_or_default(), searched })
}

/// The config that is given, else that of the folder.
pub(crate) fn config_path(folder: &Path, given: Option<&Path>) -> PathBuf {
    given.map_or_else(|| folder.join(CONFIG), Path::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_without_weights_lists_all_places() {
        let dir = tempfile::tempdir().unwrap();
        let error = open(dir.path(), &["a", "b"]).unwrap_err();
        assert!(
            matches!(&error, ModelError::FileNotFound { searched, .. } if searched.len() == 4),
            "{error}"
        );
    }
}
