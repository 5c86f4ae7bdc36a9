//! The only way a run speaks: the terminal bar, `--json` and the tests are readers of the same stream.

use std::fmt;
use std::time::Duration;

/// A small picture, as bytes.
#[derive(Clone, PartialEq, Eq)]
pub struct Picture {
    /// Pixels in a row.
    pub width: usize,
    /// Rows.
    pub height: usize,
    /// Red, green, blue of each pixel, row by row: `3 * width * height` bytes.
    pub rgb: Vec<u8>,
}

impl fmt::Debug for Picture {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Picture({} x {})", self.width, self.height)
    }
}

/// Something that happened during a run.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Event {
    /// The run begins.
    RunStarted {
        /// Nodes that will be looked at.
        nodes: usize,
    },
    /// The run does not begin: it would not fit into memory.
    RunRefused {
        /// Bytes it would need at most.
        needed: u64,
        /// Bytes it may use.
        limit: u64,
        /// The node that needs the most.
        node: String,
    },
    /// A node will compute with less memory than usual, so that the run fits.
    NodeThrifty {
        /// Its name.
        node: String,
        /// What is done otherwise: `decoded in tiles of 32 cells`.
        how: String,
    },
    /// Kept outputs were dropped, so that the run fits.
    CacheShrunk {
        /// Bytes that became free.
        bytes: u64,
    },
    /// A node begins to compute.
    NodeStarted {
        /// Its name.
        node: String,
        /// Its kind.
        kind: &'static str,
    },
    /// A node goes on in spite of something that looks odd.
    NodeWarning {
        /// Its name.
        node: String,
        /// What is odd.
        message: String,
    },
    /// A node has finished a piece of its work.
    NodeProgress {
        /// Its name.
        node: String,
        /// Pieces done.
        done: u64,
        /// Pieces in all.
        total: u64,
        /// What a piece is: `step`, `tile`.
        unit: &'static str,
    },
    /// A node's outputs were taken from a cache.
    NodeCached {
        /// Its name.
        node: String,
    },
    /// A node has computed its outputs.
    NodeFinished {
        /// Its name.
        node: String,
        /// How long it took.
        elapsed: Duration,
    },
    /// A node failed.
    NodeFailed {
        /// Its name.
        node: String,
        /// Why.
        message: String,
    },
    /// A node was stopped by a cancellation.
    NodeInterrupted {
        /// Its name.
        node: String,
    },
    /// A node was not started because the run stops at the first failure.
    NodeSkipped {
        /// Its name.
        node: String,
    },
    /// A node cannot run because another one failed.
    NodeBlocked {
        /// Its name.
        node: String,
        /// The node that failed.
        by: String,
    },
    /// A file was written.
    Written {
        /// The node that wrote it.
        node: String,
        /// Where.
        path: String,
    },
    /// What a node's work looks like so far. Only when [`RunOptions::preview_every`](crate::RunOptions) asks for it.
    Preview {
        /// The node.
        node: String,
        /// The step it shows, counted from 1.
        step: u64,
        /// The picture.
        picture: Picture,
    },
    /// The run is over.
    RunFinished {
        /// Nodes that computed.
        ran: usize,
        /// Nodes answered from a cache.
        cached: usize,
        /// Nodes that failed.
        failed: usize,
        /// Nodes that could not run because of them.
        blocked: usize,
        /// How long it took.
        elapsed: Duration,
    },
}

/// A reader of events. It is called from the thread that runs the node.
pub trait Events: Sync {
    /// Takes note of an event.
    fn event(&self, event: &Event);
}

impl<F: Fn(&Event) + Sync> Events for F {
    fn event(&self, event: &Event) {
        self(event);
    }
}

/// Takes note of nothing.
#[derive(Clone, Copy, Debug, Default)]
pub struct Silent;

impl Events for Silent {
    fn event(&self, _: &Event) {}
}
