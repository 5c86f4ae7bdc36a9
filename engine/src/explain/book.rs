//! The recipes of one graph as they are kept: a line for each node, behind a digest of all of them.

use std::collections::BTreeMap;

use super::recipe::Recipe;
use crate::key::Digest;

/// Recipes by the name of the node, as text: most of them stay as they are from run to run, and are never read.
#[derive(Default, PartialEq)]
pub(crate) struct Book(BTreeMap<String, Line>);

#[derive(PartialEq)]
struct Line {
    /// A digest of what the recipe is made of: the same one, the same recipe.
    print: String,
    recipe: String,
}

impl Book {
    /// The book in some bytes; an empty one when they are damaged.
    pub(crate) fn open(bytes: &[u8]) -> Self {
        Self::read(bytes).unwrap_or_default()
    }

    fn read(bytes: &[u8]) -> Option<Self> {
        let (digest, text) = std::str::from_utf8(bytes).ok()?.split_once('\n')?;
        if Digest::of(text.as_bytes()).to_string() != digest {
            return None;
        }
        let line = |line: &str| {
            let mut parts = line.splitn(3, '\t');
            let (name, print, recipe) = (parts.next()?, parts.next()?, parts.next()?);
            Some((name.to_owned(), Line { print: print.to_owned(), recipe: recipe.to_owned() }))
        };
        text.lines().map(line).collect::<Option<_>>().map(Self)
    }

    /// The book as bytes.
    pub(crate) fn seal(&self) -> Vec<u8> {
        let mut text = String::new();
        for (name, Line { print, recipe }) in &self.0 {
            text.extend([name, "\t", print, "\t", recipe, "\n"]);
        }
        format!("{}\n{text}", Digest::of(text.as_bytes())).into_bytes()
    }

    /// The recipe of a node.
    pub(crate) fn get(&self, node: &str) -> Option<Recipe> {
        ron::from_str(&self.0.get(node)?.recipe).ok()
    }

    /// Notes a recipe, which is only made where its print is another one; says whether it is.
    pub(crate) fn put(
        &mut self,
        node: &str,
        print: &Digest,
        recipe: impl FnOnce() -> Option<Recipe>,
    ) -> bool {
        let print = print.to_string()[..16].to_owned();
        if self.0.get(node).is_some_and(|line| line.print == print) {
            return false;
        }
        let Some(recipe) = recipe().and_then(|recipe| ron::to_string(&recipe).ok()) else { return false };
        self.0.insert(node.to_owned(), Line { print, recipe });
        true
    }

    /// Keeps only recipes of some nodes; says whether others were there.
    pub(crate) fn retain(&mut self, keep: impl Fn(&str) -> bool) -> bool {
        let before = self.0.len();
        self.0.retain(|node, _| keep(node));
        self.0.len() != before
    }
}
