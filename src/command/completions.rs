//! `lumina-graph completions`.

use clap::CommandFactory;
use clap_complete::{Shell, generate};

use crate::arguments::Arguments;
use crate::exit::Exit;

pub(super) fn completions(shell: Shell) -> Exit {
    generate(shell, &mut Arguments::command(), "lumina-graph", &mut std::io::stdout());
    Exit::Ok
}
