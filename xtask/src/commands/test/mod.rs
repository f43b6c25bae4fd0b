//! `cargo xtask test`: every check and test of this project, on real engines.
//!
//! First it installs what the tests need. Then come formatting, lints and licences; then unit and
//! documentation tests, which need no engine; then the end-to-end tests, on engines and a registry
//! that are started for them. With `XTASK_TEST_ENGINE=unix:///…` the end-to-end tests use that
//! running engine instead, and nothing is installed or started.

mod limit;

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::cli::TestArgs;
use crate::fault::{Class, Fault, Result};
use crate::outside::interrupt::Interrupt;
use crate::outside::state;
use crate::report::words;
use crate::setup::tools;
use crate::workshop::testbed::{self, Purpose, Testbed};
use limit::Limit;

/// How long one step may take, compilation included: many times what any step takes on a slow
/// machine.
const LIMIT: Duration = Duration::from_secs(45 * 60);

impl TestArgs {
    /// What will be done, in one line.
    fn plan(&self, has_engine: bool) -> String {
        let mut parts = Vec::new();
        if self.filter.is_none() {
            parts.push("formatting, lints, licences");
        }
        parts.push("unit and documentation tests");
        match (self.fast, has_engine) {
            (true, _) => {}
            (false, true) => parts.push("end-to-end tests on the engine of XTASK_TEST_ENGINE"),
            (false, false) => {
                parts.push("end-to-end tests on two engines and a registry of their own");
            }
        }
        format!("to do: {}", parts.join("; "))
    }

    /// The variables that give the random tests their numbers.
    fn variables(&self) -> Vec<(&'static str, String)> {
        let numbers = [
            ("XTASK_TEST_KILLS", self.kills),
            ("XTASK_TEST_ORACLE", self.oracle),
            ("XTASK_TEST_SEED", self.seed),
            ("XTASK_TEST_ORACLE_SEED", self.seed),
        ];
        let asked = numbers.into_iter();
        asked
            .filter_map(|(name, number)| Some((name, number?.to_string())))
            .collect()
    }
}

/// How many tests passed and failed.
#[derive(Debug, Default, Clone, Copy)]
struct Totals {
    passed: usize,
    failed: usize,
}

/// Runs everything; the last line on stdout is the totals.
pub fn run(args: &TestArgs) -> Result<()> {
    let interrupt = Interrupt::listen()?;
    let mut suite = Suite {
        interrupt: &interrupt,
        scratch: scratch()?,
        totals: Totals::default(),
        limit: (args.kills.is_none() && args.oracle.is_none()).then_some(LIMIT),
    };
    let result = suite.everything(args);
    let totals = suite.totals;
    if let Err(fault) = &result
        && let Some(told) = fault.lines()
    {
        crate::tell!("{told}");
    }
    let failed = totals.failed + usize::from(result.is_err() && totals.failed == 0);
    super::print(&format!("{} passed, {failed} failed\n", totals.passed));
    result.map_err(|fault| Fault::told(fault.class))?;
    if failed > 0 {
        Err(Fault::told(Class::Failed))
    } else {
        Ok(())
    }
}

struct Suite<'a> {
    interrupt: &'a Interrupt,
    /// Where tests make their folders. It is removed at the end, with what interrupted tests leave.
    scratch: TempDir,
    totals: Totals,
    /// How long one step may take; `None` with `--kills` or `--oracle`, which may ask for more runs
    /// than the suite's own.
    limit: Option<Duration>,
}

