//! The engine: node kinds and a cache, and the way from a graph's text to its outputs.

use std::num::NonZeroUsize;

use crate::cache::{Cache, DiskCache, MemoryCache};
use crate::cancel::Cancel;
use crate::check::{Checked, Overrides, check};
use crate::document::{Document, parse};
use crate::done::Done;
use crate::event::{Events, Silent};
use crate::explain::{Explanation, Inquirer};
use crate::graph::Graph;
use crate::key::Key;
use crate::plan::{Plan, Planner, content_keys};
use crate::registry::Registry;
use crate::run::{Report, Runner};
use crate::source::Source;
use crate::world::World;

/// Bytes of outputs kept in memory unless said otherwise.
const CACHE_BUDGET: u64 = 4 << 30;

/// Node kinds and a cache. One engine serves any number of runs, one after the other.
pub struct Engine {
    registry: Registry,
    cache: Cache,
    memory_limit: Option<u64>,
}

/// What a run is told beside the graph.
pub struct RunOptions<'a> {
    /// What to run for: outputs of the graph or nodes, by name; `None` for [`Graph::targets`].
    pub targets: Option<Vec<String>>,
    /// Stops the run when set.
    pub cancel: Cancel,
    /// Hears what happens.
    pub events: &'a dyn Events,
    /// Starts no other node once one has failed.
    pub fail_fast: bool,
    /// How many threads run nodes that do not compute on the device, the thread of the run included; `None` for as many
    /// as suit the machine. With one, nodes run in the order of the plan.
    pub threads: Option<NonZeroUsize>,
    /// Has nodes that can show their work do so every so many steps ([`Event::Preview`](crate::Event)).
    pub preview_every: Option<u64>,
    /// What the graph is known by, its path for example: with a disk cache, the run notes under this name how nodes were
    /// made, for [`Engine::explain`].
    pub recipes: Option<String>,
}

impl Default for RunOptions<'_> {
    fn default() -> Self {
        Self {
            targets: None,
            cancel: Cancel::new(),
            events: &Silent,
            fail_fast: false,
            threads: None,
            preview_every: None,
            recipes: None,
        }
    }
}

impl Engine {
    /// An engine that knows some node kinds, with an empty memory cache.
    pub fn new(registry: Registry) -> Self {
        Self {
            registry,
            cache: Cache { memory: MemoryCache::new(CACHE_BUDGET), disk: None },
            memory_limit: None,
        }
    }

    /// Keeps at most this many bytes of outputs in memory.
    pub fn with_memory_budget(mut self, bytes: u64) -> Self {
        self.cache.memory = MemoryCache::new(bytes).with_limit(self.memory_limit.unwrap_or(bytes));
        self
    }

    /// Lets runs use at most this many bytes of memory by their plan: nodes compute with less where they can, kept outputs
    /// make room, and a run that does not fit even so is refused before anything is loaded. Up to this limit one large
    /// value, a model, may be kept beside the budget.
    pub fn with_memory_limit(mut self, bytes: u64) -> Self {
        self.memory_limit = Some(bytes);
        self.cache.memory = self.cache.memory.with_limit(bytes);
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

    /// The content keys of the nodes that give some targets; none where a file that decides the outputs cannot be read.
    pub fn keys(&self, graph: &Graph, world: &dyn World, targets: &[String]) -> Vec<Option<Key>> {
        content_keys(graph, world, targets)
    }

    /// Says what a run would do.
    pub fn plan(&self, graph: &Graph, world: &dyn World, targets: Option<Vec<String>>) -> Plan {
        let (cache, registry, done) = (&self.cache, &self.registry, &Done::default());
        let limit = self.memory_limit;
        Planner { graph, cache, registry, world, done, limit }
            .plan(&targets.unwrap_or_else(|| graph.targets()))
    }

    /// Says why a node would run, or would not, in a run for [`Graph::targets`]. `recipes` is what earlier runs were told
    /// in [`RunOptions`]. A name that [`Graph::find`] knows may stand for several nodes; one that a decision leaves out
    /// has an explanation too.
    pub fn explain(&self, graph: &Graph, world: &dyn World, recipes: &str, node: &str) -> Vec<Explanation> {
        let (cache, registry, limit) = (&self.cache, &self.registry, self.memory_limit);
        Inquirer { cache, registry, world, limit }.explain(graph, recipes, node)
    }

    /// Runs a graph.
    pub fn run(&self, graph: &Graph, world: &dyn World, options: RunOptions<'_>) -> Report {
        let targets = options.targets.clone().unwrap_or_else(|| graph.targets());
        let (cache, registry, options) = (&self.cache, &self.registry, &options);
        let limit = self.memory_limit;
        Runner { cache, registry, world, options, limit }.run(graph, &targets)
    }
}
