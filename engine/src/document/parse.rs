//! Text to [`Document`]: never fails but on syntax; what is wrong beside that is collected.

use std::collections::HashMap;

use super::fragment::{Form, Fragment, Pairs};
use super::{CacheMode, Document, Expression, FORMAT, NodeDeclaration, ParamDeclaration, Values};
use crate::diagnostic::{Code, Diagnostic};
use crate::source::{Source, Span, Spanned};
use crate::suggest::{list, suggest};
use crate::types::Type;

/// Reads a graph file. The document holds what could be understood, the list everything that could not.
pub fn parse(source: Source) -> (Document, Vec<Diagnostic>) {
    let mut parser = Parser { diagnostics: Vec::new() };
    let mut document = Document {
        source: source.clone(),
        about: String::new(),
        params: Vec::new(),
        nodes: Vec::new(),
        outputs: Vec::new(),
    };
    match Fragment::root(&source) {
        Ok(root) => parser.graph(root, &mut document),
        Err(error) => parser.diagnostics.push(*error),
    }
    (document, parser.diagnostics)
}

/// Reads one value, such as `["a", "b"]`; `None` when it is not well-formed.
pub(crate) fn parse_literal(text: &str) -> Option<Expression> {
    let source = Source::new("", text);
    let mut parser = Parser { diagnostics: Vec::new() };
    let root = Fragment::root(&source).ok()?;
    let expression = parser.expression(root)?;
    parser.diagnostics.is_empty().then_some(expression.value)
}

/// Reads a map of values `{ "name": value, ... }`.
pub fn parse_values(source: &Source) -> (Values, Vec<Diagnostic>) {
    let mut parser = Parser { diagnostics: Vec::new() };
    let root = parser.keep(Fragment::root(source));
    let entries = root.map(|root| parser.entries(root, "value")).unwrap_or_default();
    let values =
        entries.into_iter().filter_map(|(name, value)| Some((name, parser.expression(value)?))).collect();
    (values, parser.diagnostics)
}

struct Parser {
    diagnostics: Vec<Diagnostic>,
}

const GRAPH_FIELDS: &[&str] = &["format", "about", "params", "nodes", "outputs"];
const NODE_FIELDS: &[&str] = &["kind", "with", "cache"];
const PARAM_TYPES: &[&str] = &["Text", "Int", "Float", "Bool", "Path", "Input"];
const INPUT_FIELDS: &[&str] = &["type", "about"];
const PARAM_FIELDS: &[&str] = &["default", "about", "min", "max", "choices"];

impl Parser {
    fn graph(&mut self, root: Fragment<'_>, document: &mut Document) {
        let Some(fields) = self.fields(root, "Graph", GRAPH_FIELDS) else { return };
        let field = |name: &str| fields.iter().find(|(key, _)| key.value == name).map(|(_, value)| *value);
        match field("format") {
            None => self.missing_field(root.span, "format", &format!("add `format: {FORMAT},`")),
            Some(value) => {
                if let Some(version) = self.keep(value.int())
                    && version != FORMAT
                {
                    let message = format!("this program reads format {FORMAT}, not {version}");
                    self.push(
                        Diagnostic::new(Code::UnsupportedFormat, value.span, message).label("unsupported"),
                    );
                }
            }
        }
        if let Some(value) = field("about") {
            document.about = self.keep(value.text()).unwrap_or_default();
        }
        if let Some(value) = field("params") {
            for (name, value) in self.entries(value, "parameter") {
                self.check_name(&name, "parameter");
                document.params.extend(self.param(name, value));
            }
        }
        match field("nodes") {
            None => self.missing_field(root.span, "nodes", "add `nodes: { ... }`"),
            Some(value) => {
                for (name, value) in self.entries(value, "node") {
                    self.check_name(&name, "node");
                    document.nodes.extend(self.node(name, value));
                }
            }
        }
        if let Some(value) = field("outputs") {
            for (name, value) in self.entries(value, "output") {
                self.check_name(&name, "output");
                document.outputs.extend(self.expression(value).map(|value| (name, value)));
            }
        }
    }

    fn param(&mut self, name: Spanned<String>, value: Fragment<'_>) -> Option<ParamDeclaration> {
        let Form::Call(type_name) = value.form() else {
            self.push(*value.wrong_form("a type such as `Text(default: \"...\")`", value.form()));
            return None;
        };
        let Some(type_name) = PARAM_TYPES.iter().find(|known| **known == type_name) else {
            let diagnostic = Diagnostic::new(
                Code::WrongForm,
                value.span,
                format!("no parameter type is called `{type_name}`"),
            )
            .label("unknown type")
            .maybe_help(suggest(type_name, PARAM_TYPES.iter().copied()));
            self.push(diagnostic);
            return Some(ParamDeclaration::of(name, value.span, Type::Any));
        };
        let ty = match *type_name {
            "Text" => Type::Text,
            "Int" => Type::Int,
            "Float" => Type::Float,
            "Bool" => Type::Bool,
            "Path" => Type::Path,
            _ => return self.input_param(name, value),
        };
        let fields = self.fields(value, type_name, PARAM_FIELDS).unwrap_or_default();
        let field = |name: &str| fields.iter().find(|(key, _)| key.value == name).map(|(_, value)| *value);
        let mut declaration = ParamDeclaration::of(name, value.span, ty);
        declaration.default = field("default").and_then(|value| self.expression(value));
        declaration.min = field("min").and_then(|value| self.keep(value.float()));
        declaration.max = field("max").and_then(|value| self.keep(value.float()));
        if let Some(value) = field("about") {
            declaration.about = self.keep(value.text()).unwrap_or_default();
        }
        if let Some(items) = field("choices").and_then(|value| self.keep(value.items())) {
            declaration.choices = items.into_iter().filter_map(|item| self.keep(item.text())).collect();
        }
        Some(declaration)
    }

