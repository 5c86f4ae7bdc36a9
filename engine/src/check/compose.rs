//! The graph file and the files it includes: one list of nodes, with names like `upscale/decode`.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};

use crate::diagnostic::{Code, Diagnostic};
use crate::document::{Document, Expression, NodeDeclaration, parse};
use crate::source::{Source, Span, Spanned};
use crate::world::World;

/// The kind of a node that stands for a graph file.
pub(crate) const GRAPH: &str = "graph";

/// Graphs include graphs at most this deep.
const DEEPEST: usize = 32;

/// A composition of more files than this is a mistake, or an attack: each level may double their number.
const MOST: usize = 4096;

/// A graph file with everything it includes.
pub(super) struct Composition<'d> {
    /// The graph file itself, then the included ones; an outer one comes before those inside it.
    pub(super) parts: Vec<Part<'d>>,
    /// Every node that is not itself a graph. Those of an included graph stand where it is included.
    pub(super) nodes: Vec<Declared>,
}

/// One use of a graph file.
pub(super) struct Part<'d> {
    pub(super) document: Cow<'d, Document>,
    /// What the names of its nodes begin with: nothing, or `upscale/`.
    pub(super) prefix: String,
    /// The node that includes it: its part, and its position there.
    pub(super) parent: Option<(usize, usize)>,
    /// What its names stand for.
    pub(super) names: HashMap<String, Named>,
    /// Where the file was found.
    pub(super) path: PathBuf,
    depth: usize,
}

/// What a name in a part stands for.
#[derive(Clone, Copy)]
pub(super) enum Named {
    /// A node, as a position in [`Composition::nodes`].
    Node(usize),
    /// An included graph, as a position in [`Composition::parts`]; `None` when it could not be read, which is reported.
    Graph(Option<usize>),
}

/// A node and where it is declared.
pub(super) struct Declared {
    pub(super) part: usize,
    node: usize,
    pub(super) name: String,
}

