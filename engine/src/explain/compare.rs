//! What is different between two recipes.

use std::time::Duration;

use super::reason::Reason;
use super::recipe::{Ingredient, Recipe};
use crate::document::CacheMode;

/// What the store has under the key of a node.
#[derive(Clone, Debug, PartialEq)]
pub enum Kept {
    /// Nothing.
    Nothing,
    /// Outputs that can be used.
    Fresh {
        /// Since when, in seconds since 1970.
        since: Option<u64>,
        /// Bytes in the store.
        bytes: u64,
        /// What they cost to make.
        cost: Duration,
    },
    /// Outputs of a node that wrote files which are gone.
    Stale {
        /// The files.
        paths: Vec<String>,
    },
}

/// Says why a node would run, or that it is in the cache.
///
/// `old` is its recipe when it last came to its end, `kept` what the store has under its key, and `unstorable` are the
/// types of its outputs that cannot be kept on disk.
pub fn explain(
    old: Option<&Recipe>,
    now: &Recipe,
    mode: CacheMode,
    kept: &Kept,
    unstorable: &[String],
) -> Vec<Reason> {
    match (mode, kept) {
        (CacheMode::Off, _) => return vec![Reason::CacheOff],
        (CacheMode::Refresh, _) => return vec![Reason::CacheRefresh],
        (_, Kept::Fresh { since, bytes, cost }) => {
            return vec![Reason::Cached { since: *since, bytes: *bytes, cost: *cost }];
        }
        (_, Kept::Stale { paths }) => return vec![Reason::FileGone { paths: paths.clone() }],
        (_, Kept::Nothing) => {}
    }
    let Some(old) = old else { return vec![Reason::NeverRan] };
    let differences = differences(old, now);
    if !differences.is_empty() {
        return differences;
    }
    if !unstorable.is_empty() {
        return vec![Reason::NotStorable { types: unstorable.to_vec() }];
    }
    vec![if old.keeps { Reason::Removed } else { Reason::NotKept }]
}

/// What is different in a recipe. Of a node of another kind nothing else is compared.
pub(super) fn differences(old: &Recipe, now: &Recipe) -> Vec<Reason> {
    if old.kind != now.kind {
        return vec![Reason::Kind { old: old.kind.clone(), new: now.kind.clone() }];
    }
    let mut found = Vec::new();
    if old.key_version != now.key_version {
        found.push(Reason::KeyVersion { old: old.key_version, new: now.key_version });
    }
    if old.version != now.version {
        found.push(Reason::Version { old: old.version, new: now.version });
    }
    if old.environment != now.environment {
        found.push(Reason::Environment { old: old.environment.clone(), new: now.environment.clone() });
    }
    if old.thrifty != now.thrifty {
        found.push(Reason::Thrifty { now: now.thrifty });
    }
    for (name, new) in &now.inputs {
        let old = old.inputs.iter().find(|(other, _)| other == name).map(|(_, old)| old);
        input(name, old.unwrap_or(&Ingredient::Absent), new, &mut found);
    }
    for (name, old) in &old.inputs {
        if !now.inputs.iter().any(|(other, _)| other == name) {
            input(name, old, &Ingredient::Absent, &mut found);
        }
    }
    files(&old.files, &now.files, &mut found);
    found
}

/// Lists nest no deeper than the file format lets them, and one level for every iteration around them.
fn input(name: &str, old: &Ingredient, new: &Ingredient, found: &mut Vec<Reason>) {
    use Ingredient::{Absent, Link, List, Literal};
    match (old, new) {
        (Absent, Absent) => {}
        (Absent | Literal(_), Absent | Literal(_)) => {
            if old != new {
                let (old, new) = (old.shown(), new.shown());
                found.push(Reason::Literal { input: name.to_owned(), old, new });
            }
        }
        (List(before), List(after)) if before.len() == after.len() => {
            for (index, (old, new)) in before.iter().zip(after).enumerate() {
                input(&format!("{name}[{index}]"), old, new, found);
            }
        }
        // Equal values are equal, wherever they come from.
        (Link { identity: before, .. }, Link { identity: after, .. }) if before == after => {}
        (Link { node: before, output: from, .. }, Link { node: after, output: to, .. })
            if before == after && from == to =>
        {
            found.push(Reason::Upstream { input: name.to_owned(), node: after.clone() });
        }
        _ => found.push(Reason::Source { input: name.to_owned(), old: old.shown(), new: new.shown() }),
    }
}

