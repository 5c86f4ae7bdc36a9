//! The only places that print: results to the standard output, all else to the standard error.

use std::io::{IsTerminal, Write};
use std::sync::atomic::{AtomicBool, Ordering};

use lumina_engine::{Diagnostic, Source, render};

use crate::arguments::ColorChoice;

/// Set when results could not be printed.
static UNPRINTED: AtomicBool = AtomicBool::new(false);

/// Prints a line of results. A closed pipe is the reader's choice and no error; a full disk is one.
pub(crate) fn answer(text: &str) {
    let mut output = std::io::stdout();
    if let Err(cause) = writeln!(output, "{text}").and_then(|()| output.flush())
        && cause.kind() != std::io::ErrorKind::BrokenPipe
        && !UNPRINTED.swap(true, Ordering::Relaxed)
    {
        error(&format!("cannot write to the standard output: {cause}"), None);
    }
}

/// Was there something that could not be printed?
pub(crate) fn is_unprinted() -> bool {
    UNPRINTED.load(Ordering::Relaxed)
}

/// Prints a line of news.
pub(crate) fn say(text: &str) {
    let _ = writeln!(std::io::stderr(), "{text}");
}

/// Prints what went wrong, with lines of help.
pub(crate) fn error<'a>(message: &str, help: impl IntoIterator<Item = &'a str>) {
    say(&format!("error: {message}"));
    for line in help {
        say(&format!("help: {line}"));
    }
}

/// Prints diagnostics with the lines of the graph that they are about.
pub(crate) fn diagnostics(sources: &[Source], diagnostics: &[Diagnostic], color: ColorChoice, quiet: bool) {
    let shown: Vec<Diagnostic> =
        diagnostics.iter().filter(|diagnostic| diagnostic.is_error() || !quiet).cloned().collect();
    if !shown.is_empty() {
        let _ = writeln!(std::io::stderr(), "{}", render(sources, &shown, use_color(color)));
    }
}

fn use_color(choice: ColorChoice) -> bool {
    match choice {
        ColorChoice::Always => true,
        ColorChoice::Never => false,
        ColorChoice::Auto => std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none(),
    }
}

/// A text on one line. Control characters are written out: a file from elsewhere must not speak to the terminal.
pub(crate) fn visible(text: &str) -> String {
    text.chars()
        .flat_map(|character| match character.is_control() {
            true => character.escape_default().collect::<Vec<_>>(),
            false => vec![character],
        })
        .collect()
}

/// Bytes as people read them.
pub(crate) fn bytes(count: u64) -> String {
    let units = ["B", "KiB", "MiB", "GiB", "TiB"];
    let mut value = count as f64;
    let mut unit = 0;
    while value >= 1024.0 && unit + 1 < units.len() {
        value /= 1024.0;
        unit += 1;
    }
    if unit == 0 { format!("{count} B") } else { format!("{value:.1} {}", units[unit]) }
}
