//! A graph and the files it includes as one file: nodes of a part get names of their own, its parameters are replaced by
//! what they stand for. Comments inside the parts are kept.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::Path;

use super::builder::quote;
use super::restore::{literal, set_inputs};
use super::{Document, Expression, NodeDeclaration, parse};
use crate::check::GRAPH;
use crate::provenance::Provenance;
use crate::registry::Registry;
use crate::source::{Source, Span, Spanned};
use crate::template;
use crate::types::Type;

/// A composition of more files than this is an attack: each level may double their number.
const MOST: usize = 4096;

/// More replacements than any composition of files needs.
const MOST_REPLACEMENTS: usize = 100_000;

/// Parameters and outputs stand for each other at most this often in a row.
const LONGEST_WAY: usize = 100;

/// A graph with the files it includes, as a run recorded them.
pub(super) struct Inlining<'a> {
    provenance: &'a Provenance,
    registry: &'a Registry,
    /// The graph itself, then what it includes; an outer one comes before those inside it.
    parts: Vec<Part>,
    replacements: usize,
}

/// One use of a graph file.
struct Part {
    document: Document,
    /// The path its text is recorded under.
    path: String,
    /// What the names of its nodes began with in the run: nothing, or `upscale/`.
    prefix: String,
    /// The part it is included in, and the position of the node there.
    parent: Option<(usize, usize)>,
    /// For each name of a node, what stands for it in the one file.
    names: HashMap<String, Named>,
}

enum Named {
    /// A node of this name.
    Node(String),
    /// The nodes of a part.
    Part(usize),
}

impl<'a> Inlining<'a> {
    /// Reads all included files from the provenance.
    pub(super) fn new(document: &Document, provenance: &'a Provenance, registry: &'a Registry) -> Self {
        let root = Part {
            document: document.clone(),
            path: String::new(),
            prefix: String::new(),
            parent: None,
            names: HashMap::new(),
        };
        let mut inlining = Self { provenance, registry, parts: vec![root], replacements: 0 };
        let mut taken: HashSet<String> = document.nodes.iter().map(|node| node.name.value.clone()).collect();
        let mut next = 0;
        while next < inlining.parts.len() {
            inlining.include(next, &mut taken);
            next += 1;
        }
        inlining
    }

    /// Is there anything to put in the place of a node?
    pub(super) fn is_needed(&self) -> bool {
        self.parts.len() > 1
    }

    fn include(&mut self, part: usize, taken: &mut HashSet<String>) {
        for at in 0..self.parts[part].document.nodes.len() {
            let outer = &self.parts[part];
            let node = &outer.document.nodes[at];
            let name = node.name.value.clone();
            let prefix = outer.prefix.clone();
            let included = if self.parts.len() < MOST { self.text(part, node) } else { None };
            let named = match included {
                Some((path, text)) => {
                    let (document, _) = parse(Source::new(path.as_str(), text));
                    let prefix = format!("{prefix}{name}/");
                    let parent = Some((part, at));
                    self.parts.push(Part { document, path, prefix, parent, names: HashMap::new() });
                    Named::Part(self.parts.len() - 1)
                }
                None if part == 0 => Named::Node(name.clone()),
                None => Named::Node(free(&format!("{prefix}{name}"), taken)),
            };
            self.parts[part].names.insert(name, named);
        }
    }

    /// The recorded path and text of the file that a node stands for.
    fn text(&self, part: usize, node: &NodeDeclaration) -> Option<(String, String)> {
        if node.kind.value != GRAPH {
            return None;
        }
        let (_, path) = node.inputs.iter().find(|(name, _)| name.value == "path")?;
        let Expression::Text(path) = &path.value else { return None };
        let (path, text) = recorded(&self.provenance.includes, &self.parts[part].path, path)?;
        Some((path.to_owned(), text.to_owned()))
    }

    /// The changes that make the root the whole graph; `overridden` are spans of it that are replaced already.
    pub(super) fn edits(&mut self, overridden: &[Span]) -> Vec<(Span, String)> {
        // Inner parts first: an outer one contains their text.
        let mut texts: Vec<String> = vec![String::new(); self.parts.len()];
        for part in (1..self.parts.len()).rev() {
            let edits = self.part_edits(part, &[], &texts);
            let document = &self.parts[part].document;
            let (Some(first), Some(last)) = (document.nodes.first(), document.nodes.last()) else { continue };
            texts[part] = apply(document.source.text(), first.name.span.start..last.span.end, edits);
        }
        self.part_edits(0, overridden, &texts)
    }