impl<'d> Composition<'d> {
    /// Reads all included files.
    pub(super) fn read(
        document: &'d Document,
        world: &dyn World,
        diagnostics: &mut Vec<Diagnostic>,
    ) -> Composition<'d> {
        let root = Part {
            document: Cow::Borrowed(document),
            prefix: String::new(),
            parent: None,
            names: HashMap::new(),
            path: document.source.path().to_owned(),
            depth: 0,
        };
        let mut composition = Composition { parts: vec![root], nodes: Vec::new() };
        let mut next = 0;
        while next < composition.parts.len() {
            composition.include(next, world, diagnostics);
            next += 1;
        }
        composition.flatten();
        composition
    }

    /// Reads the graphs that the nodes of a part stand for.
    fn include(&mut self, part: usize, world: &dyn World, diagnostics: &mut Vec<Diagnostic>) {
        for node in 0..self.parts[part].document.nodes.len() {
            let declaration = &self.parts[part].document.nodes[node];
            if declaration.kind.value != GRAPH {
                continue;
            }
            let name = declaration.name.value.clone();
            let included = match self.open(part, declaration, world) {
                Ok(included) => included,
                Err(diagnostic) => {
                    diagnostics.push(*diagnostic);
                    self.parts[part].names.insert(name, Named::Graph(None));
                    continue;
                }
            };
            let (mut document, found) = parse(included);
            let index = self.parts.len();
            let file = u32::try_from(index).unwrap_or(u32::MAX);
            document.move_to_file(file);
            diagnostics.extend(found.into_iter().map(|diagnostic| diagnostic.in_file(file)));
            let outer = &self.parts[part];
            let inner = Part {
                path: document.source.path().to_owned(),
                document: Cow::Owned(document),
                prefix: format!("{}{name}/", outer.prefix),
                parent: Some((part, node)),
                names: HashMap::new(),
                depth: outer.depth + 1,
            };
            self.parts.push(inner);
            self.parts[part].names.insert(name, Named::Graph(Some(index)));
        }
    }

    /// Finds and reads the file of a node.
    fn open(
        &self,
        part: usize,
        node: &NodeDeclaration,
        world: &dyn World,
    ) -> Result<Source, Box<Diagnostic>> {
        let given = node.inputs.iter().find(|(name, _)| name.value == "path");
        let Some((_, Spanned { value: expression, span })) = given else {
            return Err(Box::new(
                Diagnostic::new(Code::MissingInput, node.kind.span, "a graph needs the input `path`")
                    .label("`path` is missing")
                    .help("`path` is the graph file, relative to the file this stands in"),
            ));
        };
        let Expression::Text(text) = expression else {
            let message = "the path of a graph is written as a text: it decides which nodes there are";
            let label = format!("this is {}", expression.describe());
            return Err(Box::new(Diagnostic::new(Code::WrongType, *span, message).label(label)));
        };
        let path = self.find(part, Path::new(text), *span, world)?;
        self.refuse_circle(part, &path, *span)?;
        let message = |what: &str| {
            Box::new(
                Diagnostic::new(Code::BadFile, *span, format!("cannot read `{}`: {what}", path.display()))
                    .label("this file"),
            )
        };
        let content = world.read(&path).map_err(|error| message(&error.to_string()))?;
        let text = String::from_utf8(content).map_err(|_| message("it is not a UTF-8 text"))?;
        Ok(Source::new(path, text))
    }

    /// A path is relative to the file it stands in; what is not there is searched like any other file.
    fn find(
        &self,
        part: usize,
        path: &Path,
        span: Span,
        world: &dyn World,
    ) -> Result<PathBuf, Box<Diagnostic>> {
        let beside = self.parts[part].path.parent().unwrap_or(Path::new("")).join(path);
        if world.exists(&beside) {
            return Ok(beside);
        }
        world.find(path).map_err(|missing| {
            let searched: Vec<String> = std::iter::once(&beside)
                .chain(missing.searched.iter().filter(|place| **place != beside))
                .map(|place| format!("`{}`", place.display()))
                .collect();
            Box::new(
                Diagnostic::new(Code::FileNotFound, span, format!("no graph at `{}`", path.display()))
                    .label("not found")
                    .help(format!("searched: {}", searched.join(", "))),
            )
        })
    }

    /// A graph that includes itself, at once or through others, would never end.
    fn refuse_circle(&self, part: usize, path: &Path, span: Span) -> Result<(), Box<Diagnostic>> {
        let mut outer = Some(part);
        let mut chain = vec![format!("`{}`", plain(path).display())];
        while let Some(index) = outer {
            let at = &self.parts[index];
            chain.push(format!("`{}`", plain(&at.path).display()));
            if plain(&at.path) == plain(path) {
                chain.reverse();
                let what = if chain.len() == 2 {
                    "a graph includes itself"
                } else {
                    "graphs include each other in a circle"
                };
                let message = format!("{what}: {}", chain.join(" -> "));
                return Err(Box::new(Diagnostic::new(Code::Cycle, span, message).label("in the circle")));
            }
            outer = at.parent.map(|(part, _)| part);
        }
        let too_many = match (self.parts[part].depth + 1 > DEEPEST, self.parts.len() >= MOST) {
            (true, _) => format!("graphs include graphs more than {DEEPEST} levels deep"),
            (_, true) => format!("more than {MOST} graphs are included"),
            _ => return Ok(()),
        };
        Err(Box::new(Diagnostic::new(Code::Cycle, span, too_many).label("here")))
    }

    /// Lists the nodes of all parts, those of an included graph in the place of its node.
    fn flatten(&mut self) {
        let mut open = vec![(0, 0)];
        while let Some((part, node)) = open.pop() {
            let here = &self.parts[part];
            let Some(declaration) = here.document.nodes.get(node) else { continue };
            open.push((part, node + 1));
            let name = &declaration.name.value;
            if declaration.kind.value == GRAPH {
                if let Some(Named::Graph(Some(inner))) = here.names.get(name) {
                    open.push((*inner, 0));
                }
                continue;
            }
            let declared = Declared { part, node, name: format!("{}{name}", here.prefix) };
            let name = name.clone();
            self.parts[part].names.insert(name, Named::Node(self.nodes.len()));
            self.nodes.push(declared);
        }
    }

    /// The declaration of a node.
    pub(super) fn declaration(&self, node: usize) -> Option<&NodeDeclaration> {
        let declared = self.nodes.get(node)?;
        self.parts[declared.part].document.nodes.get(declared.node)
    }

    /// The texts of all parts, in the order in which spans count them.
    pub(super) fn sources(&self) -> Vec<Source> {
        self.parts.iter().map(|part| part.document.source.clone()).collect()
    }

    /// The texts of the included files by path, as seen from the folder of the graph file where they lie below it: the
    /// same for a graph that is run from another folder.
    pub(super) fn texts(&self) -> BTreeMap<String, String> {
        let beside = self.parts[0].path.parent().unwrap_or(Path::new(""));
        let mut texts = BTreeMap::new();
        for part in &self.parts[1..] {
            let text = part.document.source.text();
            let whole = part.path.display().to_string();
            let short =
                part.path.strip_prefix(beside).map_or(whole.clone(), |path| path.display().to_string());
            let is_taken = texts.get(&short).is_some_and(|other| other != text);
            texts.insert(if is_taken { whole } else { short }, text.to_owned());
        }
        texts
    }

    /// The included files, each once.
    pub(super) fn included(&self) -> Vec<PathBuf> {
        let mut paths: Vec<PathBuf> = self.parts[1..].iter().map(|part| part.path.clone()).collect();
        paths.sort();
        paths.dedup();
        paths
    }
}

/// The path without `.` and `folder/..`.
pub(super) fn plain(path: &Path) -> PathBuf {
    use std::path::Component;
    let mut plain = PathBuf::new();
    for component in path.components() {
        match component {
            Component::CurDir => {}
            Component::ParentDir if matches!(plain.components().next_back(), Some(Component::Normal(_))) => {
                plain.pop();
            }
            other => plain.push(other),
        }
    }
    plain
}
