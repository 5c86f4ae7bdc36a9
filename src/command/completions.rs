//! `lumina-graph completions`.

use clap::CommandFactory;
use clap_complete::{Shell, generate};

use crate::arguments::Arguments;
use crate::exit::Exit;
use crate::messages::answer;

pub(super) fn completions(shell: Shell) -> Exit {
    let mut script = Vec::new();
    generate(shell, &mut Arguments::command(), "lumina-graph", &mut script);
    answer(String::from_utf8_lossy(&script).trim_end());
    Exit::Ok
}
