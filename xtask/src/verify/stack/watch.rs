//! Starts the containers in order and watches them until the last probe has its answer.
//!
//! Compose could do both, but it does not say why something failed, fails for services that are
//! meant to end, and waits for ever for a service that crashes again and again. Here each container
//! is checked several times a second and started when what it needs is ready. A failure ends
//! everything at once.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use super::config::{Condition, StartOrder, needs_of};
use super::judge::{self, Role, Seen, ServiceState};
use super::member::Member;
use super::probes::{Ground, ProbeVerdict};
use super::{ProbeResult, StackEvent, StackOutcome};
use crate::fault::{Fault, Result};
use crate::graphfile::spec::stack::{Ask, Probe};
use crate::outside::engine::{Container, Engine};

/// The pause between two looks at all containers.
const PAUSE: Duration = Duration::from_millis(100);
/// How many probes run at once.
const AT_ONCE: usize = 6;
/// How long a failure waits for the failure of a service that it needs, which would be its cause.
const GRACE: Duration = Duration::from_secs(3);
/// How long the other probes may take after one has failed. The answer is known by then, but
/// another probe may show the cause.
const AFTER_A_FAILED_PROBE: Duration = Duration::from_secs(10);
/// How long the run is silent before it says what it waits for. The time doubles after each such
/// message, so that the cause of a failure is not far above the end.
const SILENCE: Duration = Duration::from_secs(5);
/// The longest silence.
const LONG_SILENCE: Duration = Duration::from_secs(40);

/// The course of a stack.
#[derive(Debug)]
pub(super) struct Course {
    /// The failures, in the order in which they were found.
    pub failures: Vec<ServiceFailure>,
    /// The probes, in the order of the graph file.
    pub probes: Vec<ProbeResult>,
    /// The last state of each service.
    pub standings: BTreeMap<String, ServiceState>,
}

/// A service that failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ServiceFailure {
    pub service: String,
    pub id: String,
    pub why: String,
}

/// What is watched, and by which rules.
pub(super) struct Watch<'w> {
    pub engine: &'w Engine,
    pub members: &'w [Member],
    pub needs: &'w StartOrder,
    pub roles: &'w BTreeMap<String, Role>,
    pub probes: &'w [Probe],
    pub ground: &'w Ground<'w>,
    pub timeout: Duration,
    pub watch: Duration,
    pub tell: &'w dyn Fn(StackEvent<'_>),
}

/// What is known of one container.
#[derive(Debug, Default)]
struct Known {
    is_started: bool,
    seen: Seen,
    standing: Option<ServiceState>,
    last: Option<Container>,
}

impl Watch<'_> {
    /// Starts and watches everything.
    pub fn run(&self) -> Result<Course> {
        std::thread::scope(|scope| {
            let (answer, answers) = mpsc::channel();
            let mut state = Watched {
                watch: self,
                known: self.members.iter().map(|_| Known::default()).collect(),
                results: self.probes.iter().map(|_| None).collect(),
                waiting: (0..self.probes.len()).collect(),
                asking: 0,
                told: BTreeSet::new(),
                last_word: Instant::now(),
                silence: SILENCE,
            };
            let (ground, probes) = (self.ground, self.probes);
            let ask = |at: usize| {
                let answer = answer.clone();
                scope.spawn(move || {
                    let verdict = ground.ask(at, &probes[at]);
                    let _ = answer.send((at, verdict));
                });
            };
            let course = state.run(&ask, &answers);
            // Probes that still run must not delay the end.
            self.ground.live.halt();
            course
        })
    }
}

struct Watched<'w> {
    watch: &'w Watch<'w>,
    known: Vec<Known>,
    results: Vec<Option<ProbeVerdict>>,
    waiting: VecDeque<usize>,
    asking: usize,
    /// Services that were reported as ready.
    told: BTreeSet<String>,
    last_word: Instant,
    silence: Duration,
}