    /// `Input(type: "Latent")`: a parameter that only a graph around this one can give, through a link.
    fn input_param(&mut self, name: Spanned<String>, value: Fragment<'_>) -> Option<ParamDeclaration> {
        let fields = self.fields(value, "Input", INPUT_FIELDS).unwrap_or_default();
        let mut declaration = ParamDeclaration::of(name, value.span, Type::Any);
        for (key, value) in fields {
            match key.value {
                "type" => {
                    let flows = self.keep(value.text())?;
                    declaration.flows = Some(Spanned::new(flows, value.span));
                }
                "about" => declaration.about = self.keep(value.text()).unwrap_or_default(),
                _ => {}
            }
        }
        if declaration.flows.is_none() {
            self.missing_field(value.span, "type", "say what flows through it: `Input(type: \"Latent\")`");
        }
        Some(declaration)
    }

    fn node(&mut self, name: Spanned<String>, value: Fragment<'_>) -> Option<NodeDeclaration> {
        let fields = self.fields(value, "Node", NODE_FIELDS)?;
        let field = |name: &str| fields.iter().find(|(key, _)| key.value == name).map(|(_, value)| *value);
        let kind = match field("kind") {
            Some(kind) => Some(Spanned::new(self.keep(kind.text())?, kind.span)),
            None => {
                self.missing_field(value.span, "kind", "say what the node does: `kind: \"image.decode\"`");
                None
            }
        };
        let mut inputs = Vec::new();
        if let Some(with) = field("with") {
            for (name, value) in self.entries(with, "input") {
                if let Some(expression) = self.expression(value) {
                    inputs.push((name, Spanned::new(expression.value, expression.span)));
                }
            }
        }
        let cache = field("cache").map_or(CacheMode::On, |value| self.cache_mode(value));
        Some(NodeDeclaration { name, span: value.span, kind: kind?, inputs, cache })
    }

    fn cache_mode(&mut self, value: Fragment<'_>) -> CacheMode {
        let names = CacheMode::ALL.map(|(name, _)| name);
        let expected = format!("one of {}", list(&names));
        let Form::Call(found) = value.form() else {
            let diagnostic = *value.wrong_form(&expected, value.form());
            self.push(diagnostic.help("it is a bare word: `cache: off`"));
            return CacheMode::On;
        };
        match CacheMode::ALL.iter().find(|(name, _)| *name == found) {
            Some((_, mode)) => *mode,
            None => {
                let message = format!("`cache` must be {expected}, found `{found}`");
                let diagnostic =
                    Diagnostic::new(Code::NotAChoice, value.span, message).label("not a way to keep outputs");
                self.push(diagnostic);
                CacheMode::On
            }
        }
    }

    fn expression(&mut self, value: Fragment<'_>) -> Option<Spanned<Expression>> {
        let expression = match value.form() {
            Form::Text => Expression::Text(self.keep(value.text())?),
            Form::Bool => Expression::Bool(self.keep(value.bool())?),
            Form::Number if value.is_integer() => Expression::Int(self.keep(value.int())?),
            Form::Number => Expression::Float(self.keep(value.float())?),
            // `ron` itself limits the depth of nesting, and with it this recursion.
            Form::List => {
                let items = self.keep(value.items())?;
                Expression::List(items.into_iter().filter_map(|item| self.expression(item)).collect())
            }
            Form::Call("Param") => Expression::Param(self.keep(value.argument("Param"))?.value),
            Form::Call("Link") => {
                let target = self.keep(value.argument("Link"))?.value;
                match target.split_once('.') {
                    Some((node, output)) => {
                        Expression::Link { node: node.to_owned(), output: Some(output.to_owned()) }
                    }
                    None => Expression::Link { node: target, output: None },
                }
            }
            form => {
                let diagnostic = value
                    .wrong_form("a value, `Param(\"name\")` or `Link(\"node\")`", form)
                    .maybe_help(match form {
                        Form::Call(name) if !name.is_empty() => suggest(name, ["Param", "Link"]),
                        _ => None,
                    });
                self.push(diagnostic);
                return None;
            }
        };
        Some(Spanned::new(expression, value.span))
    }

