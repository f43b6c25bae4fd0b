//! `cargo xtask build`.

use crate::build::{self, Force, Wishes};
use crate::cli::Build;
use crate::fault::Result;
use crate::interrupt::Interrupt;
use crate::report::Reporting;

/// Brings stages up to date.
pub fn run(flags: &Build) -> Result<()> {
    let work = super::open(&flags.at, &flags.platform)?;
    let force = match &flags.force {
        None => Force::Nothing,
        Some(None) => Force::All,
        Some(Some(stage)) => Force::Stages(vec![work.spec.find(stage)?]),
    };
    let wishes = Wishes {
        stages: flags.stages.clone(),
        jobs: flags.jobs.map(usize::from),
        keep_going: flags.keep_going,
        force,
        locked: flags.locked,
        offline: flags.offline,
    };
    let interrupt = Interrupt::listen()?;
    let reporting = Reporting::start(flags.json);
    let result = build::build(&work, &wishes, &interrupt, &reporting.sender());
    reporting.finish();
    result
}
