//! Events as bars on a terminal, or as lines elsewhere.

use std::io::IsTerminal;
use std::sync::{Mutex, PoisonError};

use indicatif::{ProgressBar, ProgressStyle};
use lumina_engine::{Event, Events};

use crate::messages::say;

/// Shows what a run does on the standard error.
pub(crate) struct Progress {
    verbose: bool,
    bar: Mutex<Option<ProgressBar>>,
    bars: bool,
}

impl Progress {
    /// Bars appear only on a terminal; `quiet` shows neither bars nor lines.
    pub(crate) fn new(quiet: bool, verbose: bool) -> Self {
        Self { verbose, bar: Mutex::new(None), bars: !quiet && std::io::stderr().is_terminal() }
    }

    fn replace(&self, bar: Option<ProgressBar>) {
        let mut current = self.bar.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(old) = std::mem::replace(&mut *current, bar) {
            old.finish_and_clear();
        }
    }

    fn advance(&self, done: u64, total: u64, unit: &'static str) {
        if let Some(bar) = &*self.bar.lock().unwrap_or_else(PoisonError::into_inner) {
            bar.set_length(total);
            bar.set_position(done);
            bar.set_style(style(&format!("{{msg:>16}} [{{bar:30}}] {{pos}}/{{len}} {unit}s, {{per_sec}}")));
        }
    }
}

impl Events for Progress {
    fn event(&self, event: &Event) {
        match event {
            Event::NodeStarted { node, .. } if self.bars => {
                let bar = ProgressBar::new_spinner().with_message(node.clone());
                bar.set_style(style("{msg:>16} {spinner} {elapsed}"));
                bar.enable_steady_tick(std::time::Duration::from_millis(100));
                self.replace(Some(bar));
            }
            Event::NodeProgress { done, total, unit, .. } => self.advance(*done, *total, unit),
            Event::NodeFinished { node, elapsed } => {
                self.replace(None);
                if self.verbose {
                    say(&format!("{node:>16}  {:.3} s", elapsed.as_secs_f64()));
                }
            }
            Event::NodeCached { node } if self.verbose => say(&format!("{node:>16}  cached")),
            Event::NodeFailed { .. } | Event::RunFinished { .. } => self.replace(None),
            _ => {}
        }
    }
}

fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar())
}
