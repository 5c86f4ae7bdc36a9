//! What was made now against what is recorded.

use std::collections::HashMap;
use std::io;
use std::path::{Path, PathBuf};

use lumina_engine::World;

use super::elsewhere::Elsewhere;
use super::partners::partners;
use super::verdict::Verdict;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::lock::{Lock, Output, Place};
use crate::pixels::{Comparison, Pixels, compare};

/// Compares a picture with the one made now: by name, or else with the one that is most like it.
pub(super) fn picture(picture: &Path, written: &[PathBuf], world: &Elsewhere) -> Result<Verdict, Failure> {
    let all: Vec<(&PathBuf, PathBuf)> =
        written.iter().filter_map(|path| Some((path, world.made(path)?))).collect();
    let named: Vec<_> = all.iter().filter(|(path, _)| path.file_name() == picture.file_name()).collect();
    let candidates = if named.is_empty() { all.iter().collect() } else { named };
    let mut best: Option<Comparison> = None;
    for (_, made) in candidates {
        let comparison = compare(picture, made).map_err(|cause| unreadable(picture, &cause))?;
        best = Some(best.map_or(comparison, |best| best.closer(comparison)));
    }
    let comparison = best.ok_or_else(|| Failure::new(Exit::Failed, "the graph has written no picture"))?;
    Ok(Verdict { output: None, comparison: Some(comparison) })
}

/// Compares what is locked with what is made now.
pub(super) fn outputs(
    lock: &Lock,
    place: &Place,
    written: &[PathBuf],
    world: &Elsewhere,
) -> Result<Vec<Verdict>, Failure> {
    let now: HashMap<String, PathBuf> =
        written.iter().filter_map(|path| Some((place.name(path), world.made(path)?))).collect();
    let pairs = partners(lock.outputs.keys(), now.keys());
    let mut verdicts = Vec::new();
    for (name, expected) in &lock.outputs {
        let made = pairs.get(name.as_str()).and_then(|partner| now.get(*partner));
        let comparison = match made {
            None => None,
            Some(made) => {
                let original = place.file(name);
                Some(against(expected, made, &original, world).map_err(|cause| unreadable(made, &cause))?)
            }
        };
        verdicts.push(Verdict { output: Some(name.clone()), comparison });
    }
    Ok(verdicts)
}

/// Compares with the locked digests, and where they differ with the file itself, if it is still the locked one.
fn against(expected: &Output, made: &Path, original: &Path, world: &Elsewhere) -> io::Result<Comparison> {
    let digest = |path: &Path| world.inner().digest(path).map(|digest| digest.to_string());
    if digest(made)? == expected.bytes {
        return Ok(Comparison::SameBytes);
    }
    let pixels = Pixels::read(made)?.map(|pixels| pixels.digest().to_string());
    if pixels.is_some_and(|pixels| pixels == expected.pixels) {
        return Ok(Comparison::SamePixels);
    }
    match digest(original) {
        Ok(found) if found == expected.bytes => compare(original, made),
        _ => Ok(Comparison::Unknown),
    }
}

fn unreadable(path: &Path, cause: &io::Error) -> Failure {
    Failure::new(Exit::File, format!("cannot read `{}`: {cause}", path.display()))
}
