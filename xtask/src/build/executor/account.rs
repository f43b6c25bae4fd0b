//! Collects what one buildx call reports: which step failed, at which line and with which exit
//! code. Keeps the output of each running step apart.

use std::collections::HashMap;

use super::log::Log;
use super::rawjson::{ClockSpan, ProgressEvent};
use super::{CallFailure, Progress, StepFailure};
use crate::outside::clock;
use crate::report::event::StepEnd;
use crate::report::excerpt::{Output, StdStream};

/// What buildx says of a builder that is older than named contexts (tried with Docker 20.10.24).
const OLD_BUILDER: &str = "unsupported frontend capability moby.buildkit.frontend.contexts";

/// More characters of a line than any terminal shows.
const WIDEST: usize = 400;

/// A builder's clock that differs by no more than this is the clock of this machine: a message may
/// be this late.
const LATEST_MS: i64 = 1000;

/// The account of one call.
pub(super) struct Account<'a> {
    log: Log<'a>,
    watch: &'a dyn Fn(Progress),
    /// The output of the steps that have not ended yet, and of those that failed.
    outputs: HashMap<usize, Output>,
    failed: Option<Failed>,
    /// buildx's own error.
    error: Option<String>,
    /// buildx's own lines.
    plain: Output,
    /// The line of the Dockerfile in which buildx says the fault is.
    line: Option<u32>,
    last_plain: String,
    /// What steps printed, until it is told.
    untold: Vec<String>,
    /// By how many milliseconds the builder's clock is ahead, once a step has ended.
    ahead_ms: Option<i64>,
}

struct Failed {
    step: usize,
    name: String,
    reason: String,
}

impl<'a> Account<'a> {
    /// An account that writes to a log and tells `watch` of progress.
    pub(super) fn new(log: Log<'a>, watch: &'a dyn Fn(Progress)) -> Self {
        Self {
            log,
            watch,
            outputs: HashMap::new(),
            failed: None,
            error: None,
            plain: Output::default(),
            line: None,
            last_plain: String::new(),
            untold: Vec::new(),
            ahead_ms: None,
        }
    }

    /// Takes events that arrived together, and writes them through to the log's file.
    pub(super) fn take(&mut self, said: Vec<ProgressEvent>) {
        let is_empty = said.is_empty();
        for said in said {
            self.note(said);
        }
        if !is_empty {
            self.log.show();
        }
        // All that came together: a step may print thousands of lines in a moment.
        if !self.untold.is_empty() {
            (self.watch)(Progress::Output(std::mem::take(&mut self.untold)));
        }
    }

    fn note(&mut self, said: ProgressEvent) {
        match said {
            ProgressEvent::Step(name) => {
                self.log.line(format!("=> {name}").as_bytes());
                // BuildKit's internal steps are no news for a person.
                if !name.starts_with("[internal]") {
                    // A name has the values of arguments (ENGINE.md, *What buildx gives*).
                    let name = self.log.redactor().clean_text(&name);
                    (self.watch)(Progress::Step(name));
                }
            }
            ProgressEvent::Done {
                step,
                name,
                cached,
                error: None,
                span,
            } => {
                let end = if cached {
                    StepEnd::Cached
                } else {
                    StepEnd::Ran
                };
                self.tell_done(&name, span, end);
                if cached {
                    self.log.line(format!("=> {name} (cached)").as_bytes());
                }
                self.outputs.remove(&step);
            }
            ProgressEvent::Done {
                step,
                name,
                error: Some(why),
                span,
                ..
            } => {
                self.log.line(format!("=> {name}: {why}").as_bytes());
                // A step is cancelled because another one failed.
                let is_cancelled = why.contains("context canceled");
                let end = if is_cancelled {
                    StepEnd::Cancelled
                } else {
                    StepEnd::Failed
                };
                self.tell_done(&name, span, end);
                if !is_cancelled && self.failed.is_none() {
                    let reason = reason(&why).to_owned();
                    self.failed = Some(Failed { step, name, reason });
                }
            }
            ProgressEvent::Output(line) => {
                let clean = self.log.line(&line.text);
                let text = String::from_utf8_lossy(&clean);
                if !text.trim().is_empty() && !line.is_overwritten {
                    self.untold.push(text.chars().take(WIDEST).collect());
                }
                if !line.is_overwritten {
                    let output = self.outputs.entry(line.step).or_default();
                    output.line(line.stream, &clean);
                }
            }
            ProgressEvent::Plain(line) => self.note_plain(line),
        }
    }

    fn tell_done(&mut self, name: &str, span: Option<ClockSpan>, end: StepEnd) {
        let Some(span) = span else {
            return;
        };
        let ahead = *self.ahead_ms.get_or_insert_with(|| {
            let now = i64::try_from(clock::now().as_millis()).unwrap_or(i64::MAX);
            ahead_ms(span.to_ms, now)
        });
        (self.watch)(Progress::StepDone {
            name: self.log.redactor().clean_text(name),
            span: ClockSpan {
                from_ms: span.from_ms.saturating_sub(ahead),
                to_ms: span.to_ms.saturating_sub(ahead),
            },
            end,
        });
    }