/// A file is the same when its content is, whatever its path.
fn files(old: &[(String, String)], now: &[(String, String)], found: &mut Vec<Reason>) {
    if old.len() == now.len() {
        for ((_, before), (path, after)) in old.iter().zip(now) {
            if before != after {
                let (old, new) = (Some(before.clone()), Some(after.clone()));
                found.push(Reason::File { path: path.clone(), old, new });
            }
        }
        return;
    }
    let digest = |files: &[(String, String)], path: &str| {
        files.iter().find(|(other, _)| other == path).map(|(_, digest)| digest.clone())
    };
    for (path, new) in now {
        let old = digest(old, path);
        if old.as_ref() != Some(new) {
            found.push(Reason::File { path: path.clone(), old, new: Some(new.clone()) });
        }
    }
    for (path, old) in old.iter().filter(|(path, _)| digest(now, path).is_none()) {
        found.push(Reason::File { path: path.clone(), old: Some(old.clone()), new: None });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn recipe() -> Recipe {
        let link = |node: &str, output: &str| Ingredient::Link {
            node: node.into(),
            output: output.into(),
            identity: format!("{node} {output} 1"),
        };
        Recipe {
            key_version: 2,
            kind: "sampler.ode".into(),
            version: 1,
            environment: "cpu f32".into(),
            thrifty: false,
            keeps: true,
            inputs: vec![
                ("steps".into(), Ingredient::Literal("20".into())),
                ("start".into(), link("noise", "")),
                ("masks".into(), Ingredient::List(vec![link("one", ""), link("two", "b")])),
                ("preview".into(), Ingredient::Absent),
            ],
            files: vec![("a.bin".into(), "aaaa".into())],
        }
    }

    /// The reasons for a recipe that differs from [`recipe`] by an edit.
    fn edited(edit: impl FnOnce(&mut Recipe)) -> Vec<Reason> {
        let mut now = recipe();
        edit(&mut now);
        explain(Some(&recipe()), &now, CacheMode::On, &Kept::Nothing, &[])
    }

    fn told(reasons: &[Reason]) -> Vec<(&'static str, String)> {
        reasons.iter().map(|reason| (reason.code(), reason.to_string())).collect()
    }

    #[test]
    fn what_is_kept_is_cached_whatever_changed_before() {
        let kept = Kept::Fresh { since: Some(7), bytes: 10, cost: Duration::from_secs(1) };
        let reasons = explain(None, &recipe(), CacheMode::ReadOnly, &kept, &[]);
        let cached = Reason::Cached { since: Some(7), bytes: 10, cost: Duration::from_secs(1) };
        assert_eq!(reasons, [cached]);
    }

    #[test]
    fn the_mode_of_the_cache_comes_first() {
        let kept = Kept::Fresh { since: None, bytes: 1, cost: Duration::ZERO };
        let reasons = |mode| explain(None, &recipe(), mode, &kept, &[]);
        assert_eq!(reasons(CacheMode::Off), [Reason::CacheOff]);
        assert_eq!(reasons(CacheMode::Refresh), [Reason::CacheRefresh]);
    }

    #[test]
    fn a_file_that_is_gone_is_named() {
        let kept = Kept::Stale { paths: vec!["out/a.png".into()] };
        let reasons = explain(Some(&recipe()), &recipe(), CacheMode::On, &kept, &[]);
        assert_eq!(
            told(&reasons),
            [("file_gone", "what it wrote is gone or is something else: `out/a.png`".into())]
        );
    }

    #[test]
    fn without_a_recipe_it_never_ran() {
        let reasons = explain(None, &recipe(), CacheMode::On, &Kept::Nothing, &["Backbone".into()]);
        assert_eq!(reasons, [Reason::NeverRan]);
    }

    #[test]
    fn an_equal_recipe_whose_outputs_are_not_there() {
        let reasons = |old: &Recipe, unstorable: &[String]| {
            explain(Some(old), &recipe(), CacheMode::On, &Kept::Nothing, unstorable)
        };
        assert_eq!(reasons(&recipe(), &[]), [Reason::Removed]);
        assert_eq!(reasons(&Recipe { keeps: false, ..recipe() }, &[]), [Reason::NotKept]);
        let types = vec!["Backbone".to_owned()];
        assert_eq!(reasons(&recipe(), &types), [Reason::NotStorable { types }]);
    }

    #[test]
    fn another_kind_says_all() {
        let reasons = edited(|now| {
            now.kind = "sampler.sde".into();
            now.version = 5;
        });
        assert_eq!(told(&reasons), [("kind", "its kind changed: `sampler.ode` -> `sampler.sde`".into())]);
    }

    #[test]
    fn versions_device_and_memory() {
        let reasons = edited(|now| {
            now.version = 2;
            now.key_version = 3;
            now.environment = "cuda bf16".into();
            now.thrifty = true;
        });
        let expected = [
            Reason::KeyVersion { old: 2, new: 3 },
            Reason::Version { old: 1, new: 2 },
            Reason::Environment { old: "cpu f32".into(), new: "cuda bf16".into() },
            Reason::Thrifty { now: true },
        ];
        assert_eq!(reasons, expected);
    }

    #[test]
    fn a_literal_has_an_old_and_a_new_value() {
        let reasons = edited(|now| now.inputs[0].1 = Ingredient::Literal("25".into()));
        assert_eq!(told(&reasons), [("literal", "its `steps` changed: 20 -> 25".into())]);
        let reasons = edited(|now| now.inputs[3].1 = Ingredient::Literal("true".into()));
        assert_eq!(told(&reasons), [("literal", "its `preview` changed: nothing -> true".into())]);
        // An input that the kind no longer has.
        let reasons = edited(|now| _ = now.inputs.remove(0));
        assert_eq!(told(&reasons), [("literal", "its `steps` changed: 20 -> nothing".into())]);
    }

    #[test]
    fn another_source_is_told_from_a_source_that_changed() {
        let link = |node: &str, output: &str, identity: &str| Ingredient::Link {
            node: node.into(),
            output: output.into(),
            identity: identity.into(),
        };
        let reasons = edited(|now| now.inputs[1].1 = link("noise", "", "other"));
        assert_eq!(reasons, [Reason::Upstream { input: "start".into(), node: "noise".into() }]);
        let reasons = edited(|now| now.inputs[1].1 = link("loaded", "latent", "other"));
        let message = "its `start` comes from elsewhere: `noise` -> `loaded.latent`";
        assert_eq!(told(&reasons), [("source", message.into())]);
        // A renamed node gives what it gave.
        assert_eq!(edited(|now| now.inputs[1].1 = link("sound", "", "noise  1")), [Reason::Removed]);
        let reasons = edited(|now| now.inputs[1].1 = Ingredient::Literal("3".into()));
        assert_eq!(told(&reasons), [("source", "its `start` comes from elsewhere: `noise` -> 3".into())]);
    }

    #[test]
    fn items_of_lists_are_told_apart() {
        let reasons = edited(|now| {
            if let Ingredient::List(items) = &mut now.inputs[2].1 {
                items[1] = Ingredient::Literal("1".into());
            }
        });
        assert_eq!(told(&reasons), [("source", "its `masks[1]` comes from elsewhere: `two.b` -> 1".into())]);
        let reasons = edited(|now| now.inputs[2].1 = Ingredient::List(Vec::new()));
        assert_eq!(told(&reasons)[0].1, "its `masks` comes from elsewhere: [`one`, `two.b`] -> []");
    }

    #[test]
    fn files_are_compared_by_content() {
        assert_eq!(edited(|now| now.files[0].0 = "elsewhere/a.bin".into()), [Reason::Removed]);
        let reasons = edited(|now| now.files[0].1 = "bbbb".into());
        assert_eq!(told(&reasons), [("file", "the file `a.bin` changed: aaaa -> bbbb".into())]);
        let reasons = edited(|now| now.files.push(("b.bin".into(), "bbbb".into())));
        assert_eq!(told(&reasons), [("file", "the file `b.bin` is new".into())]);
        let reasons = edited(|now| now.files.clear());
        assert_eq!(told(&reasons), [("file", "the file `a.bin` is no longer behind it".into())]);
    }
}
