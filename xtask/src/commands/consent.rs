//! Asks whether something may be done.

use std::io::{BufRead as _, IsTerminal as _};

use crate::fault::{Fault, Result};

/// Asks on a terminal. Without one nobody can agree, so the fault names `instead`.
pub fn agree(question: &str, instead: &str) -> Result<()> {
    let refused = || {
        Fault::lacks(format!(
            "nothing was changed on this machine: to go ahead, run `{instead}`"
        ))
    };
    let input = std::io::stdin();
    if !input.is_terminal() {
        return Err(refused());
    }
    crate::tell!("{question} [y/N]");
    let mut answer = String::new();
    let read = input.lock().read_line(&mut answer);
    if read.is_ok() && matches!(answer.trim(), "y" | "Y" | "yes") {
        Ok(())
    } else {
        Err(refused())
    }
}