impl Watched<'_> {
    fn run(
        &mut self,
        ask: &dyn Fn(usize),
        answers: &mpsc::Receiver<(usize, ProbeVerdict)>,
    ) -> Result<Course> {
        let start = Instant::now();
        let mut ready_at = None;
        let mut failed_at = None;
        let mut probe_failed_at = None;
        loop {
            if self.watch.ground.interrupt.is_set() {
                return Err(Fault::interrupted());
            }
            while let Ok((at, verdict)) = answers.try_recv() {
                self.asking -= 1;
                self.tell_probe(at, &verdict);
                self.results[at] = Some(verdict);
            }
            self.look()?;
            self.start_what_can()?;
            let failures = self.failures();
            let now = Instant::now();
            if !failures.is_empty() {
                let first = *failed_at.get_or_insert(now);
                if now.duration_since(first) >= GRACE || !self.may_have_a_deeper_cause(&failures) {
                    return Ok(self.course(failures));
                }
            } else if self.is_ready() {
                ready_at.get_or_insert(now);
            } else if now.duration_since(start) >= self.watch.timeout {
                let failures = self.late();
                return Ok(self.course(failures));
            }
            if failed_at.is_none() {
                self.launch(ready_at.is_some(), ask);
            }
            let is_answered = self.asking == 0 && self.results.iter().all(Option::is_some);
            if let Some(ready_at) = ready_at
                && is_answered
                && failed_at.is_none()
                && now.duration_since(ready_at) >= self.watch.watch
            {
                return Ok(self.course(Vec::new()));
            }
            if ready_at.is_some() && failed_at.is_none() && self.has_failed_probe() {
                let first = *probe_failed_at.get_or_insert(now);
                if now.duration_since(first) >= AFTER_A_FAILED_PROBE {
                    return Ok(self.course(Vec::new()));
                }
            }
            self.break_silence(start);
            self.watch.ground.interrupt.wait(PAUSE);
        }
    }

    /// Checks every container that was started.
    fn look(&mut self) -> Result<()> {
        for (member, known) in self.watch.members.iter().zip(&mut self.known) {
            if !known.is_started || matches!(known.standing, Some(ServiceState::Failed(_))) {
                continue;
            }
            let service = &member.service;
            let role = self.watch.roles.get(service).copied().unwrap_or_default();
            let standing = match self.watch.engine.container(&member.id)? {
                Some(container) => {
                    let seen = &mut known.seen;
                    let standing = judge::judge(service, &container, role, seen, Instant::now());
                    known.last = Some(container);
                    standing
                }
                None => ServiceState::Failed(format!("`{service}` was removed by another program")),
            };
            let news = match &standing {
                ServiceState::Ready => Some(StackEvent::Ready(service)),
                ServiceState::Done => Some(StackEvent::Done(service)),
                _ => None,
            };
            if let Some(event) = news.filter(|_| self.told.insert(service.clone())) {
                (self.watch.tell)(event);
                self.last_word = Instant::now();
            }
            known.standing = Some(standing);
        }
        Ok(())
    }

    fn start_what_can(&mut self) -> Result<()> {
        for at in 0..self.known.len() {
            let member = &self.watch.members[at];
            if self.known[at].is_started || !self.has_what_it_needs(&member.service) {
                continue;
            }
            self.known[at].is_started = true;
            let started = self.watch.engine.start_container(&member.id)?;
            self.known[at].standing = Some(match started {
                Ok(()) => ServiceState::Starting { answers: false },
                Err(why) => ServiceState::Failed(format!(
                    "`{}` cannot be started: {}",
                    member.service,
                    judge::innermost(&why)
                )),
            });
        }
        Ok(())
    }

    fn has_what_it_needs(&self, service: &str) -> bool {
        let needs = self.watch.needs.get(service).into_iter().flatten();
        needs.into_iter().all(|(other, condition)| {
            self.standings(other).all(|standing| match condition {
                Condition::Started => !matches!(
                    standing,
                    None | Some(ServiceState::Waiting | ServiceState::Failed(_))
                ),
                Condition::Healthy => matches!(standing, Some(ServiceState::Ready)),
                Condition::Completed => matches!(standing, Some(ServiceState::Done)),
            })
        })
    }

    fn standings(&self, service: &str) -> impl Iterator<Item = Option<&ServiceState>> {
        let all = self.watch.members.iter().zip(&self.known);
        let own = all.filter(move |(member, _)| member.service == service);
        own.map(|(_, known)| known.standing.as_ref())
    }

    fn failures(&self) -> Vec<ServiceFailure> {
        let all = self.watch.members.iter().zip(&self.known);
        let failed = all.filter_map(|(member, known)| match &known.standing {
            Some(ServiceState::Failed(why)) => Some(ServiceFailure {
                service: member.service.clone(),
                id: member.id.clone(),
                why: why.clone(),
            }),
            _ => None,
        });
        failed.collect()
    }

    /// Whether a service that a failed one needs has not settled yet. Its failure would be the
    /// cause.
    fn may_have_a_deeper_cause(&self, failures: &[ServiceFailure]) -> bool {
        let is_open = |service: &str| {
            self.standings(service).any(|standing| {
                matches!(
                    standing,
                    None | Some(ServiceState::Waiting | ServiceState::Starting { .. })
                )
            })
        };
        failures.iter().any(|failure| {
            let needs = needs_of(self.watch.needs, &failure.service);
            let has_failed = |other: &&str| failures.iter().any(|failed| failed.service == **other);
            !needs.iter().any(has_failed) && needs.iter().any(|other| is_open(other))
        })
    }

    fn has_failed_probe(&self) -> bool {
        let is_failed = |verdict: &ProbeVerdict| verdict.outcome == StackOutcome::Failed;
        self.results.iter().flatten().any(is_failed)
    }

    fn is_ready(&self) -> bool {
        let good = |known: &Known| {
            matches!(
                known.standing,
                Some(ServiceState::Ready | ServiceState::Done)
            )
        };
        self.known.iter().all(good)
    }

    /// Services that are not ready when the time is over. Services that only wait for them are left
    /// out.
    fn late(&self) -> Vec<ServiceFailure> {
        let seconds = self.watch.timeout.as_secs();
        let all = self.watch.members.iter().zip(&self.known);
        let late = all.filter_map(|(member, known)| {
            let service = &member.service;
            let why = match &known.standing {
                Some(ServiceState::Starting { .. }) => {
                    let role = self.watch.roles.get(service).copied().unwrap_or_default();
                    let check = known.last.as_ref().and_then(judge::health);
                    match check {
                        Some(health) => {
                            format!(
                                "is not healthy after {seconds} s: {}",
                                judge::last_check(health)
                            )
                        }
                        None if role.completes => {
                            format!("has not ended after {seconds} s, and others wait for its end")
                        }
                        None => format!("does not run after {seconds} s"),
                    }
                }
                _ => return None,
            };
            Some(ServiceFailure {
                service: service.clone(),
                id: member.id.clone(),
                why: format!("`{service}` {why}"),
            })
        });
        late.collect()
    }

    /// Starts the probes that can be answered now.
    fn launch(&mut self, all_ready: bool, ask: &dyn Fn(usize)) {
        let mut later = VecDeque::new();
        while let Some(at) = self.waiting.pop_front() {
            let probe = &self.watch.probes[at];
            let may_ask = match &probe.ask {
                // Whether a text is absent from the log is known only at the end.
                Ask::Log { never: Some(_), .. } => {
                    all_ready
                        && self.waiting.iter().chain(&later).all(|&other| {
                            matches!(
                                self.watch.probes[other].ask,
                                Ask::Log { never: Some(_), .. }
                            )
                        })
                        && self.is_quiet_but_for_logs()
                }
                Ask::Log { .. } => self.has_begun(&probe.service),
                Ask::Http(_) | Ask::Tcp { .. } | Ask::Exec { .. } => self.answers(&probe.service),
                // Second containers must not disturb the first ones while those start.
                Ask::Refused(_) | Ask::File { .. } | Ask::Uid { .. } => all_ready,
            };
            if may_ask && self.asking < AT_ONCE {
                self.asking += 1;
                ask(at);
            } else {
                later.push_back(at);
            }
        }
        self.waiting = later;
    }

    /// Whether every probe but those of logs has its answer.
    fn is_quiet_but_for_logs(&self) -> bool {
        let probes = self.watch.probes.iter().zip(&self.results);
        let mut open = probes.filter(|(_, result)| result.is_none());
        open.all(|(probe, _)| matches!(probe.ask, Ask::Log { never: Some(_), .. }))
    }

    fn has_begun(&self, service: &str) -> bool {
        let mut all = self.standings(service);
        all.all(|standing| !matches!(standing, None | Some(ServiceState::Waiting)))
    }

    fn answers(&self, service: &str) -> bool {
        let mut all = self.standings(service);
        all.all(|standing| {
            matches!(
                standing,
                Some(
                    ServiceState::Ready
                        | ServiceState::Done
                        | ServiceState::Starting { answers: true }
                )
            )
        })
    }

    fn tell_probe(&mut self, at: usize, verdict: &ProbeVerdict) {
        let result = result(&self.watch.probes[at], verdict);
        (self.watch.tell)(StackEvent::Probe(&result));
        self.last_word = Instant::now();
    }

    /// Reports what the run waits for, if it has said nothing for a while.
    fn break_silence(&mut self, start: Instant) {
        if self.last_word.elapsed() < self.silence {
            return;
        }
        self.last_word = Instant::now();
        self.silence = (self.silence * 2).min(LONG_SILENCE);
        let all = self.watch.members.iter().zip(&self.known);
        let open = all.filter(|(_, known)| {
            !matches!(
                known.standing,
                Some(ServiceState::Ready | ServiceState::Done)
            )
        });
        let services: BTreeSet<&str> = open.map(|(member, _)| member.service.as_str()).collect();
        let probes = self
            .results
            .iter()
            .filter(|result| result.is_none())
            .count();
        (self.watch.tell)(StackEvent::Waiting {
            services: services.into_iter().collect(),
            probes,
            since: start.elapsed(),
        });
    }

    fn course(&mut self, failures: Vec<ServiceFailure>) -> Course {
        let probes = self.watch.probes.iter().zip(&mut self.results);
        let probes = probes.map(|(probe, verdict)| {
            let verdict = verdict.take().unwrap_or_else(|| ProbeVerdict {
                outcome: StackOutcome::NotChecked,
                message: "the stack failed before this was answered".to_owned(),
            });
            result(probe, &verdict)
        });
        let probes = probes.collect();
        let all = self.watch.members.iter().zip(&self.known);
        let standings = all.map(|(member, known)| {
            let standing = known.standing.clone().unwrap_or(ServiceState::Waiting);
            (member.service.clone(), standing)
        });
        Course {
            failures,
            probes,
            standings: standings.collect(),
        }
    }
}