    fn part_edits(&mut self, part: usize, overridden: &[Span], texts: &[String]) -> Vec<(Span, String)> {
        let mut edits = Vec::new();
        for at in 0..self.parts[part].document.nodes.len() {
            let node = self.parts[part].document.nodes[at].clone();
            match &self.parts[part].names[&node.name.value] {
                Named::Part(inner) => {
                    let whole = Span::new(node.name.span.start, node.span.end);
                    edits.push(self.place_of(part, whole, &texts[*inner]));
                }
                Named::Node(name) => {
                    if part > 0 {
                        edits.push((node.name.span, quote(name)));
                    }
                    self.input_edits(part, &node, overridden, &mut edits);
                }
            }
        }
        if part == 0 {
            for (_, expression) in self.parts[0].document.outputs.clone() {
                self.expression_edits(0, &expression, &mut edits);
            }
        }
        edits
    }

    /// Where the text of a part goes. One without nodes takes the comma behind its node away with it.
    fn place_of(&self, part: usize, whole: Span, text: &str) -> (Span, String) {
        let behind = &self.parts[part].document.source.text()[whole.end..];
        let comma = behind.find(',').filter(|at| behind[..*at].trim().is_empty());
        match comma {
            Some(at) if text.is_empty() => (Span::new(whole.start, whole.end + at + 1), String::new()),
            _ => (whole, text.to_owned()),
        }
    }

    /// What changes in the inputs of a node.
    fn input_edits(
        &mut self,
        part: usize,
        node: &NodeDeclaration,
        overridden: &[Span],
        edits: &mut Vec<(Span, String)>,
    ) {
        let mut replaced = overridden.to_vec();
        if part > 0 {
            // Inputs of the root's own nodes are set by the caller.
            let whole = format!("{}{}.", self.parts[part].prefix, node.name.value);
            let set = set_inputs(node, &set_values(&whole, node, self.provenance, self.registry));
            replaced.extend(set.iter().map(|(span, _)| *span));
            edits.extend(set);
        }
        for (name, expression) in &node.inputs {
            let is_inside = |span: &Span| {
                span.start <= expression.span.start
                    && expression.span.end <= span.end
                    && span.start < span.end
            };
            if replaced.iter().any(is_inside) {
                continue;
            }
            let is_path = part > 0
                && self.registry.get(&node.kind.value).is_some_and(|kind| {
                    kind.spec.inputs.iter().any(|input| input.name == name.value && input.template)
                });
            match &expression.value {
                Expression::Text(path) if is_path => {
                    edits.push((expression.span, quote(&self.template(part, path))));
                }
                _ => self.expression_edits(part, expression, edits),
            }
        }
    }

    /// Replaces the links and parameters in an expression that mean something else in the one file. Lists nest at most as
    /// deep as the file format lets them.
    fn expression_edits(
        &mut self,
        part: usize,
        expression: &Spanned<Expression>,
        edits: &mut Vec<(Span, String)>,
    ) {
        match &expression.value {
            Expression::List(items) => {
                items.iter().for_each(|item| self.expression_edits(part, item, edits));
            }
            Expression::Param(_) if part == 0 => {}
            Expression::Param(_) | Expression::Link { .. } => {
                let text = self.text_of(part, expression, LONGEST_WAY);
                if text != self.parts[part].document.source.slice(expression.span) {
                    edits.push((expression.span, text));
                }
            }
            _ => {}
        }
    }

    /// An expression of a part as it is written in the one file. `left` bounds how often a parameter or an output leads to
    /// another part; a recorded graph that has run needs less.
    fn text_of(&mut self, part: usize, expression: &Spanned<Expression>, left: usize) -> String {
        self.replacements += 1;
        let written = self.parts[part].document.source.slice(expression.span).to_owned();
        let Some(left) = left.checked_sub(1).filter(|_| self.replacements < MOST_REPLACEMENTS) else {
            return written;
        };
        match &expression.value {
            Expression::Param(_) if part == 0 => written,
            Expression::Param(name) => self.param(part, name, left).unwrap_or(written),
            Expression::Link { node, output } => {
                let at = &self.parts[part];
                match at.names.get(node) {
                    Some(Named::Node(name)) if part > 0 => match output {
                        Some(output) => format!("Link({})", quote(&format!("{name}.{output}"))),
                        None => format!("Link({})", quote(name)),
                    },
                    Some(Named::Part(inner)) => {
                        let outputs = &self.parts[*inner].document.outputs;
                        let chosen = match output {
                            Some(output) => outputs.iter().find(|(name, _)| name.value == *output),
                            None => outputs.first(),
                        };
                        let Some((_, chosen)) = chosen.cloned() else { return written };
                        self.text_of(*inner, &chosen, left)
                    }
                    _ => written,
                }
            }
            Expression::List(items) => {
                let items: Vec<String> = items.iter().map(|item| self.text_of(part, item, left)).collect();
                format!("[{}]", items.join(", "))
            }
            _ => written,
        }
    }