    /// The fields of a struct; reports those that are unknown or given twice.
    fn fields<'s>(
        &mut self,
        value: Fragment<'s>,
        name: &'static str,
        known: &[&str],
    ) -> Option<Pairs<'s, Spanned<&'s str>>> {
        let fields = self.keep(value.fields(name))?;
        let mut seen = HashMap::new();
        for (key, _) in &fields {
            if !known.contains(&key.value) {
                let diagnostic = Diagnostic::new(
                    Code::UnknownField,
                    key.span,
                    format!("`{name}` has no field `{}`", key.value),
                )
                .label("unknown field")
                .maybe_help(suggest(key.value, known.iter().copied()));
                self.push(diagnostic);
            }
            self.once(&mut seen, key.value.to_owned(), key.span, "field");
        }
        Some(fields)
    }

    /// The entries of a map; of those given twice the first is kept and all are reported.
    fn entries<'s>(&mut self, value: Fragment<'s>, what: &str) -> Pairs<'s, Spanned<String>> {
        let mut seen = HashMap::new();
        let entries = self.keep(value.entries()).unwrap_or_default();
        entries
            .into_iter()
            .filter(|(key, _)| self.once(&mut seen, key.value.clone(), key.span, what))
            .collect()
    }

    fn once(&mut self, seen: &mut HashMap<String, Span>, key: String, span: Span, what: &str) -> bool {
        if let Some(first) = seen.get(&key) {
            self.push(
                Diagnostic::new(Code::DuplicateKey, span, format!("{what} `{key}` is given twice"))
                    .label("again here")
                    .related(*first, "first given here"),
            );
            return false;
        }
        seen.insert(key, span);
        true
    }

    fn check_name(&mut self, name: &Spanned<String>, what: &str) {
        let fits = |character: char| character.is_alphanumeric() || matches!(character, '_' | '-');
        if name.value.is_empty() || !name.value.chars().all(fits) {
            let message = format!("`{}` cannot be the name of a {what}", name.value);
            self.push(
                Diagnostic::new(Code::InvalidName, name.span, message)
                    .label("not a name")
                    .help("a name consists of letters, digits, `_` and `-`"),
            );
        }
    }

    fn missing_field(&mut self, span: Span, field: &str, help: &str) {
        // Marks the opening only: a whole graph underlined helps nobody.
        let span = Span::new(span.start, (span.start + 1).min(span.end));
        let message = format!("the field `{field}` is missing");
        self.push(Diagnostic::new(Code::MissingField, span, message).label("in here").help(help));
    }

    fn keep<T>(&mut self, result: Result<T, Box<Diagnostic>>) -> Option<T> {
        result.map_err(|diagnostic| self.diagnostics.push(*diagnostic)).ok()
    }

    fn push(&mut self, diagnostic: Diagnostic) {
        self.diagnostics.push(diagnostic);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn codes(text: &str) -> Vec<Code> {
        parse(Source::new("a.ron", text)).1.iter().map(|diagnostic| diagnostic.code).collect()
    }

    #[test]
    fn a_small_graph_is_read() {
        let (document, diagnostics) = parse(Source::new(
            "a.ron",
            r#"Graph(format: 1, params: {"n": Int(default: 3, min: 0)}, nodes: {
                "a": Node(kind: "k", with: {"x": Param("n"), "y": Link("b.out"), "z": [1, 2.5, "t", true]}),
            })"#,
        ));
        assert_eq!(diagnostics, []);
        assert_eq!(document.params[0].min, Some(0.0));
        let inputs = &document.nodes[0].inputs;
        assert_eq!(inputs[1].1.value, Expression::Link { node: "b".into(), output: Some("out".into()) });
        assert!(matches!(&inputs[2].1.value, Expression::List(items) if items.len() == 4));
    }

    #[test]
    fn every_mistake_of_form_is_reported_at_once() {
        let text = r#"Graph(format: 2, abuot: "", nodes: {
            "a": Node(kind: 3), "a": Node(kind: "k", with: {"x": Lnk("b"), "x": 1}), "b.c": Node(kind: "k"),
        })"#;
        assert_eq!(
            codes(text),
            [
                Code::UnknownField,
                Code::UnsupportedFormat,
                Code::DuplicateKey,
                Code::WrongForm,
                Code::InvalidName
            ]
        );
    }

    #[test]
    fn missing_fields_are_named() {
        assert_eq!(codes("Graph()"), [Code::MissingField, Code::MissingField]);
        assert_eq!(codes("Other()"), [Code::WrongForm]);
        assert_eq!(codes(""), [Code::Syntax]);
    }

    proptest::proptest! {
        #[test]
        fn no_text_makes_the_parser_panic(text in "\\PC*") {
            let (document, diagnostics) = parse(Source::new("a.ron", text));
            crate::render::render(&[document.source], &diagnostics, false);
        }

        #[test]
        fn no_cut_of_a_graph_makes_the_parser_panic(cut in 0usize..140) {
            let text = r#"Graph(format: 1, params: {"n": Int(default: 3)}, nodes: {"a": Node(kind: "k", with: {"x": Link("b.é")})})"#;
            let cut = (0..=cut.min(text.len())).rev().find(|cut| text.is_char_boundary(*cut)).unwrap();
            let (document, diagnostics) = parse(Source::new("a.ron", &text[..cut]));
            crate::render::render(&[document.source], &diagnostics, false);
        }
    }
}
