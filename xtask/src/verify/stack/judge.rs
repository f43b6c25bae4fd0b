//! What a container's state means.
//!
//! A pure function from the engine's answer to the state of a service: it still starts, is ready,
//! has done its work, or failed.

use std::time::{Duration, Instant};

use crate::outside::engine::{Container, Health};

/// How long a service without a health check must run to count as ready.
pub const SETTLE: Duration = Duration::from_secs(2);
/// How often a service may be restarted before it is ready: it may have started before the services
/// that it needs were ready.
pub const MOST_RESTARTS: u64 = 3;
/// How many lines of a health check are shown.
const HEALTH_LINES: usize = 4;

/// What is expected of a service.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Role {
    /// Another service waits for its end.
    pub completes: bool,
    /// The service has ports, a health check or probes, so it must not end.
    pub serves: bool,
}

/// What was seen of a container so far.
#[derive(Debug, Clone, Default)]
pub struct Seen {
    /// How often the container had been restarted when it became ready. `None` if it never did.
    ready_at: Option<u64>,
    /// The start time that the engine gives for the present run, and when this run was first seen.
    running: Option<(String, Instant)>,
}

/// The state of a service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ServiceState {
    /// The service was not started.
    Waiting,
    /// The service was started, and is not ready.
    Starting {
        /// Whether it runs without a health check, so that only probes can say more.
        answers: bool,
    },
    /// The service runs and is healthy.
    Ready,
    /// The service has ended as it should.
    Done,
    /// The service failed. The text is a sentence with its name.
    Failed(String),
}

impl Seen {
    /// Whether the container was ever ready.
    pub const fn was_ready(&self) -> bool {
        self.ready_at.is_some()
    }
}

/// Judges a container of `service`.
pub fn judge(
    service: &str,
    container: &Container,
    role: Role,
    seen: &mut Seen,
    now: Instant,
) -> ServiceState {
    let state = &container.state;
    let again = container.restart_count;
    let failed = |what: String| ServiceState::Failed(format!("`{service}` {what}"));
    match state.status.as_str() {
        "created" => ServiceState::Waiting,
        "running" | "paused" | "restarting" => {
            let is_down = state.status == "restarting";
            if seen
                .ready_at
                .is_some_and(|before| again > before || is_down)
            {
                return failed(format!(
                    "ended with {} after it had been ready, and was started again",
                    exit(container)
                ));
            }
            if again >= MOST_RESTARTS {
                return failed(format!(
                    "crashes again and again: {again} times so far, the last time with {}",
                    exit(container)
                ));
            }
            if state.status != "running" {
                seen.running = None;
                return ServiceState::Starting { answers: false };
            }
            let since = match &seen.running {
                Some((start, since)) if *start == state.started_at => *since,
                _ => {
                    seen.running = Some((state.started_at.clone(), now));
                    now
                }
            };
            let ready = match health(container) {
                Some(health) => match health.status.as_str() {
                    "healthy" => true,
                    "unhealthy" => {
                        let when = if seen.was_ready() {
                            "is no longer healthy"
                        } else {
                            "never became healthy"
                        };
                        let words = last_check(health);
                        return failed(format!("{when}: {words}"));
                    }
                    _ => return ServiceState::Starting { answers: false },
                },
                None if role.completes => return ServiceState::Starting { answers: false },
                None => now.duration_since(since) >= SETTLE || seen.was_ready(),
            };
            if ready {
                seen.ready_at.get_or_insert(again);
                ServiceState::Ready
            } else {
                ServiceState::Starting { answers: true }
            }
        }
        _ => {
            let is_good = state.exit_code == 0 && !state.oom_killed && state.error.is_empty();
            if is_good && (role.completes || !role.serves) {
                return ServiceState::Done;
            }
            let lived = lived(container).map_or_else(String::new, |lived| {
                format!(", {lived:.1} s after it was started")
            });
            failed(if seen.was_ready() {
                format!("ended with {} after it had been ready", exit(container))
            } else if is_good {
                format!("ended by itself (exit code 0{lived}), though it should go on")
            } else {
                format!("ended with {}{lived}", exit(container))
            })
        }
    }
}

/// The state of the health check, if the container has one.
pub fn health(container: &Container) -> Option<&Health> {
    let health = container.state.health.as_ref()?;
    (!matches!(health.status.as_str(), "" | "none")).then_some(health)
}

/// The output of the last health check, in one line.
pub fn last_check(health: &Health) -> String {
    let Some(run) = health.log.last() else {
        return "its health check has not run yet".to_owned();
    };
    let lines = run.output.lines().map(str::trim);
    let lines: Vec<&str> = lines.filter(|line| !line.is_empty()).collect();
    let shown = lines[lines.len().saturating_sub(HEALTH_LINES)..].join(" / ");
    let shown: String = shown.chars().take(300).collect();
    let shown = if shown.is_empty() { "nothing" } else { &shown };
    format!(
        "its health check ended with exit code {} and said: {shown}",
        run.exit_code
    )
}

/// How a container last ended.
pub fn exit(container: &Container) -> String {
    let state = &container.state;
    let code = state.exit_code;
    if state.oom_killed {
        return format!("exit code {code}, as it ran out of memory");
    }
    let meaning = match code {
        126 => " (the program may not be executed)",
        127 => " (the program was not found)",
        134 => " (it aborted)",
        137 => " (killed by SIGKILL)",
        139 => " (a segmentation fault)",
        143 => " (ended by SIGTERM)",
        _ => "",
    };
    let error = if state.error.is_empty() {
        String::new()
    } else {
        format!(": {}", state.error)
    };
    format!("exit code {code}{meaning}{error}")
}

