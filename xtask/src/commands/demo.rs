//! `cargo xtask demo`.

use std::io::{BufRead as _, IsTerminal as _};

use crate::cli;
use crate::demo::{self, Demo};
use crate::fault::{Fault, Result};
use crate::interrupt::Interrupt;
use crate::state;
use crate::testbed;

/// Shows the program on the bundled sample.
pub fn run(flags: &cli::Demo) -> Result<()> {
    if !demo::has_engine() && !testbed::is_installed() && !flags.yes {
        agree()?;
    }
    let interrupt = Interrupt::listen()?;
    let folder = state::base().join("demo");
    let demo = Demo::prepare(&folder, &interrupt)?;
    let result = demo.run();
    if flags.keep {
        crate::tell!("\nKept: run `cargo xtask demo` again to see it fresh, and to remove it.");
        return result;
    }
    let cleaned = demo.clean();
    crate::tell!("\nIts images and files are removed; `cargo xtask demo --keep` leaves them.");
    result.and(cleaned)
}

/// Asks before anything is installed.
fn agree() -> Result<()> {
    let refused = Fault::lacks(
        "no Docker engine answers here, and the demo was not allowed to install one: run `cargo xtask demo --yes`, or start one",
    );
    let input = std::io::stdin();
    if !input.is_terminal() {
        return Err(refused);
    }
    crate::tell!(
        "No Docker engine answers here. The demo can install Debian's packages and start one of its own, which ends with it. Do that? [y/N]"
    );
    let mut answer = String::new();
    let read = input.lock().read_line(&mut answer);
    if read.is_ok() && matches!(answer.trim(), "y" | "Y" | "yes") {
        Ok(())
    } else {
        Err(refused)
    }
}
