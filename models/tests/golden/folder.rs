//! What is in the folder of golden data, and how large it may be.

use std::collections::BTreeSet;
use std::path::Path;

use crate::common::golden;

/// Anyone who clones the repository pays for it.
const MOST_BYTES: u64 = 25_000_000;

/// The number of bytes of the files below `folder`.
fn bytes(folder: &Path) -> u64 {
    let (mut all, mut waiting) = (0, vec![folder.to_owned()]);
    while let Some(folder) = waiting.pop() {
        for entry in std::fs::read_dir(folder).unwrap().map(Result::unwrap) {
            match entry.file_type().unwrap().is_dir() {
                true => waiting.push(entry.path()),
                false => all += entry.metadata().unwrap().len(),
            }
        }
    }
    all
}

#[test]
fn all_golden_data_together_stay_below_25_megabytes() {
    let found = bytes(&golden(""));
    println!("tests/golden: {found} bytes, at most {MOST_BYTES}");
    assert!(found <= MOST_BYTES, "tests/golden has {found} bytes, at most {MOST_BYTES}");
}

#[test]
fn every_folder_is_named_in_the_readme() {
    let readme = std::fs::read_to_string(golden("README.md")).unwrap();
    let folders: BTreeSet<String> = std::fs::read_dir(golden(""))
        .unwrap()
        .map(Result::unwrap)
        .filter(|entry| entry.file_type().unwrap().is_dir())
        .map(|entry| entry.file_name().into_string().unwrap())
        .collect();
    for folder in folders {
        assert!(readme.contains(&format!("`{folder}")), "{folder}");
    }
}