    fn note_plain(&mut self, line: String) {
        let clean = self.log.line(line.as_bytes());
        if let Some(why) = line.strip_prefix("ERROR: ") {
            self.error.get_or_insert_with(|| reason(why).to_owned());
            return;
        }
        self.plain.line(StdStream::Err, &clean);
        // `Dockerfile:12` precedes an excerpt of the Dockerfile between two rules.
        let is_rule = line.len() > 9 && line.bytes().all(|byte| byte == b'-');
        if is_rule && self.line.is_none() {
            let number = self.last_plain.rsplit_once(':');
            self.line = number.and_then(|(_, number)| number.parse().ok());
        }
        self.last_plain = line;
    }

    /// Why the build failed, if buildx said so.
    fn error(&self) -> Option<String> {
        let step = self.failed.as_ref();
        let of_step = step.map(|failed| format!("{}: {}", failed.name, failed.reason));
        of_step.or_else(|| self.error.clone())
    }

    /// Whether buildx said why the build failed.
    pub(super) const fn has_error(&self) -> bool {
        self.failed.is_some() || self.error.is_some()
    }

    /// The failure of a call that ended badly. `otherwise` gives the error if buildx gave no
    /// reason.
    pub(super) fn failure(self, otherwise: impl FnOnce() -> String) -> CallFailure {
        let clean = |text: &str| self.log.redactor().clean_text(text);
        let error = self.error().unwrap_or_else(otherwise);
        // If a step failed, its own output explains the failure; otherwise buildx's lines do.
        let output = match &self.failed {
            Some(failed) => self.outputs.get(&failed.step),
            None => Some(&self.plain),
        };
        let step = self.failed.as_ref().map(|failed| StepFailure {
            name: clean(&failed.name),
            line: self.line,
            exit_code: exit_code(&failed.reason),
        });
        CallFailure::Build {
            error: clean(&error),
            step,
            excerpt: output.map(Output::excerpt).unwrap_or_default(),
        }
    }
}

/// The end of BuildKit's chain of wrapped errors, which is the part that a person needs. The step's
/// name already has the command of a failing RUN.
fn reason(error: &str) -> &str {
    let error = error.strip_prefix("failed to solve: ").unwrap_or(error);
    if error.contains(OLD_BUILDER) {
        return "this engine's builder cannot replace the image of a FROM (named contexts): update Docker Engine to 23.0 or later";
    }
    error
        .find(super::STEP_FAILED)
        .map_or(error, |at| &error[at..])
}

/// By how much a builder's clock is ahead that says now that a step ended at `ended_ms`. A builder on
/// another machine has a clock of its own.
const fn ahead_ms(ended_ms: i64, now_ms: i64) -> i64 {
    let ahead = ended_ms.saturating_sub(now_ms);
    if ahead >= -LATEST_MS && ahead <= LATEST_MS {
        0
    } else {
        ahead
    }
}