/// The innermost part of an engine's error about a start, which is what a person needs.
pub fn innermost(error: &str) -> &str {
    const WRAPPERS: [&str; 3] = [
        "unable to start container process: ",
        "OCI runtime create failed: ",
        "failed to create task for container: ",
    ];
    let inner = WRAPPERS
        .iter()
        .find_map(|wrapper| Some(error.split_once(wrapper)?.1));
    let inner = inner.unwrap_or(error);
    inner.strip_suffix(": unknown").unwrap_or(inner)
}

/// How many seconds the container ran.
fn lived(container: &Container) -> Option<f64> {
    let start = seconds(&container.state.started_at)?;
    let end = seconds(&container.state.finished_at)?;
    let lived = (end - start).rem_euclid(86_400.0);
    // A negative or very long time means that the engine's clock was set meanwhile.
    (lived < 43_200.0).then_some(lived)
}

/// The time of day in RFC 3339.
fn seconds(time: &str) -> Option<f64> {
    if time.starts_with("0001-") {
        return None;
    }
    let clock = time.split_once('T')?.1.trim_end_matches('Z');
    let clock = clock.split(['+', '-']).next()?;
    let mut parts = clock.splitn(3, ':');
    let mut part = || parts.next()?.parse::<f64>().ok();
    Some(part()? * 3600.0 + part()? * 60.0 + part()?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    const SERVES: Role = Role {
        completes: false,
        serves: true,
    };

    fn container(state: Value, restarts: u64) -> Container {
        let whole = json!({"Id": "1", "State": state, "RestartCount": restarts});
        serde_json::from_value(whole).unwrap()
    }

    fn of(state: Value, restarts: u64, role: Role, was_ready: bool) -> ServiceState {
        let mut seen = Seen {
            ready_at: was_ready.then_some(0),
            running: None,
        };
        judge(
            "api",
            &container(state, restarts),
            role,
            &mut seen,
            Instant::now(),
        )
    }

    #[track_caller]
    fn fails(standing: ServiceState, why: &str) {
        let ServiceState::Failed(said) = standing else {
            panic!("{standing:?}")
        };
        assert!(said.contains(why), "{said}");
    }

    #[test]
    fn a_service_without_a_health_check_is_ready_once_it_has_run_for_a_while() {
        let state = json!({"Status": "running", "StartedAt": "2026-01-01T00:00:00Z"});
        let container = container(state, 0);
        let mut seen = Seen::default();
        let now = Instant::now();
        let mut at = |time| judge("api", &container, SERVES, &mut seen, time);
        assert_eq!(at(now), ServiceState::Starting { answers: true });
        assert_eq!(at(now + SETTLE), ServiceState::Ready);
    }

    #[test]
    fn a_service_with_a_health_check_is_ready_when_it_is_healthy() {
        let health = |status: &str| {
            let log =
                json!([{"ExitCode": 1, "Output": "one\n"}, {"ExitCode": 7, "Output": "two\n"}]);
            json!({"Status": "running", "Health": {"Status": status, "Log": log}})
        };
        let starting = of(health("starting"), 0, SERVES, false);
        assert_eq!(starting, ServiceState::Starting { answers: false });
        assert_eq!(of(health("healthy"), 0, SERVES, false), ServiceState::Ready);
        fails(
            of(health("unhealthy"), 0, SERVES, false),
            "never became healthy: its health check ended with exit code 7 and said: two",
        );
        fails(
            of(health("unhealthy"), 0, SERVES, true),
            "is no longer healthy",
        );
    }

    #[test]
    fn whoever_ends_is_judged_by_what_is_expected_of_it() {
        let ended = |code: i64| {
            json!({"Status": "exited", "ExitCode": code,
                "StartedAt": "2026-01-01T23:59:59.5Z", "FinishedAt": "2026-01-02T00:00:00.7Z"})
        };
        let once = Role {
            completes: true,
            serves: false,
        };
        assert_eq!(of(ended(0), 0, once, false), ServiceState::Done);
        assert_eq!(of(ended(0), 0, Role::default(), true), ServiceState::Done);
        fails(of(ended(0), 0, SERVES, false), "ended by itself");
        fails(
            of(ended(3), 0, once, false),
            "ended with exit code 3, 1.2 s after it was started",
        );
        fails(of(ended(3), 0, SERVES, true), "after it had been ready");
        let memory = json!({"Status": "exited", "ExitCode": 137, "OOMKilled": true});
        fails(of(memory, 0, SERVES, false), "ran out of memory");
    }

    #[test]
    fn of_a_start_that_fails_the_reason_is_told() {
        let chain = "failed to create task for container: failed to create shim task: OCI runtime create failed: runc create failed: unable to start container process: exec: \"x\": not found: unknown";
        assert_eq!(innermost(chain), "exec: \"x\": not found");
        assert_eq!(innermost("no such network"), "no such network");
    }

    #[test]
    fn a_crash_loop_is_told_from_a_start_that_came_too_early() {
        let running = json!({"Status": "running"});
        let early = of(running.clone(), MOST_RESTARTS - 1, SERVES, false);
        assert_eq!(early, ServiceState::Starting { answers: true });
        fails(
            of(running.clone(), MOST_RESTARTS, SERVES, false),
            "again and again",
        );
        fails(of(running, 1, SERVES, true), "was started again");
        let between = json!({"Status": "restarting", "ExitCode": 1});
        fails(
            of(between.clone(), MOST_RESTARTS, SERVES, false),
            "exit code 1",
        );
        fails(of(between, 0, SERVES, true), "after it had been ready");
        // Restarts before the container was ready do not count.
        let mut seen = Seen {
            ready_at: Some(1),
            running: None,
        };
        let container = container(json!({"Status": "running"}), 1);
        let standing = judge("api", &container, SERVES, &mut seen, Instant::now());
        assert_eq!(standing, ServiceState::Ready);
    }
}
