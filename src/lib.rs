//! The command line of lumina-graph, as a library: a program with nodes of its own is ten lines.
//!
//! ```no_run
//! use lumina_graph::{Cli, CorePlugins};
//!
//! fn my_nodes(registry: &mut lumina_graph::engine::Registry) {
//!     // registry.add(spec, node);
//! }
//!
//! fn main() -> std::process::ExitCode {
//!     Cli::new().plugins((CorePlugins, my_nodes)).run()
//! }
//! ```

#![forbid(unsafe_code)]

mod arguments;
mod command;
mod exit;
mod failure;
mod folder_store;
mod interrupt;
mod json;
mod lock;
mod memory;
mod messages;
mod params_file;
mod pixels;
mod previews;
mod progress;
mod scalar;
mod sweeps;
mod tally;
mod trace;
mod watcher;
mod world;

use std::process::ExitCode;

use clap::Parser;
use lumina_engine::{Plugin, Registry};

pub use lumina_engine as engine;
pub use lumina_modalities as modalities;
pub use lumina_nodes as nodes;
pub use world::LocalWorld;

/// All node kinds that come with lumina-graph.
#[derive(Clone, Copy, Debug, Default)]
pub struct CorePlugins;

impl Plugin for CorePlugins {
    fn build(&self, registry: &mut Registry) {
        registry.plugin((lumina_nodes::plugin, lumina_modalities::plugin));
    }
}

/// The command line, with the node kinds it knows.
#[derive(Default)]
pub struct Cli {
    registry: Registry,
}

impl Cli {
    /// A command line that knows no node kind yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds node kinds.
    pub fn plugins(mut self, plugins: impl Plugin) -> Self {
        self.registry.plugin(plugins);
        self
    }

    /// Reads the arguments of the process and does what they say.
    pub fn run(self) -> ExitCode {
        command::run(arguments::Arguments::parse(), self.registry).into()
    }
}
