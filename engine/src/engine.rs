//! The engine: node kinds and a cache, and the way from a graph's text to its outputs.

use crate::cache::{Cache, DiskCache, MemoryCache};
use crate::cancel::Cancel;
use crate::check::{Checked, Overrides, check};
use crate::document::{Document, parse};
use crate::event::{Events, Silent};
use crate::graph::Graph;
use crate::key::Key;
use crate::plan::{Plan, content_keys};
use crate::registry::Registry;
use crate::run::{Report, run};
use crate::source::Source;
use crate::world::World;

/// Bytes of outputs kept in memory unless said otherwise.
const CACHE_BUDGET: u64 = 4 << 30;

/// Node kinds and a cache. One engine serves any number of runs, one after the other.
pub struct Engine {
    registry: Registry,
    cache: Cache,
}

/// What a run is told beside the graph.
pub struct RunOptions<'a> {
    /// The nodes to run for; `None` for [`Graph::targets`].
    pub targets: Option<Vec<usize>>,
    /// Stops the run when set.
    pub cancel: Cancel,
    /// Hears what happens.
    pub events: &'a dyn Events,
    /// Starts no other node once one has failed.
    pub fail_fast: bool,
    /// Has nodes that can show their work do so every so many steps ([`Event::Preview`](crate::Event)).
    pub preview_every: Option<u64>,
}

impl Default for RunOptions<'_> {
    fn default() -> Self {
        Self { targets: None, cancel: Cancel::new(), events: &Silent, fail_fast: false, preview_every: None }
    }
}

impl Engine {
    /// An engine that knows some node kinds, with an empty memory cache.
    pub fn new(registry: Registry) -> Self {
        Self { registry, cache: Cache { memory: MemoryCache::new(CACHE_BUDGET), disk: None } }
    }

    /// Keeps at most this many bytes of outputs in memory.
    pub fn with_memory_budget(mut self, bytes: u64) -> Self {
        self.cache.memory = MemoryCache::new(bytes);
        self
    }

    /// Keeps outputs on disk too.
    pub fn with_disk_cache(mut self, disk: DiskCache) -> Self {
        self.cache.disk = Some(disk);
        self
    }

    /// The node kinds.
    pub fn registry(&self) -> &Registry {
        &self.registry
    }

    /// The caches.
    pub fn cache(&self) -> &Cache {
        &self.cache
    }

    /// Reads and checks the text of a graph.
    pub fn check(&self, source: Source, world: &dyn World, overrides: &Overrides) -> (Document, Checked) {
        let (document, diagnostics) = parse(source);
        let checked = check(&document, diagnostics, &self.registry, world, overrides);
        (document, checked)
    }

    /// The content keys of some nodes; none where a file that decides the outputs cannot be read.
    pub fn keys(&self, graph: &Graph, world: &dyn World, nodes: &[usize]) -> Vec<Option<Key>> {
        content_keys(graph, world, nodes)
    }

    /// Says what a run would do.
    pub fn plan(&self, graph: &Graph, world: &dyn World, targets: Option<Vec<usize>>) -> Plan {
        Plan::new(graph, targets.unwrap_or_else(|| graph.targets()), &self.cache, &self.registry, world)
    }

    /// Runs a graph.
    pub fn run(&self, graph: &Graph, world: &dyn World, options: RunOptions<'_>) -> Report {
        let plan = self.plan(graph, world, options.targets.clone());
        run(graph, plan, &self.cache, &self.registry, world, &options)
    }
}
