//! Which steps are ready, and who may take them.

use std::collections::BTreeSet;

/// Steps in the order of the plan, and what they wait for.
///
/// Steps on the device are taken by the thread of the run alone, one after the other. Other steps are taken by helpers;
/// by the thread of the run too once no step on the device is left.
pub(super) struct Queue {
    /// For each step, the number of steps it waits for.
    waiting: Vec<u32>,
    /// For each step, those that wait for it.
    followers: Vec<Vec<usize>>,
    on_device: Vec<bool>,
    ready_device: BTreeSet<usize>,
    ready_host: BTreeSet<usize>,
    device_left: usize,
    left: usize,
    /// Is there nobody but the thread of the run?
    alone: bool,
}

impl Queue {
    /// A queue of steps, none of which is ready.
    pub(super) fn new(on_device: Vec<bool>, alone: bool) -> Self {
        let steps = on_device.len();
        Self {
            waiting: vec![0; steps],
            followers: vec![Vec::new(); steps],
            on_device,
            ready_device: BTreeSet::new(),
            ready_host: BTreeSet::new(),
            device_left: 0,
            left: 0,
            alone,
        }
    }

    /// Adds a step that waits for others.
    pub(super) fn add(&mut self, step: usize, sources: impl IntoIterator<Item = usize>) {
        self.left += 1;
        self.device_left += usize::from(self.on_device[step]);
        for source in sources {
            self.followers[source].push(step);
            self.waiting[step] += 1;
        }
        if self.waiting[step] == 0 {
            self.make_ready(step);
        }
    }

    /// Makes a step that was taken ready again.
    pub(super) fn put_back(&mut self, step: usize) {
        self.make_ready(step);
    }

    fn make_ready(&mut self, step: usize) {
        match self.on_device[step] {
            true => self.ready_device.insert(step),
            false => self.ready_host.insert(step),
        };
    }

    /// The next step for the thread of the run, or for a helper.
    pub(super) fn take(&mut self, helper: bool) -> Option<usize> {
        if helper {
            return self.ready_host.pop_first();
        }
        if self.alone {
            // Strictly in the order of the plan.
            return match (self.ready_device.first(), self.ready_host.first()) {
                (Some(device), Some(host)) if host < device => self.ready_host.pop_first(),
                (Some(_), _) => self.ready_device.pop_first(),
                (None, _) => self.ready_host.pop_first(),
            };
        }
        self.ready_device.pop_first().or_else(|| match self.device_left {
            0 => self.ready_host.pop_first(),
            _ => None,
        })
    }

    /// Notes that a step is over; those that waited for it alone become ready.
    pub(super) fn finish(&mut self, step: usize) {
        self.left -= 1;
        self.device_left -= usize::from(self.on_device[step]);
        for follower in std::mem::take(&mut self.followers[step]) {
            self.waiting[follower] -= 1;
            if self.waiting[follower] == 0 {
                self.make_ready(follower);
            }
        }
    }

    /// Is there work for a helper?
    pub(super) fn has_host_work(&self) -> bool {
        !self.ready_host.is_empty()
    }

    /// Is every step over?
    pub(super) fn is_over(&self) -> bool {
        self.left == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_thread_of_the_run_keeps_to_the_device_while_there_is_work_for_it() {
        let mut queue = Queue::new(vec![true, false, true], false);
        queue.add(0, []);
        queue.add(1, []);
        queue.add(2, [0]);
        assert_eq!(queue.take(false), Some(0));
        assert_eq!(queue.take(false), None);
        queue.finish(0);
        assert_eq!(queue.take(false), Some(2));
        assert_eq!(queue.take(true), Some(1));
        queue.finish(2);
        queue.finish(1);
        assert!(queue.is_over());
    }

    #[test]
    fn alone_it_takes_every_step_in_order() {
        let mut queue = Queue::new(vec![false, true, false], true);
        (0..3).for_each(|step| queue.add(step, []));
        assert_eq!([queue.take(false), queue.take(false), queue.take(false)], [Some(0), Some(1), Some(2)]);
    }
}
