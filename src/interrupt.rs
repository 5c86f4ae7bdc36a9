//! Ctrl-C.

use lumina_engine::Cancel;

use crate::exit::Exit;
use crate::messages::say;

/// The first Ctrl-C sets the flag, so that a run stops after its current step; the second ends the program.
pub(crate) fn stop_on_ctrl_c(cancel: &Cancel, quiet: bool) {
    let flag = cancel.clone();
    let handler = move || {
        if flag.is_cancelled() {
            std::process::exit(Exit::Interrupted as i32);
        }
        flag.cancel();
        if !quiet {
            say("stopping after this step; press Ctrl-C again to stop at once");
        }
    };
    if let Err(cause) = ctrlc::set_handler(handler) {
        say(&format!("warning: Ctrl-C will stop at once: {cause}"));
    }
}
