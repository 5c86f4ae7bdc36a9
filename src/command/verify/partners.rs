//! Which file of one list is which of another, when both were found from different folders.

use std::collections::{BTreeMap, BTreeSet};

/// For each recorded path the path of now that it stands for: the same one, or the one that shares most of its end.
/// Each is given away once; a path without any end in common has no partner.
pub(super) fn partners<'a>(
    recorded: impl IntoIterator<Item = &'a String>,
    now: impl IntoIterator<Item = &'a String>,
) -> BTreeMap<&'a str, &'a str> {
    let mut recorded: BTreeSet<&str> = recorded.into_iter().map(String::as_str).collect();
    let mut now: BTreeSet<&str> = now.into_iter().map(String::as_str).collect();
    let mut pairs: BTreeMap<&str, &str> = recorded.intersection(&now).map(|path| (*path, *path)).collect();
    recorded.retain(|path| !pairs.contains_key(path));
    now.retain(|path| !pairs.contains_key(path));
    let mut candidates: Vec<(usize, &str, &str)> = Vec::new();
    for before in &recorded {
        for after in &now {
            let shared = shared_end(before, after);
            if shared > 0 {
                candidates.push((shared, before, after));
            }
        }
    }
    candidates.sort_by_key(|(shared, before, after)| (std::cmp::Reverse(*shared), *before, *after));
    for (_, before, after) in candidates {
        if recorded.contains(before) && now.contains(after) {
            recorded.remove(before);
            now.remove(after);
            pairs.insert(before, after);
        }
    }
    pairs
}

/// How many names, counted from the end, two paths share.
fn shared_end(one: &str, other: &str) -> usize {
    let names = |path: &'_ str| path.rsplit(['/', '\\']).map(str::to_owned).collect::<Vec<_>>();
    names(one).iter().zip(&names(other)).take_while(|(a, b)| a == b).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_of_a_moved_folder_are_recognised_by_their_ends() {
        let texts = |paths: &[&str]| paths.iter().map(|path| (*path).to_owned()).collect::<Vec<_>>();
        let recorded = texts(&["w/vae/model", "w/transformer/model", "w/index.json", "photo.png"]);
        let now = texts(&["/x/w/transformer/model", "/x/w/vae/model", "photo.png", "/x/index.json", "new"]);
        let pairs = partners(&recorded, &now);
        assert_eq!(
            pairs.into_iter().collect::<Vec<_>>(),
            [
                ("photo.png", "photo.png"),
                ("w/index.json", "/x/index.json"),
                ("w/transformer/model", "/x/w/transformer/model"),
                ("w/vae/model", "/x/w/vae/model"),
            ]
        );
    }
}
