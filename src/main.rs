//! The program `lumina-graph`.

use std::process::ExitCode;

use lumina_graph::{Cli, CorePlugins};

fn main() -> ExitCode {
    Cli::new().plugins(CorePlugins).run()
}
