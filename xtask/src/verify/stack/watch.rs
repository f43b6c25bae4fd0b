//! Starts the containers in their order and watches them until the last probe has its answer.
//!
//! Compose would do both, but says nothing of why, fails for services that are meant to end, and
//! waits for ever for one that crashes again and again. Here each container is looked at several
//! times a second, is started when what it needs is good enough, and a failure ends everything at
//! once. Knows standings and needs; is unaware of what a probe asks.

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

/// Between two looks at all containers.
const PAUSE: Duration = Duration::from_millis(100);
/// How many probes ask at once.
const AT_ONCE: usize = 6;
/// How long a failure waits for that of something it needs, which would be its cause.
const GRACE: Duration = Duration::from_secs(3);
/// How long the other probes have once one has failed: the answer is known by then, but another may
/// have the cause.
const AFTER_A_FAILED_PROBE: Duration = Duration::from_secs(10);
/// How long nothing is said at first. It doubles with each time that only the waiting was told, so that
/// the cause of a failure is not far below.
const SILENCE: Duration = Duration::from_secs(5);
/// The longest that nothing is said.
const LONG_SILENCE: Duration = Duration::from_secs(40);

/// How the stack fared.
#[derive(Debug)]
pub(super) struct Course {
    /// In the order in which they were found.
    pub failures: Vec<ServiceFailure>,
    /// In the order of the graph file.
    pub probes: Vec<ProbeResult>,
    /// Where each service stands at last.
    pub standings: BTreeMap<String, ServiceState>,
}

/// A service that did not do what it should.
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
            // Whatever still asks must not hold up the end.
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
    /// Services of which it was said that they are ready.
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

    /// Looks at every container that was started.
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
                None => ServiceState::Failed(format!("`{service}` was removed by somebody else")),
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

    /// Whether something that a failed service needs is still on its way, so that its failure would
    /// be the cause.
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

    /// Those that are not ready when the time is over. Who only waits for them is not at fault.
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

    /// Starts the probes that can be answered by now.
    fn launch(&mut self, all_ready: bool, ask: &dyn Fn(usize)) {
        let mut later = VecDeque::new();
        while let Some(at) = self.waiting.pop_front() {
            let probe = &self.watch.probes[at];
            let may_ask = match &probe.ask {
                // Its absence is only known at the end.
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
                // Second containers must not disturb the first ones while they start.
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

    /// Says what is waited for, when nothing else was said for a while.
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

/// The cause of several failures: of those that need nothing that failed, too, the one that most
/// of the others need; the first that was found where that is no difference.
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
    // Of equals the last is taken.
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
