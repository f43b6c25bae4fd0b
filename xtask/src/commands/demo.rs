//! `cargo xtask demo`.

use super::setup::{Consent, Lack};
use crate::cli;
use crate::fault::{Class, Result};
use crate::outside::interrupt::Interrupt;
use crate::outside::state;
use crate::setup::gather;
use crate::setup::needs::Needs;
use crate::workshop::demo::Demo;

/// Shows the program on the bundled sample.
pub fn run(flags: &cli::DemoArgs) -> Result<()> {
    let interrupt = Interrupt::listen()?;
    // A remote engine that does not answer is not replaced by one that stays on this machine.
    // Instead the demo starts an engine that ends with it.
    if !gather::has_essentials(&interrupt)
        && let Some(lack) = Lack::find(&Needs::default(), &interrupt)
    {
        let consent = Consent {
            yes: flags.yes,
            instead: "cargo xtask demo --yes".to_owned(),
            log: state::own_base().join("setup.log"),
        };
        lack.end(&consent, &interrupt)?;
    }
    let folder = state::own_base().join("demo");
    let bases = std::env::var("SAMPLE_CACHE").map(Into::into);
    let bases = bases.unwrap_or_else(|_| state::own_base().join("demo-bases"));
    let demo = Demo::prepare(&folder, &bases, &interrupt)?;
    let result = demo.run();
    if flags.keep {
        crate::tell!("\nKept: run `cargo xtask demo` again to see it fresh, and to remove it.");
        return result;
    }
    // After an interrupt the user needs no logs.
    let has_failed = matches!(&result, Err(fault) if fault.class != Class::Interrupted);
    let cleaned = demo.clean(has_failed);
    let logs = match &cleaned {
        Ok(Some(logs)) => format!(", but for the logs in {logs}"),
        _ => String::new(),
    };
    crate::tell!(
        "\nIts images and files are removed{logs}; `cargo xtask demo --keep` leaves them."
    );
    result.and(cleaned.map(drop))
}