    /// What a parameter of an included graph stands for: what was set, what the node gives, its default.
    fn param(&mut self, part: usize, name: &str, left: usize) -> Option<String> {
        let at = &self.parts[part];
        let declared = at.document.params.iter().find(|param| param.name.value == name)?;
        let key = format!("{}.{name}", at.prefix.trim_end_matches('/'));
        if let Some(set) = self.provenance.overrides.get(&key) {
            return Some(literal(&declared.ty, set));
        }
        let (outer, node) = at.parent?;
        let inputs = &self.parts[outer].document.nodes[node].inputs;
        if let Some((_, given)) = inputs.iter().find(|(input, _)| input.value == name).cloned() {
            return Some(self.text_of(outer, &given, left));
        }
        let default = declared.default.as_ref()?;
        Some(at.document.source.slice(default.span).to_owned())
    }

    /// An output path whose places name parameters of an included graph.
    fn template(&mut self, part: usize, path: &str) -> String {
        let mut written = String::new();
        let mut rest = path;
        while let Some(open) = rest.find('{') {
            let (plain, tail) = rest.split_at(open);
            written.push_str(plain);
            let close = if tail.starts_with("{{") { None } else { tail.find('}') };
            let Some(close) = close else {
                let kept = if tail.starts_with("{{") { 2 } else { 1 };
                written.push_str(&tail[..kept]);
                rest = &tail[kept..];
                continue;
            };
            let name = &tail[1..close];
            let found =
                if matches!(name, "graph" | "node") { None } else { self.param(part, name, LONGEST_WAY) };
            written += &found
                .and_then(|found| self.hole(part, name, &found))
                .unwrap_or_else(|| tail[..=close].to_owned());
            rest = &tail[close + 1..];
        }
        written + rest
    }

    /// What stands in the place of a parameter in a path: a parameter of the graph itself, or a text.
    fn hole(&self, part: usize, name: &str, found: &str) -> Option<String> {
        let declared = self.parts[part].document.params.iter().find(|param| param.name.value == name)?;
        let plain = match super::parse_literal(found)? {
            Expression::Param(outer) => return Some(format!("{{{outer}}}")),
            Expression::Text(text) => text,
            Expression::Bool(value) => value.to_string(),
            Expression::Int(value) if declared.ty == Type::Float => format!("{:?}", value as f64),
            Expression::Int(value) => value.to_string(),
            Expression::Float(value) => format!("{value:?}"),
            Expression::List(_) | Expression::Link { .. } => return None,
        };
        Some(template::file_name(&plain).replace('{', "{{").replace('}', "}}"))
    }
}

/// The values that a run set for the inputs of a node, by input, as they are written in a graph. `prefix` is the name of the
/// node with a point behind it.
pub(super) fn set_values<'p>(
    prefix: &str,
    node: &NodeDeclaration,
    provenance: &'p Provenance,
    registry: &Registry,
) -> Vec<(&'p str, String)> {
    let overrides = provenance.overrides.iter().filter_map(|(name, value)| {
        let input = name.strip_prefix(prefix)?;
        let kind = registry.get(&node.kind.value)?;
        let spec = kind.spec.inputs.iter().find(|spec| spec.name == input)?;
        Some((input, literal(&spec.ty, value)))
    });
    overrides.collect()
}

/// The recorded file that `path` means in the file `outer`: beside that, or where the run has found it.
fn recorded<'t>(
    includes: &'t BTreeMap<String, String>,
    outer: &str,
    path: &str,
) -> Option<(&'t str, &'t str)> {
    let beside = Path::new(outer).parent().unwrap_or(Path::new("")).join(path);
    let exact = includes.get_key_value(&*beside.to_string_lossy());
    let elsewhere = || includes.iter().find(|(recorded, _)| Path::new(recorded).ends_with(path));
    exact.or_else(elsewhere).map(|(path, text)| (path.as_str(), text.as_str()))
}

/// The name for a node of a part: as in file names, where `{node}` stands for it.
fn free(whole: &str, taken: &mut HashSet<String>) -> String {
    let wanted = whole.replace('/', "_");
    let mut name = wanted.clone();
    let mut number = 2;
    while !taken.insert(name.clone()) {
        name = format!("{wanted}_{number}");
        number += 1;
    }
    name
}

/// A range of a text with changes in it.
pub(super) fn apply(text: &str, range: std::ops::Range<usize>, mut edits: Vec<(Span, String)>) -> String {
    // From the end, so that earlier places stay where they are.
    edits.sort_by_key(|(span, _)| std::cmp::Reverse(*span));
    let mut changed = text[range.clone()].to_owned();
    for (span, new) in edits {
        changed.replace_range(span.start - range.start..span.end - range.start, &new);
    }
    changed
}
