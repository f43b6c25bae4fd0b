//! `cargo xtask completions`: the script that a shell reads, and the answers that the script asks
//! this program for while somebody types.

mod answer;
mod names;
mod script;

use crate::cli::CompletionsArgs;
use crate::fault::{Fault, Result};

/// Prints the script for a shell, or what may stand at the cursor behind the given words.
pub fn run(flags: &CompletionsArgs) -> Result<()> {
    let Some(shell) = flags.shell else {
        super::print(&answer::lines(&flags.words));
        return Ok(());
    };
    let program = std::env::current_exe()
        .map_err(|error| Fault::lacks(format!("cannot find where this program is: {error}")))?;
    let Some(program) = program.to_str() else {
        let shown = program.display();
        return Err(Fault::lacks(format!(
            "the path of this program is not UTF-8, so no script can call it: install it elsewhere than in {shown}"
        )));
    };
    super::print(&script::of(shell, program));
    Ok(())
}
