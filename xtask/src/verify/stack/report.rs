//! The report on a stack for people, with the first cause on the first screen.
//!
//! The service that others need comes first, with its state and the end of its log, then the rest.
//! States and logs are read before everything is taken down.

use std::collections::BTreeMap;

use super::config::{StartOrder, needs_of};
use super::judge::{self, ServiceState};
use super::member::Member;
use super::watch::{Course, ServiceFailure, root};
use super::{ProbeResult, StackOutcome};
use crate::build::executor::redact::Redactor;
use crate::outside::engine::{Container, Engine};

/// Lines of the log of the service that is the cause. With all around them they fit on a screen.
const LINES: usize = 10;
/// Lines of the log of any other service that failed.
const LINES_OF_OTHERS: usize = 5;
/// The most characters of a log line that are shown.
const LONGEST: usize = 200;

/// What a report needs.
pub(super) struct Telling<'t> {
    pub engine: &'t Engine,
    pub members: &'t [Member],
    pub needs: &'t StartOrder,
    pub redactor: &'t Redactor,
}

impl Telling<'_> {
    /// The cause in one sentence, and the whole text. `None` if nothing failed.
    pub fn failure(&self, course: &Course) -> Option<(String, String)> {
        let of_probes = self.of_probes(&course.probes);
        let failures = if course.failures.is_empty() {
            &of_probes
        } else {
            &course.failures
        };
        let cause = root(failures, self.needs)?;
        let sentence = self.clean(&cause.why);
        let mut text = format!("the stack failed: {sentence}\n");
        self.details(&mut text, cause, LINES);
        let others = failures.iter().filter(|failure| *failure != cause);
        let others: Vec<&ServiceFailure> = others.collect();
        if !others.is_empty() {
            text.push_str("also failed:\n");
        }
        for other in &others {
            text.push_str(&format!("  {}\n", self.clean(&other.why)));
        }
        self.probes(&mut text, course, cause);
        self.rest(&mut text, course, failures);
        let mut detailed = vec![cause.id.as_str()];
        for other in others {
            if detailed.contains(&other.id.as_str()) {
                continue;
            }
            detailed.push(&other.id);
            text.push_str(&format!("{}:\n", other.service));
            self.details(&mut text, other, LINES_OF_OTHERS);
        }
        Some((sentence, text))
    }

    /// The probes that failed, as failures of their services.
    fn of_probes(&self, probes: &[ProbeResult]) -> Vec<ServiceFailure> {
        let failed = probes
            .iter()
            .filter(|probe| probe.outcome == StackOutcome::Failed);
        let failed = failed.filter_map(|probe| {
            let mut members = self.members.iter();
            let member = members.find(|member| member.service == probe.service)?;
            Some(ServiceFailure {
                service: probe.service.clone(),
                id: member.id.clone(),
                why: format!(
                    "`{}` fails its {} probe: {}",
                    probe.service, probe.kind, probe.message
                ),
            })
        });
        failed.collect()
    }

    fn details(&self, text: &mut String, failure: &ServiceFailure, lines: usize) {
        let Ok(Some(container)) = self.engine.container(&failure.id) else {
            return;
        };
        text.push_str(&format!("  state: {}\n", state(&container)));
        if let Some(health) = judge::health(&container) {
            let check = self.clean(&judge::last_check(health));
            text.push_str(&format!("  health: {}; {check}\n", health.status));
        }
        let above = self
            .needs
            .keys()
            .filter(|other| needs_of(self.needs, other).contains(failure.service.as_str()));
        let above: Vec<&str> = above.map(String::as_str).collect();
        if !above.is_empty() {
            text.push_str(&format!("  needed by: {}\n", above.join(", ")));
        }
        let log = self.engine.log(&container, Some(lines)).unwrap_or_default();
        let log = self.clean(&log);
        let log: Vec<&str> = log.lines().filter(|line| !line.trim().is_empty()).collect();
        if log.is_empty() {
            text.push_str("  its log is empty\n");
            return;
        }
        text.push_str("  the end of its log:\n");
        for line in &log[log.len().saturating_sub(lines)..] {
            text.push_str(&format!("    | {}\n", shown(line)));
        }
    }

    fn probes(&self, text: &mut String, course: &Course, cause: &ServiceFailure) {
        let told = |probe: &&ProbeResult| {
            probe.outcome == StackOutcome::Failed && !cause.why.ends_with(&probe.message)
        };
        let failed: Vec<&ProbeResult> = course.probes.iter().filter(told).collect();
        if !failed.is_empty() && !course.failures.is_empty() {
            text.push_str("probes that failed:\n");
            for probe in failed {
                let message = self.clean(&probe.message);
                text.push_str(&format!("  {} {}: {message}\n", probe.service, probe.kind));
            }
        }
    }

    fn rest(&self, text: &mut String, course: &Course, failures: &[ServiceFailure]) {
        let has_failed = |service: &str| failures.iter().any(|failure| failure.service == service);
        let rest: BTreeMap<&String, &ServiceState> = course
            .standings
            .iter()
            .filter(|(service, _)| !has_failed(service))
            .collect();
        if rest.is_empty() {
            return;
        }
        text.push_str("other services:\n");
        for (service, standing) in rest {
            text.push_str(&format!(
                "  {service}: {}\n",
                self.words(service, standing, course)
            ));
        }
    }

    fn words(&self, service: &str, standing: &ServiceState, course: &Course) -> String {
        match standing {
            ServiceState::Waiting => {
                let needs = self.needs.get(service).into_iter().flatten();
                let is_open = |other: &&String| {
                    let standing = course.standings.get(*other);
                    !matches!(standing, Some(ServiceState::Ready | ServiceState::Done))
                };
                let open: Vec<&str> = needs
                    .map(|(other, _)| other)
                    .filter(is_open)
                    .map(String::as_str)
                    .collect();
                if open.is_empty() {
                    "not started".to_owned()
                } else {
                    format!("not started, as it waits for {}", open.join(", "))
                }
            }
            ServiceState::Starting { .. } => "started, not ready yet".to_owned(),
            ServiceState::Ready => "ready".to_owned(),
            ServiceState::Done => "done (exit code 0)".to_owned(),
            ServiceState::Failed(why) => self.clean(why),
        }
    }

    fn clean(&self, text: &str) -> String {
        self.redactor.clean_text(text)
    }
}

