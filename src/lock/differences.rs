//! What a lock file says against what is there now.

use std::collections::BTreeSet;
use std::fmt::Display;

use lumina_engine::World;
use serde_json::{Value, json};

use super::{Lock, Place};
use crate::exit::Exit;
use crate::messages::visible;

/// One thing that is not as it was locked.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Difference {
    /// What sort of thing.
    pub(crate) what: What,
    /// Which one; empty where there is only one.
    pub(crate) name: String,
    /// What the lock file says; `None` when it does not name the thing.
    pub(crate) expected: Option<String>,
    /// What is there now.
    pub(crate) found: Option<String>,
}

/// Sorts of things that are locked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum What {
    Engine,
    Device,
    DType,
    Parameter,
    Input,
    Kind,
    File,
}

impl What {
    fn text(self) -> &'static str {
        match self {
            What::Engine => "engine",
            What::Device => "device",
            What::DType => "number format",
            What::Parameter => "parameter",
            What::Input => "input",
            What::Kind => "version of the node kind",
            What::File => "file",
        }
    }
}

impl Lock {
    /// What differs between this lock and one of what is there now, `now`.
    ///
    /// A run for fewer nodes than were locked differs in nothing: what it does not use is compared all the same, and
    /// node kinds it does not use do not matter.
    pub(crate) fn differences(&self, now: &Lock, place: &Place, world: &dyn World) -> Vec<Difference> {
        let mut found = Vec::new();
        if !compatible(&self.engine, &now.engine) {
            found.push(Difference::new(What::Engine, "", Some(&self.engine), Some(&now.engine)));
        }
        let mut single = |what, expected: &dyn Display, now: &dyn Display| {
            let (expected, now) = (expected.to_string(), now.to_string());
            if expected != now {
                found.push(Difference::new(what, "", Some(&expected), Some(&now)));
            }
        };
        single(What::Device, &self.device, &now.device);
        single(What::DType, &self.dtype, &now.dtype);
        for name in self.params.keys().chain(now.params.keys()).collect::<BTreeSet<_>>() {
            found.extend(Difference::find(
                What::Parameter,
                name,
                self.params.get(name),
                now.params.get(name),
            ));
        }
        for name in self.overrides.keys().chain(now.overrides.keys()).collect::<BTreeSet<_>>() {
            let (expected, now) = (self.overrides.get(name), now.overrides.get(name));
            found.extend(Difference::find(What::Input, name, expected, now));
        }
        for (name, version) in &now.kinds {
            found.extend(Difference::find(What::Kind, name, self.kinds.get(name), Some(version)));
        }
        found.extend(self.file_differences(place, world));
        let added = now.files.iter().filter(|(name, _)| !self.files.contains_key(*name));
        found.extend(added.map(|(name, digest)| Difference::new(What::File, name, None, Some(digest))));
        found
    }

    /// The files of this lock that are gone or have another content.
    pub(crate) fn file_differences(&self, place: &Place, world: &dyn World) -> Vec<Difference> {
        let compare = |(name, expected): (&String, &String)| {
            let found = world.digest(&place.file(name)).ok().map(|digest| digest.to_string());
            Difference::find(What::File, name, Some(expected), found.as_ref())
        };
        self.files.iter().filter_map(compare).collect()
    }
}

impl Difference {
    fn new(what: What, name: &str, expected: Option<&String>, found: Option<&String>) -> Self {
        Self { what, name: name.to_owned(), expected: expected.cloned(), found: found.cloned() }
    }

    /// What differs, if anything does.
    pub(crate) fn find<T: Display>(
        what: What,
        name: &str,
        expected: Option<&T>,
        found: Option<&T>,
    ) -> Option<Self> {
        let (expected, found) = (expected.map(T::to_string), found.map(T::to_string));
        (expected != found).then(|| Self::new(what, name, expected.as_ref(), found.as_ref()))
    }

    /// The exit code it stands for.
    pub(crate) fn exit(&self) -> Exit {
        if self.what == What::File { Exit::File } else { Exit::InvalidGraph }
    }

    /// Three lines: what it is, what was expected, what was found.
    pub(crate) fn text(&self) -> String {
        let what = self.what.text();
        let name = if self.name.is_empty() { String::new() } else { format!(" `{}`", visible(&self.name)) };
        let shown = |value: &Option<String>| value.as_deref().map_or_else(|| "nothing".to_owned(), visible);
        let (expected, found) = (shown(&self.expected), shown(&self.found));
        format!("  {what}{name}\n    expected {expected}\n    found    {found}")
    }

    /// The difference as JSON.
    pub(crate) fn json(&self) -> Value {
        json!({
            "what": self.what.text(), "name": self.name, "expected": self.expected, "found": self.found,
        })
    }
}

/// Do two versions promise the same? Up to the first number that is not zero they have to agree.
fn compatible(locked: &str, now: &str) -> bool {
    let numbers = |version: &str| -> Vec<String> { version.split('.').map(str::to_owned).collect() };
    let (locked, now) = (numbers(locked), numbers(now));
    let decisive = locked.iter().position(|number| number != "0").unwrap_or(locked.len());
    locked.len() == now.len() && locked.iter().zip(&now).take(decisive + 1).all(|(a, b)| a == b)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_compatible_as_cargo_has_it() {
        assert!(compatible("1.2.3", "1.9.0") && compatible("0.1.0", "0.1.7"));
        assert!(
            !compatible("1.2.3", "2.0.0") && !compatible("0.1.0", "0.2.0") && !compatible("0.0.1", "0.0.2")
        );
        assert!(!compatible("1.2.3", "nonsense") && !compatible("0.1.0", "1.1.0"));
    }

    #[test]
    fn a_changed_file_is_named_with_both_digests() {
        let difference = Difference::find(What::File, "model/w", Some(&"aa"), Some(&"bb")).unwrap();
        assert_eq!(difference.text(), "  file `model/w`\n    expected aa\n    found    bb");
        assert_eq!(difference.exit(), Exit::File);
        let difference = Difference::find(What::Parameter, "a\nb", None, Some(&"\u{1b}[2J")).unwrap();
        assert_eq!(difference.text(), "  parameter `a\\nb`\n    expected nothing\n    found    \\u{1b}[2J");
        assert_eq!(Difference::find(What::File, "model/w", Some(&"aa"), Some(&"aa")), None);
    }
}
