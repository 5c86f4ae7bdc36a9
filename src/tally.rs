//! How far a run is, added up over its nodes.

use std::collections::BTreeMap;

use lumina_engine::Event;

/// How far a run is. Nodes may run at the same time, so each is known by its name.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    nodes: usize,
    done: usize,
    /// Which part of its work each running node has done, 0 to 1.
    running: BTreeMap<String, f64>,
}

/// What stands for the work of one node in [`Tally::position`].
pub(crate) const UNIT: u64 = 1000;

impl Tally {
    /// Takes note of an event.
    pub(crate) fn event(&mut self, event: &Event) {
        match event {
            Event::RunStarted { nodes } => *self = Self { nodes: *nodes, ..Self::default() },
            Event::NodeStarted { node, .. } => {
                self.running.insert(node.clone(), 0.0);
            }
            Event::NodeProgress { node, done, total, .. } => self.advance(node, *done, *total),
            Event::NodeFinished { node, .. }
            | Event::NodeFailed { node, .. }
            | Event::NodeInterrupted { node }
            | Event::NodeCached { node }
            | Event::NodeSkipped { node }
            | Event::NodeBlocked { node, .. } => {
                self.running.remove(node);
                self.done += 1;
            }
            _ => {}
        }
    }

    fn advance(&mut self, node: &str, done: u64, total: u64) {
        // A node that counts two things one after the other begins again; what is shown does not go back.
        if let Some(part) = self.running.get_mut(node).filter(|_| total > 0) {
            *part = part.max((done as f64 / total as f64).min(1.0));
        }
    }

    /// Nodes in all.
    pub(crate) fn nodes(&self) -> usize {
        self.nodes
    }

    /// Nodes that are over, whatever became of them.
    pub(crate) fn done(&self) -> usize {
        self.done.min(self.nodes)
    }

    /// The work done, parts of running nodes included, where [`UNIT`] is one node.
    pub(crate) fn position(&self) -> u64 {
        let parts: f64 = self.running.values().sum();
        let all = self.nodes as u64 * UNIT;
        (self.done as u64 * UNIT + (parts * UNIT as f64) as u64).min(all)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn started(tally: &mut Tally, node: &str) {
        tally.event(&Event::NodeStarted { node: node.into(), kind: "k" });
    }

    fn progress(tally: &mut Tally, node: &str, done: u64, total: u64) {
        tally.event(&Event::NodeProgress { node: node.into(), done, total, unit: "step" });
    }

    fn finished(tally: &mut Tally, node: &str) {
        tally.event(&Event::NodeFinished { node: node.into(), elapsed: Duration::ZERO });
    }

    fn of(nodes: usize) -> Tally {
        let mut tally = Tally::default();
        tally.event(&Event::RunStarted { nodes });
        tally
    }

    #[test]
    fn parts_of_nodes_that_run_at_the_same_time_are_added() {
        let mut tally = of(4);
        started(&mut tally, "a");
        started(&mut tally, "b");
        progress(&mut tally, "a", 1, 2);
        progress(&mut tally, "b", 1, 4);
        assert_eq!((tally.done(), tally.position()), (0, 750));
        finished(&mut tally, "a");
        assert_eq!((tally.done(), tally.position()), (1, 1250));
        finished(&mut tally, "b");
        assert_eq!((tally.done(), tally.position()), (2, 2000));
    }

    #[test]
    fn every_end_of_a_node_counts_once() {
        let mut tally = of(5);
        tally.event(&Event::NodeCached { node: "cached".into() });
        started(&mut tally, "failed");
        progress(&mut tally, "failed", 9, 10);
        tally.event(&Event::NodeFailed { node: "failed".into(), message: "no".into() });
        tally.event(&Event::NodeBlocked { node: "blocked".into(), by: "failed".into() });
        tally.event(&Event::NodeSkipped { node: "skipped".into() });
        tally.event(&Event::NodeInterrupted { node: "interrupted".into() });
        assert_eq!((tally.done(), tally.position()), (5, 5 * UNIT));
    }

    #[test]
    fn what_is_shown_neither_goes_back_nor_over_the_end() {
        let mut tally = of(1);
        started(&mut tally, "a");
        progress(&mut tally, "a", 3, 4);
        progress(&mut tally, "a", 1, 100);
        progress(&mut tally, "a", 1, 0);
        progress(&mut tally, "nobody", 1, 1);
        assert_eq!(tally.position(), 750);
        progress(&mut tally, "a", 7, 4);
        assert_eq!(tally.position(), UNIT);
        finished(&mut tally, "a");
        finished(&mut tally, "b");
        assert_eq!((tally.done(), tally.position()), (1, UNIT));
    }

    #[test]
    fn another_run_begins_at_nothing() {
        let mut tally = of(2);
        started(&mut tally, "a");
        progress(&mut tally, "a", 1, 2);
        tally.event(&Event::RunStarted { nodes: 3 });
        assert_eq!((tally.nodes(), tally.done(), tally.position()), (3, 0, 0));
    }
}