impl Suite<'_> {
    fn everything(&mut self, args: &TestArgs) -> Result<()> {
        let engine = std::env::var("XTASK_TEST_ENGINE").ok();
        let folder = state::workspace().join("target/testbed");
        crate::tell!("{}", args.plan(engine.is_some()));
        if args.fast || engine.is_some() {
            has_git()?;
        } else {
            let log = folder.join("install.log");
            testbed::install(Purpose::Tests, &log, self.interrupt)?;
        }
        if args.filter.is_none() {
            self.check("formatting", &["fmt", "--all", "--check"])?;
            // All targets are those that run without being named.
            for (name, targets) in [
                ("lints", &["--all-targets"][..]),
                ("lints of the end-to-end tests", &["--test", "e2e"]),
            ] {
                let lints = ["clippy", "--workspace"].iter().chain(targets);
                let lints = lints.chain(&["--", "-D", "warnings"]).copied();
                self.check(name, &lints.collect::<Vec<_>>())?;
            }
            self.licences()?;
        }
        let filter: Vec<&str> = args.filter.as_deref().into_iter().collect();
        self.tests(
            "unit and documentation tests",
            &["--workspace", "--", "--quiet"],
            &filter,
            &[],
        )?;
        if args.fast {
            return Ok(());
        }
        let asked = args.variables();
        if let Some(host) = engine {
            let engine = ("XTASK_TEST_CONTAINERD", host);
            return self.end_to_end(&filter, &[&asked[..], &[engine]].concat());
        }
        crate::tell!("engines and registry: starting");
        let start = Instant::now();
        let testbed = Testbed::start(&folder, self.interrupt)?;
        crate::tell!(
            "engines and registry: started in {}",
            words::time(elapsed(start))
        );
        self.end_to_end(&filter, &[asked, testbed.variables()].concat())
    }

    fn end_to_end(&mut self, filter: &[&str], variables: &[(&str, String)]) -> Result<()> {
        // Cargo chooses features for all packages that it is given. So these are the packages of
        // the step before, and nothing is compiled again.
        let cargo = ["--workspace", "--test", "e2e", "--", "--test-threads=2"];
        self.tests("end-to-end tests", &cargo, filter, variables)
    }

    /// One check, which counts as one test.
    fn check(&mut self, name: &str, arguments: &[&str]) -> Result<()> {
        crate::tell!("{name}: running");
        let start = Instant::now();
        let (good, _) = self.cargo(arguments, &[], false)?;
        self.count(name, good, start);
        Ok(())
    }

    fn licences(&mut self) -> Result<()> {
        let start = Instant::now();
        let has_deny = Command::new("cargo")
            .args(["deny", "--version"])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status();
        if has_deny.is_ok_and(|status| status.success()) {
            return self.check(
                "licences and sources, by cargo-deny",
                &[
                    "deny",
                    "--log-level",
                    "error",
                    "check",
                    "licenses",
                    "sources",
                    "bans",
                ],
            );
        }
        let checked = testbed::check_licences(&state::workspace());
        if let Err(fault) = &checked {
            crate::tell!("{fault}");
        }
        self.count(
            "licences and sources, by the tool itself (no cargo-deny here)",
            checked.is_ok(),
            start,
        );
        Ok(())
    }

    fn count(&mut self, name: &str, good: bool, start: Instant) {
        if good {
            self.totals.passed += 1;
        } else {
            self.totals.failed += 1;
        }
        crate::tell!(
            "{name}: {} in {}",
            if good { "good" } else { "BAD" },
            words::time(elapsed(start))
        );
    }

    fn tests(
        &mut self,
        name: &str,
        cargo: &[&str],
        filter: &[&str],
        variables: &[(&str, String)],
    ) -> Result<()> {
        crate::tell!("{name}: running");
        let start = Instant::now();
        let arguments: Vec<&str> = ["test"]
            .iter()
            .chain(cargo)
            .chain(filter)
            .copied()
            .collect();
        let (good, output) = self.cargo(&arguments, variables, true)?;
        let mut totals = Totals::default();
        for line in output.lines() {
            if let Some((passed, failed)) = result_line(line) {
                totals.passed += passed;
                totals.failed += failed;
            }
        }
        // If the tests did not compile, there is no result line.
        if !good && totals.failed == 0 {
            totals.failed = 1;
        }
        self.totals.passed += totals.passed;
        self.totals.failed += totals.failed;
        crate::tell!(
            "{name}: {} passed, {} failed in {}",
            totals.passed,
            totals.failed,
            words::time(elapsed(start))
        );
        Ok(())
    }

    /// Runs cargo; with `listen`, gives what it printed on stdout too.
    fn cargo(
        &self,
        arguments: &[&str],
        variables: &[(&str, String)],
        listen: bool,
    ) -> Result<(bool, String)> {
        use std::io::{BufRead as _, BufReader};
        let fault = |error: std::io::Error| Fault::lacks(format!("cannot run cargo: {error}"));
        let mut command = Command::new(std::env::var("CARGO").unwrap_or_else(|_| "cargo".into()));
        command
            .args(arguments)
            .current_dir(state::workspace())
            .env("TMPDIR", self.scratch.path())
            .stdin(Stdio::null());
        // `cargo run` gives these to what it runs. ring's build script asks for them, so for a
        // cargo that inherits them ring is out of date, and with it the program.
        for (name, _) in std::env::vars_os() {
            let begins = |with: &str| name.as_encoded_bytes().starts_with(with.as_bytes());
            if begins("CARGO_MANIFEST_") || begins("CARGO_PKG_") {
                command.env_remove(&name);
            }
        }
        command.envs(variables.iter().map(|(name, value)| (name, value)));
        command.stdout(if listen {
            Stdio::piped()
        } else {
            Stdio::inherit()
        });
        let Some(mut child) = self.interrupt.spawn(&mut command).map_err(fault)? else {
            return Err(Fault::interrupted());
        };
        let limit = self.limit.map(|limit| Limit::of(&child, limit));
        let mut output = String::new();
        if let Some(stdout) = child.stdout.take() {
            for line in BufReader::new(stdout).lines() {
                let line = line.map_err(fault)?;
                crate::tell!("{line}");
                output.push_str(&line);
                output.push('\n');
            }
        }
        drop(limit);
        let status = self.interrupt.wait_for(&mut child).map_err(fault)?;
        if self.interrupt.is_set() {
            return Err(Fault::interrupted());
        }
        Ok((status.success(), output))
    }
}