/// The exit code of a step's command, if the reason says nothing else.
fn exit_code(reason: &str) -> Option<i32> {
    let code = reason.strip_prefix(super::STEP_FAILED)?;
    code.strip_prefix(": exit code: ")?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::super::log::LogStart;
    use super::super::rawjson::ProgressLine;
    use super::super::redact::Redactor;
    use super::*;

    fn line(step: usize, stream: StdStream, text: &str) -> ProgressEvent {
        ProgressEvent::Output(ProgressLine {
            step,
            stream,
            text: text.into(),
            is_overwritten: false,
        })
    }

    fn overwritten(said: ProgressEvent) -> ProgressEvent {
        match said {
            ProgressEvent::Output(line) => ProgressEvent::Output(ProgressLine {
                is_overwritten: true,
                ..line
            }),
            other => other,
        }
    }

    fn done(step: usize, error: &str) -> ProgressEvent {
        ProgressEvent::Done {
            step,
            name: format!("[1/2] RUN {step}"),
            cached: false,
            error: Some(error.to_owned()).filter(|error| !error.is_empty()),
            span: None,
        }
    }

    fn plain(text: &str) -> ProgressEvent {
        ProgressEvent::Plain(text.to_owned())
    }

    fn failure(
        said: Vec<ProgressEvent>,
    ) -> (String, Option<StepFailure>, crate::report::excerpt::Excerpt) {
        let folder = tempfile::tempdir().unwrap();
        let path = camino::Utf8Path::from_path(folder.path()).unwrap();
        let redactor = Redactor::default();
        let log = Log::open(&path.join("log"), LogStart::Empty, &redactor).unwrap();
        let mut account = Account::new(log, &|_| ());
        account.take(said);
        match account.failure(|| "no reason".to_owned()) {
            CallFailure::Build {
                error,
                step,
                excerpt,
            } => (error, step, excerpt),
            other => panic!("{other:?}"),
        }
    }

    const EXIT: &str = "process \"/bin/sh -c x\" did not complete successfully: exit code: 3";

    #[test]
    fn only_what_the_failing_step_printed_is_shown_whenever_it_arrives() {
        let (error, step, excerpt) = failure(vec![
            line(7, StdStream::Out, "of another step"),
            overwritten(line(1, StdStream::Out, "10%")),
            line(1, StdStream::Out, "one"),
            done(1, EXIT),
            line(1, StdStream::Err, "fatal: late"),
            done(7, "context canceled"),
            plain("a.Dockerfile:12"),
            plain("--------------------"),
            plain("  12 | >>> RUN x"),
            plain("--------------------"),
            plain(&format!("ERROR: failed to solve: {EXIT}")),
        ]);
        assert_eq!(
            error,
            "[1/2] RUN 1: did not complete successfully: exit code: 3"
        );
        let step = step.unwrap();
        assert_eq!((step.line, step.exit_code), (Some(12), Some(3)));
        assert_eq!(excerpt.tail, ["one", "fatal: late"]);
    }

    #[test]
    fn a_build_without_a_failing_step_shows_what_buildx_says() {
        let (error, step, excerpt) = failure(vec![
            plain("Dockerfile:1"),
            plain("--------------------"),
            plain("   1 | >>> FORM x"),
            plain("--------------------"),
            plain("ERROR: failed to solve: unknown instruction: FORM"),
        ]);
        assert_eq!(error, "unknown instruction: FORM");
        assert_eq!(step, None);
        assert_eq!(excerpt.tail[2], "   1 | >>> FORM x");
        assert_eq!(failure(Vec::new()).0, "no reason");
    }

    #[test]
    fn an_exit_code_with_more_to_say_is_left_in_its_sentence() {
        let killed = "did not complete successfully: exit code: 137: cannot allocate memory";
        assert_eq!(exit_code(killed), None);
        assert_eq!(
            exit_code("did not complete successfully: exit code: 2"),
            Some(2)
        );
    }

    #[test]
    fn the_clock_of_another_machine_is_not_believed() {
        assert_eq!(ahead_ms(10_000, 10_300), 0);
        assert_eq!(ahead_ms(10_000, 9_000), 0);
        assert_eq!(ahead_ms(70_000, 10_000), 60_000);
        assert_eq!(ahead_ms(10_000, 70_000), -60_000);
    }

    #[test]
    fn a_finished_step_is_told_without_secrets_with_its_end_and_its_span() {
        let folder = tempfile::tempdir().unwrap();
        let path = camino::Utf8Path::from_path(folder.path()).unwrap();
        let redactor = Redactor::of_values([b"hunter2".to_vec()]);
        let log = Log::open(&path.join("log"), LogStart::Empty, &redactor).unwrap();
        let told = std::cell::RefCell::new(Vec::new());
        let watch = |progress| told.borrow_mut().push(progress);
        let mut account = Account::new(log, &watch);
        let name = "[1/2] RUN curl -u me:hunter2 host".to_owned();
        let ended = |cached, error: Option<&str>, span| ProgressEvent::Done {
            step: 1,
            name: name.clone(),
            cached,
            error: error.map(str::to_owned),
            span,
        };
        // The builder's clock stands in 1970, where its first step ends now.
        let span = Some(ClockSpan {
            from_ms: 1000,
            to_ms: 3500,
        });
        account.take(vec![
            ProgressEvent::Step(name.clone()),
            ended(false, None, span),
            ended(true, None, span),
            ended(false, Some(EXIT), span),
            ended(false, Some("context canceled"), span),
            ended(false, None, None),
        ]);
        drop(account);
        let told = told.into_inner();
        assert!(!format!("{told:?}").contains("hunter2"), "{told:?}");
        let ends = told.iter().filter_map(|it| match it {
            Progress::StepDone { span, end, .. } => Some((span.to_ms - span.from_ms, *end)),
            _ => None,
        });
        let expected = [
            StepEnd::Ran,
            StepEnd::Cached,
            StepEnd::Failed,
            StepEnd::Cancelled,
        ];
        assert_eq!(ends.collect::<Vec<_>>(), expected.map(|end| (2500, end)));
    }

    #[test]
    fn a_builder_that_is_too_old_is_told_with_the_version_that_is_not() {
        let said = format!(
            "failed to solve: rpc error: code = Unknown desc = failed to solve with frontend dockerfile.v0: {OLD_BUILDER}"
        );
        assert!(reason(&said).ends_with("update Docker Engine to 23.0 or later"));
        assert!(!super::super::passing(reason(&said)));
    }
}