fn result(probe: &Probe, verdict: &ProbeVerdict) -> ProbeResult {
    ProbeResult {
        service: probe.service.clone(),
        kind: probe.ask.kind(),
        outcome: verdict.outcome,
        message: verdict.message.clone(),
    }
}

/// The cause of several failures: a failure that needs no other one, and among these the one that
/// most of the others need. Among equals it is the first that was found.
pub(super) fn root<'f>(
    failures: &'f [ServiceFailure],
    needs: &StartOrder,
) -> Option<&'f ServiceFailure> {
    let needs_it = |failure: &ServiceFailure, other: &ServiceFailure| {
        failure.service != other.service
            && needs_of(needs, &failure.service).contains(other.service.as_str())
    };
    let deepest = failures
        .iter()
        .filter(|failure| !failures.iter().any(|other| needs_it(failure, other)));
    // `max_by_key` takes the last of equals, so the order is reversed.
    let deepest = deepest.rev().max_by_key(|failure| {
        let above = failures.iter().filter(|other| needs_it(other, failure));
        above.count()
    });
    deepest.or_else(|| failures.first())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cause_is_what_others_need() {
        let failure = |service: &str| ServiceFailure {
            service: service.to_owned(),
            id: String::new(),
            why: String::new(),
        };
        let need = |names: &[&str]| {
            let names = names
                .iter()
                .map(|&name| (name.to_owned(), Condition::Started));
            names.collect::<BTreeMap<_, _>>()
        };
        let needs = BTreeMap::from([
            ("web".to_owned(), need(&["api"])),
            ("api".to_owned(), need(&["db"])),
            ("db".to_owned(), need(&[])),
            ("other".to_owned(), need(&[])),
        ]);
        let failures = ["web", "other", "db"].map(failure);
        assert_eq!(root(&failures[..], &needs).unwrap().service, "db");
        let failures = ["other", "api"].map(failure);
        assert_eq!(root(&failures[..], &needs).unwrap().service, "other");
        assert_eq!(root(&[], &needs), None);
    }
}