/// The state of a container in words.
fn state(container: &Container) -> String {
    let state = &container.state;
    let mut words = vec![state.status.clone()];
    if matches!(state.status.as_str(), "exited" | "dead" | "restarting") {
        words.push(judge::exit(container));
        if !state.oom_killed {
            words.push("not out of memory".to_owned());
        }
    }
    if container.restart_count > 0 {
        words.push(format!("started again {} times", container.restart_count));
    }
    words.join(", ")
}

/// A line of a log, made safe for a terminal.
fn shown(line: &str) -> String {
    let plain = without_colours(line);
    let mut short: String = plain.chars().take(LONGEST).collect();
    if short.len() < plain.len() {
        short.push('…');
    }
    short
}

/// The line without control characters and escape sequences.
fn without_colours(line: &str) -> String {
    let mut plain = String::with_capacity(line.len());
    let mut rest = line.chars().peekable();
    while let Some(c) = rest.next() {
        if c == '\u{1b}' && rest.next_if_eq(&'[').is_some() {
            // A sequence ends with its first byte from `@` to `~` (ECMA-48, 5.4).
            for end in rest.by_ref() {
                if ('@'..='~').contains(&end) {
                    break;
                }
            }
        } else if c == '\t' {
            plain.push(' ');
        } else if !c.is_control() {
            plain.push(c);
        }
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_of_a_log_cannot_act_on_the_terminal() {
        assert_eq!(shown("\u{1b}[31mred\u{1b}[0m\ta\u{7}"), "red a");
        assert_eq!(shown(&"x".repeat(300)).chars().count(), LONGEST + 1);
    }
}
