//! Runs a tool's process and returns its output, or why there is none.

use std::io::{Read as _, Seek as _};
use std::process::{Command, Stdio};

use crate::outside::interrupt::Interrupt;

/// The most bytes that are read. Every answer is smaller.
const MOST: u64 = 256 << 20;

/// What a tool prints on stdout. The exit status does not matter, as tools also fail on findings.
pub(super) fn output(command: &mut Command, interrupt: &Interrupt) -> Result<Vec<u8>, String> {
    let failed = |error: std::io::Error| format!("it cannot be run: {error}");
    let mut complaint = tempfile::tempfile().map_err(failed)?;
    let to = complaint.try_clone().map_err(failed)?;
    command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(to);
    let child = interrupt.spawn(command).map_err(failed)?;
    let mut child = child.ok_or("it was interrupted")?;
    let mut said = Vec::new();
    if let Some(stdout) = child.stdout.take() {
        stdout.take(MOST).read_to_end(&mut said).map_err(failed)?;
    }
    let status = interrupt.wait_for(&mut child).map_err(failed)?;
    if interrupt.is_set() {
        return Err("it was interrupted".into());
    }
    if !said.is_empty() || status.success() {
        return Ok(said);
    }
    let mut text = Vec::new();
    complaint.rewind().map_err(failed)?;
    complaint
        .take(64 << 10)
        .read_to_end(&mut text)
        .map_err(failed)?;
    let text = String::from_utf8_lossy(&text);
    let lines = || text.lines().map(str::trim).filter(|line| !line.is_empty());
    // Tools print help for the call after the error itself.
    let wrong =
        lines().find(|line| line.to_lowercase().contains("error") || line.contains("unknown"));
    let told = wrong.or_else(|| lines().next_back());
    Err(told.map_or_else(|| format!("it ended with {status}"), str::to_owned))
}

/// The last word of the first line of `--version`: `Haskell Dockerfile Linter 2.15.1`,
/// `grype 0.104.0`.
pub(super) fn version(program: &str, interrupt: &Interrupt) -> Result<String, String> {
    let said = output(Command::new(program).arg("--version"), interrupt)?;
    let text = String::from_utf8_lossy(&said);
    let first = text.lines().next().unwrap_or_default();
    let last = first.split_whitespace().next_back();
    last.map(str::to_owned).ok_or("it has no version".into())
}
