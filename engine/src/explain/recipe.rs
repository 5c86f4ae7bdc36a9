//! What a key is made of, in words: kept after a run, so that the next one can say what is different.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};

use crate::document::CacheMode;
use crate::graph::{Graph, GraphNode, Input};
use crate::key::{Identity, KEY_VERSION, Key, item, made};

/// Everything that decides the outputs of a node.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Recipe {
    /// How keys were made.
    pub key_version: u32,
    /// The node kind.
    pub kind: String,
    /// Its version.
    pub version: u32,
    /// Device and number format.
    pub environment: String,
    /// Did it compute with less memory?
    pub thrifty: bool,
    /// Were its outputs to be kept?
    pub keeps: bool,
    /// The inputs by name.
    pub inputs: Vec<(String, Ingredient)>,
    /// The files behind it: path and digest.
    pub files: Vec<(String, String)>,
}

/// What an input gets.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Ingredient {
    /// Nothing.
    Absent,
    /// A value, as text.
    Literal(String),
    /// An output of another node.
    Link {
        /// The node.
        node: String,
        /// The output, with the position where it is one of the values in a list.
        output: String,
        /// What the value is known by.
        identity: String,
    },
    /// Several.
    List(Vec<Ingredient>),
}

impl Ingredient {
    /// As messages show it.
    pub(super) fn shown(&self) -> String {
        match self {
            Ingredient::Absent => "nothing".to_owned(),
            Ingredient::Literal(text) => short(text),
            Ingredient::Link { node, output, .. } => format!("`{}`", dotted(node, output)),
            Ingredient::List(items) => {
                let items: Vec<String> = items.iter().take(4).map(Ingredient::shown).collect();
                format!("[{}]", items.join(", "))
            }
        }
    }
}

/// A node and its output, as a graph links to it.
pub(super) fn dotted(node: &str, output: &str) -> String {
    if output.is_empty() { node.to_owned() } else { format!("{node}.{output}") }
}

/// The beginning of a text that is long.
fn short(text: &str) -> String {
    const SHOWN: usize = 60;
    match text.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("{}...", &text[..end]),
        None => text.to_owned(),
    }
}

/// The recipes of nodes that have a key.
pub(super) struct Kitchen<'a> {
    pub(super) graph: &'a Graph,
    pub(super) keys: &'a [Option<Key>],
    pub(super) thrifty: &'a [bool],
    pub(super) environment: &'a str,
    /// Digests of files by path.
    pub(super) digests: &'a HashMap<String, String>,
}

impl Kitchen<'_> {
    /// The recipe of a node; `None` when something behind it has no key.
    pub(super) fn recipe(&self, index: usize) -> Option<Recipe> {
        let node = &self.graph.nodes[index];
        let spec = &node.kind.spec;
        let inputs = node.inputs.iter().zip(&spec.inputs);
        Some(Recipe {
            key_version: KEY_VERSION,
            kind: spec.kind.to_owned(),
            version: spec.version,
            environment: self.environment.to_owned(),
            thrifty: self.thrifty.get(index).copied().unwrap_or(false),
            keeps: matches!(node.cache, CacheMode::On | CacheMode::Refresh),
            inputs: inputs
                .map(|(input, spec)| Some((spec.name.to_owned(), self.ingredient(input)?)))
                .collect::<Option<_>>()?,
            files: self.files(node)?,
        })
    }

    fn ingredient(&self, input: &Input) -> Option<Ingredient> {
        Some(match input {
            Input::Absent | Input::Template(_) => Ingredient::Absent,
            Input::Value(value) => Ingredient::Literal(format!("{value:?}")),
            Input::Link { node, output } => {
                self.link(*node, self.output(*node, *output), made(self.keys[*node].as_ref()?, *output))
            }
            Input::Item { node, output, index } => {
                let name = self.output(*node, *output);
                let identity = item(&made(self.keys[*node].as_ref()?, *output), index);
                let at: String = index.iter().map(|index| format!("[{index}]")).collect();
                self.link(*node, format!("{name}{at}"), identity)
            }
            Input::List(items) => Ingredient::List(
                items.iter().map(|item| self.ingredient(item)).collect::<Option<Vec<Ingredient>>>()?,
            ),
        })
    }

    /// The name of an output; empty for the only one of a node, as in a link.
    fn output(&self, node: usize, output: usize) -> String {
        match self.graph.nodes[node].kind.spec.outputs.as_slice() {
            [] | [_] => String::new(),
            outputs => outputs.get(output).map_or("", |output| output.name).to_owned(),
        }
    }

    fn link(&self, node: usize, output: String, identity: Identity) -> Ingredient {
        Ingredient::Link { node: self.graph.nodes[node].name.clone(), output, identity: identity.to_string() }
    }

    fn files(&self, node: &GraphNode) -> Option<Vec<(String, String)>> {
        let paths = node.files.iter().map(|file| file.display().to_string());
        paths.map(|path| self.digests.get(&path).cloned().map(|digest| (path, digest))).collect()
    }
}
