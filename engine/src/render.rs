//! Diagnostics as text, in the layout of rustc.

use annotate_snippets::{AnnotationKind, Group, Level, Renderer, Snippet};

use crate::diagnostic::{Class, Diagnostic};
use crate::source::{Source, Span};

/// More mistakes than this are counted, not shown: nobody reads on.
const SHOWN: usize = 50;

/// Renders diagnostics one after the other, sorted by place, with an empty line between them.
pub fn render(source: &Source, diagnostics: &[Diagnostic], color: bool) -> String {
    let mut sorted: Vec<&Diagnostic> = diagnostics.iter().collect();
    sorted.sort_by_key(|diagnostic| (diagnostic.span.map_or(usize::MAX, |span| span.start), diagnostic.code));
    let renderer = if color { Renderer::styled() } else { Renderer::plain() };
    let mut texts: Vec<String> =
        sorted.iter().take(SHOWN).map(|diagnostic| one(source, diagnostic, &renderer) + "\n").collect();
    if sorted.len() > SHOWN {
        texts.push(format!("and {} more\n", sorted.len() - SHOWN));
    }
    texts.join("\n")
}

fn one(source: &Source, diagnostic: &Diagnostic, renderer: &Renderer) -> String {
    let level = match diagnostic.code.class() {
        Class::Warning => Level::WARNING,
        Class::Graph | Class::File | Class::Usage => Level::ERROR,
    };
    let title = level.primary_title(&*diagnostic.message).id(diagnostic.code.text());
    let path = source.path().to_string_lossy();
    let mut group = match diagnostic.span {
        None => Group::with_title(title),
        Some(span) => {
            let mut snippet = Snippet::source(source.text()).path(&*path).annotation(
                AnnotationKind::Primary.span(within(source, span).range()).label(&*diagnostic.label),
            );
            for (span, label) in &diagnostic.related {
                snippet = snippet
                    .annotation(AnnotationKind::Context.span(within(source, *span).range()).label(&**label));
            }
            title.element(snippet)
        }
    };
    for help in &diagnostic.help {
        group = group.element(Level::HELP.message(&**help));
    }
    renderer.render(&[group])
}

/// Keeps a span inside the text and on character borders, so that rendering cannot panic.
fn within(source: &Source, span: Span) -> Span {
    let text = source.text();
    let floor = |mut offset: usize| {
        offset = offset.min(text.len());
        while !text.is_char_boundary(offset) {
            offset -= 1;
        }
        offset
    };
    let start = floor(span.start);
    Span::new(start, floor(span.end).max(start))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::diagnostic::Code;

    #[test]
    fn a_span_outside_the_text_still_renders() {
        let source = Source::new("a.ron", "é");
        let far = Diagnostic::new(Code::Syntax, Span::new(1, 900), "broken");
        assert!(render(&source, &[far], false).contains("error[LG0101]: broken"));
    }
}