/// A folder that is removed with its value, unless the folders of failing tests are to be kept.
fn scratch() -> Result<TempDir> {
    let mut builder = tempfile::Builder::new();
    builder.prefix("xtask-test-");
    builder.disable_cleanup(std::env::var_os("XTASK_TEST_KEEP").is_some());
    let made = builder.tempdir();
    made.map_err(|error| Fault::lacks(format!("cannot make a folder for the tests: {error}")))
}

/// Checks for git, which the tests need even if nothing may be installed.
fn has_git() -> Result<()> {
    match tools::on_path("git") {
        Some(_) => Ok(()),
        None => Err(Fault::lacks(
            "the tests need git: `cargo xtask setup` installs it",
        )),
    }
}

fn elapsed(start: Instant) -> u64 {
    u64::try_from(start.elapsed().as_millis()).unwrap_or(u64::MAX)
}

/// The counts in libtest's `test result: ok. 3 passed; 0 failed; …`.
fn result_line(line: &str) -> Option<(usize, usize)> {
    let rest = line.strip_prefix("test result: ")?;
    let number = |word: &str| {
        rest.split([';', '.'])
            .find_map(|part| part.trim().strip_suffix(word)?.trim().parse().ok())
    };
    Some((number("passed")?, number("failed")?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_counts_of_a_runner_are_read_from_its_last_line() {
        let line = "test result: FAILED. 12 passed; 3 failed; 0 ignored; 0 measured; 1 filtered out; finished in 0.1s";
        assert_eq!(result_line(line), Some((12, 3)));
        assert_eq!(result_line("test spec::names ... ok"), None);
    }
}
