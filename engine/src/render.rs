//! Diagnostics as text, in the layout of rustc.

use annotate_snippets::{AnnotationKind, Group, Level, Renderer, Snippet};

use crate::diagnostic::{Class, Diagnostic};
use crate::source::{Source, Span};

/// More mistakes than this are counted, not shown: nobody reads on.
const SHOWN: usize = 50;

/// Renders diagnostics one after the other, sorted by place, with an empty line between them.
///
/// `sources` are the graph file and the files it includes, as the `file` of a [`Span`] counts them.
pub fn render(sources: &[Source], diagnostics: &[Diagnostic], color: bool) -> String {
    let mut sorted: Vec<&Diagnostic> = diagnostics.iter().collect();
    let place = |diagnostic: &Diagnostic| {
        diagnostic.span.map_or((u32::MAX, usize::MAX), |span| (span.file, span.start))
    };
    sorted.sort_by_key(|diagnostic| (place(diagnostic), diagnostic.code));
    let renderer = if color { Renderer::styled() } else { Renderer::plain() };
    let mut texts: Vec<String> =
        sorted.iter().take(SHOWN).map(|diagnostic| one(sources, diagnostic, &renderer) + "\n").collect();
    if sorted.len() > SHOWN {
        texts.push(format!("and {} more\n", sorted.len() - SHOWN));
    }
    texts.join("\n")
}

fn one(sources: &[Source], diagnostic: &Diagnostic, renderer: &Renderer) -> String {
    let level = match diagnostic.code.class() {
        Class::Warning => Level::WARNING,
        Class::Graph | Class::File | Class::Usage => Level::ERROR,
    };
    let title = level.primary_title(&*diagnostic.message).id(diagnostic.code.text());
    let source = |span: Span| sources.get(span.file as usize);
    let mut group = match diagnostic.span.and_then(|span| Some((span, source(span)?))) {
        None => Group::with_title(title),
        Some((span, home)) => {
            let mut snippet = Snippet::source(home.text()).path(home.path().to_string_lossy()).annotation(
                AnnotationKind::Primary.span(within(home, span).range()).label(&*diagnostic.label),
            );
            let (here, elsewhere): (Vec<_>, Vec<_>) =
                diagnostic.related.iter().partition(|(related, _)| related.file == span.file);
            for (span, label) in here {
                snippet = snippet
                    .annotation(AnnotationKind::Context.span(within(home, *span).range()).label(&**label));
            }
            let mut group = title.element(snippet);
            for (span, label) in elsewhere {
                let Some(other) = source(*span) else { continue };
                group = group.element(
                    Snippet::source(other.text()).path(other.path().to_string_lossy()).annotation(
                        AnnotationKind::Context.span(within(other, *span).range()).label(&**label),
                    ),
                );
            }
            group
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
        assert!(render(&[source], &[far], false).contains("error[LG0101]: broken"));
    }
}
