//! Where in the files a node and its inputs stand, for what is found out about them later.

use super::compose::Composition;
use super::params::Params;
use super::{Draft, Origin};
use crate::diagnostic::{Code, Diagnostic};
use crate::expand::{Judge, ScopeMistake};
use crate::mistake::Mistake;
use crate::source::Span;

/// Where the nodes of a [`Declared`](crate::expand::Declared) stand.
pub(super) struct Places<'a> {
    composition: &'a Composition<'a>,
    params: &'a [Params<'a>],
    drafts: &'a [Draft],
}

impl<'a> Places<'a> {
    pub(super) fn new(
        composition: &'a Composition<'a>,
        params: &'a [Params<'a>],
        drafts: &'a [Draft],
    ) -> Self {
        Self { composition, params, drafts }
    }

    /// The place of an input, or of the node's name where the input is not given.
    pub(super) fn input(&self, node: usize, input: &str) -> Option<Span> {
        self.given(node, input)
            .or_else(|| Some(self.composition.declaration(self.drafts.get(node)?.declaration)?.name.span))
    }

    fn given(&self, node: usize, input: &str) -> Option<Span> {
        let declaration = self.composition.declaration(self.drafts.get(node)?.declaration)?;
        let (_, expression) = declaration.inputs.iter().find(|(name, _)| name.value == input)?;
        Some(expression.span)
    }

    fn origin(&self, node: usize, input: &str) -> Option<&Origin> {
        let draft = self.drafts.get(node)?;
        let index = draft.kind.spec.inputs.iter().position(|spec| spec.name == input)?;
        draft.origins.get(index)
    }

    /// A mistake of a node with its place.
    fn diagnostic(&self, node: usize, mistake: &Mistake) -> Option<Diagnostic> {
        let declaration = self.composition.declaration(self.drafts.get(node)?.declaration)?;
        let input = mistake.input.as_deref();
        let span = input.and_then(|input| self.given(node, input)).unwrap_or(declaration.kind.span);
        let mut diagnostic = Diagnostic::new(mistake.code, span, &*mistake.message).label(&*mistake.label);
        diagnostic.help.clone_from(&mistake.help);
        for (input, label) in &mistake.also {
            if let Some(span) = self.given(node, input) {
                diagnostic = diagnostic.related(span, &**label);
            }
        }
        let Some(origin) = input.and_then(|input| self.origin(node, input)) else { return Some(diagnostic) };
        if let Some(name) = &origin.set {
            return Some(diagnostic.help(format!("the value comes from `--set {name}=...`")));
        }
        let Some(name) = &origin.param else { return Some(diagnostic) };
        let part = self.composition.nodes[self.drafts[node].declaration].part;
        let Some(param) = self.params[part].get(name) else { return Some(diagnostic) };
        Some(match (&param.declaration.default, param.overridden) {
            (Some(default), false) if param.value.is_some() => {
                diagnostic.related(default.span, "the value comes from here")
            }
            (_, true) => {
                let graph = self.composition.parts[part].prefix.trim_end_matches('/');
                let prefix = if graph.is_empty() { String::new() } else { format!("{graph}.") };
                let flag = if param.stands_for.is_some() { "sweep" } else { "set" };
                diagnostic.help(format!("the value comes from `--{flag} {prefix}{name}=...`"))
            }
            _ => diagnostic,
        })
    }

    /// A mistake with iterations at the node that makes it.
    pub(super) fn scope_mistake(&self, node: usize, mistake: ScopeMistake) -> Option<Diagnostic> {
        let place = |node: usize| {
            let draft = self.drafts.get(node)?;
            Some((&draft.name, self.composition.declaration(draft.declaration)?))
        };
        let (name, declaration) = place(node)?;
        let is_fold = declaration.kind.value == "fold.end";
        let at = |code, message: String| Diagnostic::new(code, declaration.name.span, message);
        Some(match mistake {
            ScopeMistake::Outside => {
                let (what, help) = match is_fold {
                    true => ("a fold", "nothing that `next` comes from depends on a `fold`"),
                    false => ("an iteration", "nothing that `item` comes from depends on a `map`, `zip` or `fold`"),
                };
                at(Code::NotInScope, format!("`{name}` ends {what} and stands in none"))
                    .label(format!("no {} to end", if is_fold { "fold" } else { "iteration" }))
                    .help(help)
            }
            ScopeMistake::OtherIteration(opener) => {
                let (opener, other) = place(opener)?;
                at(Code::UnendedFold, format!("`{name}` ends a fold, but stands in the iteration `{opener}`"))
                    .label("not the end of a fold")
                    .related(other.name.span, format!("this is a `{}`", other.kind.value))
                    .help(format!("an iteration over a list ends with `collect`; put one between `{opener}` and `{name}`"))
            }
            ScopeMistake::SecondEnd { fold, first } => {
                let (fold, declaration) = place(fold)?;
                let (_, first) = place(first)?;
                at(Code::UnendedFold, format!("the fold `{fold}` has two ends"))
                    .label("the second")
                    .related(first.name.span, "the first")
                    .related(declaration.name.span, "the fold")
                    .help("more than one value is carried as a list: `\"next\": [Link(...), Link(...)]`")
            }
            ScopeMistake::NoEnd => at(Code::UnendedFold, format!("the fold `{name}` has no end"))
                .label("begins here")
                .help("`Node(kind: \"fold.end\", with: { \"next\": Link(...) })` gives the value for the next turn"),
            ScopeMistake::StartsOutside(opener) => {
                let message = format!("the body of the fold that `{name}` ends is inside an iteration, the fold is not");
                let diagnostic = at(Code::UnendedFold, message).label("ends here");
                match place(opener) {
                    Some((opener, other)) => diagnostic
                        .related(other.name.span, "this iteration")
                        .help(format!("put `{opener}` before the fold in the file, or link the fold's `start` to it")),
                    None => diagnostic,
                }
            }
        })
    }
}

/// Turns mistakes of expanded nodes into diagnostics. Turns of an iteration often make the same mistake: it is
/// reported once.
pub(super) struct Reporter<'a> {
    pub(super) places: &'a Places<'a>,
    pub(super) diagnostics: &'a mut Vec<Diagnostic>,
}

impl Reporter<'_> {
    fn report(&mut self, declared: usize, mistakes: &[Mistake]) {
        for diagnostic in mistakes.iter().filter_map(|mistake| self.places.diagnostic(declared, mistake)) {
            let recent = self.diagnostics.iter().rev().take(200);
            if !recent.into_iter().any(|known| *known == diagnostic) {
                self.diagnostics.push(diagnostic);
            }
        }
    }
}

impl Judge for Reporter<'_> {
    fn mistakes(&mut self, declared: usize, mistakes: &[Mistake]) {
        self.report(declared, mistakes);
    }

    fn warnings(&mut self, declared: usize, warnings: &[Mistake]) {
        self.report(declared, warnings);
    }
}
