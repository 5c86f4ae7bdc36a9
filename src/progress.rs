//! Events as bars on a terminal, or as lines elsewhere.

use std::collections::HashMap;
use std::io::IsTerminal;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use lumina_engine::{Event, Events};

use crate::messages::{bytes, say, visible};
use crate::tally::{Tally, UNIT};

/// How often bars show that time goes by.
const TICK: Duration = Duration::from_millis(100);

/// Shows what a run does on the standard error: on a terminal one bar for the run and one for each running node.
pub(crate) struct Progress {
    quiet: bool,
    verbose: bool,
    bars: Option<Mutex<Bars>>,
}

impl Progress {
    /// Bars appear only on a terminal; `quiet` shows neither bars nor lines.
    pub(crate) fn new(quiet: bool, verbose: bool) -> Self {
        let has_bars = !quiet && std::io::stderr().is_terminal();
        Self { quiet, verbose, bars: has_bars.then(Mutex::default) }
    }

    fn line(&self, text: &str) {
        match &self.bars {
            // A line between bars would be written over.
            Some(bars) => bars.lock().unwrap_or_else(PoisonError::into_inner).all.suspend(|| say(text)),
            None => say(text),
        }
    }
}

impl Events for Progress {
    fn event(&self, event: &Event) {
        if let Some(bars) = &self.bars {
            bars.lock().unwrap_or_else(PoisonError::into_inner).event(event);
        }
        match event {
            Event::NodeFinished { node, elapsed } if self.verbose => {
                self.line(&format!("{node:>16}  {:.3} s", elapsed.as_secs_f64()));
            }
            Event::NodeThrifty { node, how } if !self.quiet => {
                self.line(&format!("note: `{node}`: {how}, so that the run fits into memory"));
            }
            Event::NodeWarning { node, message } if !self.quiet => {
                self.line(&format!("warning: `{node}`: {}", visible(message)));
            }
            Event::CacheShrunk { bytes: freed } if self.verbose => {
                self.line(&format!("note: {} of kept results made room for the run", bytes(*freed)));
            }
            Event::NodeCached { node } if self.verbose => self.line(&format!("{node:>16}  cached")),
            _ => {}
        }
    }
}

/// The bars on the terminal.
#[derive(Default)]
struct Bars {
    all: MultiProgress,
    tally: Tally,
    /// The one for the run.
    run: Option<ProgressBar>,
    /// Those of running nodes, by name.
    nodes: HashMap<String, ProgressBar>,
}

impl Bars {
    fn event(&mut self, event: &Event) {
        self.tally.event(event);
        match event {
            Event::RunStarted { .. } => {
                self.clear();
                let bar = ProgressBar::new(self.tally.nodes() as u64 * UNIT);
                bar.set_style(style("{msg:>16} [{bar:30}] {percent}%, {elapsed}"));
                let bar = self.all.add(bar);
                bar.enable_steady_tick(TICK);
                self.run = Some(bar);
            }
            Event::NodeStarted { node, .. } => {
                let bar = ProgressBar::new_spinner().with_message(node.clone());
                bar.set_style(style("{msg:>16} {spinner} {elapsed}"));
                let bar = self.all.add(bar);
                bar.enable_steady_tick(TICK);
                self.nodes.insert(node.clone(), bar);
            }
            Event::NodeProgress { node, done, total, unit } => {
                if let Some(bar) = self.nodes.get(node) {
                    bar.set_length(*total);
                    bar.set_position(*done);
                    bar.set_style(style(&format!(
                        "{{msg:>16}} [{{bar:30}}] {{pos}}/{{len}} {unit}s, {{per_sec}}"
                    )));
                }
            }
            Event::NodeFinished { node, .. }
            | Event::NodeFailed { node, .. }
            | Event::NodeInterrupted { node } => {
                if let Some(bar) = self.nodes.remove(node) {
                    bar.finish_and_clear();
                    self.all.remove(&bar);
                }
            }
            Event::RunFinished { .. } => return self.clear(),
            _ => {}
        }
        if let Some(run) = &self.run {
            run.set_message(format!("{}/{} nodes", self.tally.done(), self.tally.nodes()));
            run.set_position(self.tally.position());
        }
    }

    fn clear(&mut self) {
        for bar in self.nodes.drain().map(|(_, bar)| bar).chain(self.run.take()) {
            bar.finish_and_clear();
            self.all.remove(&bar);
        }
    }
}

fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar())
}
