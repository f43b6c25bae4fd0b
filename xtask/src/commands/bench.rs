//! `cargo xtask bench`: figures of this machine, each beside its goal.
//!
//! A missed goal is not a fault, as figures of a busy machine prove nothing.

use crate::cli;
use crate::fault::{Fault, Result};
use crate::outside::interrupt::Interrupt;
use crate::outside::state;
use crate::workshop::bench::{Bench, Case, bare, recorded, verifying};

/// Measures the named cases. Their files stay in `target/bench` for the next time. With `--record`
/// the READMEs have the figures afterwards.
pub fn run(flags: &cli::BenchArgs) -> Result<()> {
    if let Some(file) = &flags.bare {
        return bare::run(file).map_err(|error| Fault::failed(error.to_string()));
    }
    if let Some(images) = flags.bare_images {
        return verifying::read_barely(images);
    }
    if flags.redraw {
        return recorded::redraw(&state::workspace());
    }
    let all = [
        Case::Noop,
        Case::Change,
        Case::Crowded,
        Case::Cold,
        Case::Build,
        Case::Stages,
        Case::Growth,
        Case::Verify,
        Case::Shipping,
    ];
    let cases = all
        .iter()
        .filter(|case| flags.cases.is_empty() || flags.cases.contains(case));
    let folder = state::workspace().join("target/bench");
    let mut bench = Bench::open(&folder, Interrupt::listen()?, usize::from(flags.runs))?;
    let measured = cases.into_iter().try_for_each(|case| bench.measure(*case));
    let report = bench.report();
    if let Err(fault) = measured {
        // What was measured until then took its time, and is no record.
        crate::tell!("{}", report.text());
        return Err(fault);
    }
    if flags.record {
        recorded::record(&state::workspace(), &report)?;
    }
    if flags.json {
        return super::print_json(&report);
    }
    super::print(&report.text());
    Ok(())
}
