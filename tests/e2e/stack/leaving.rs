//! Runs that are interrupted or killed. After the next run, nothing is left of them.

use std::io::{BufRead as _, BufReader};
use std::process::Child;
use std::time::{Duration, Instant};

use rustix::process::Signal;
use xtask::verify::stack::StackOutcome;

use super::{Project, begun, left, notes, side_by_side, stack, stacks, tried};
use crate::host;
use crate::support::interrupt;
use crate::support::process::Process;

const COMPOSE: &str = "services:\n  web:\n    volumes: ['./data:/data', 'more:/more']\n    restart: always\n  job:\n    command: ['true']\nvolumes: {more: {}}\n";
/// The probes: one needs a helper, and one is slow.
const PROBES: &str = "[[stack.probe]]\nservice = \"web\"\nkind = \"refused\"\naddress = \"10.255.255.1:80\"\n[[stack.probe]]\nservice = \"web\"\nkind = \"exec\"\ncommand = [\"sleep\", \"3\"]\n[[stack.probe]]\nservice = \"web\"\nkind = \"uid\"\n";

/// When a run is ended.
#[derive(Debug, Clone, Copy)]
enum Moment {
    /// As soon as it has written the note of its stack, while its containers are made.
    Noted,
    /// When it prints this line.
    Told(&'static str),
}

const MOMENTS: [Moment; 6] = [
    Moment::Noted,
    Moment::Told("@made"),
    Moment::Told("@ready web"),
    // A helper runs at this moment.
    Moment::Told("@probe"),
    Moment::Told("@down"),
    Moment::Told("@outcome"),
];

fn prepared(host: &str) -> Project {
    stack(host, COMPOSE, PROBES).file("stack/data/rows", "a user's rows")
}

/// Waits for the moment.
fn reach(project: &Project, child: &mut Child, moment: Moment) {
    match moment {
        Moment::Noted => {
            let until = Instant::now() + Duration::from_secs(60);
            while stacks(project).is_empty() {
                assert!(Instant::now() < until, "it never makes anything");
                std::thread::yield_now();
            }
        }
        Moment::Told(word) => {
            let stdout = child.stdout.take().unwrap();
            let mut lines = BufReader::new(stdout).lines().map_while(Result::ok);
            assert!(
                lines.any(|line| line.starts_with(word)),
                "it never says {word}"
            );
            // The rest is read, so that the child does not block on its output.
            std::thread::spawn(move || lines.for_each(drop));
        }
    }
}

#[test]
fn an_interrupted_run_leaves_nothing() {
    let host = host();
    let job = |moment: Moment| {
        let host = host.clone();
        let job = move || {
            let project = prepared(&host);
            let mut child = begun(&project);
            reach(&project, &mut child, moment);
            interrupt(&child);
            child.wait().unwrap();
            assert_eq!(left(&host, &project), "", "{moment:?}");
            assert_eq!(notes(&project), [""; 0], "{moment:?}");
        };
        Box::new(job) as Box<dyn FnOnce() + Send>
    };
    side_by_side(MOMENTS.into_iter().map(job).collect());
}

#[test]
fn the_next_run_removes_what_a_killed_one_left() {
    let host = host();
    let job = |moment: Moment| {
        let host = host.clone();
        let job = move || {
            let project = prepared(&host);
            let mut child = begun(&project);
            reach(&project, &mut child, moment);
            Process::of(child.id().cast_signed())
                .unwrap()
                .signal(Signal::KILL);
            child.wait().unwrap();
            let graph = std::fs::read_to_string(project.path("build-graph.toml")).unwrap();
            let graph = graph.replace(PROBES, "watch = 0\n");
            project.write("build-graph.toml", graph);
            let next = tried(&project).ends(StackOutcome::Passed);
            assert_eq!(left(&host, &project), "", "{moment:?}: {}", next.said);
            assert_eq!(notes(&project), [""; 0], "{moment:?}: {}", next.said);
            let rows = std::fs::read_to_string(project.path("stack/data/rows"));
            assert_eq!(rows.unwrap(), "a user's rows");
        };
        Box::new(job) as Box<dyn FnOnce() + Send>
    };
    side_by_side(MOMENTS.into_iter().map(job).collect());
}

#[test]
fn a_run_that_lives_is_left_alone_by_another_one() {
    let host = host();
    let project = stack(&host, "services:\n  web: {}\n", "watch = 600\n");
    let mut child = begun(&project);
    reach(&project, &mut child, Moment::Told("@ready web"));
    let before = left(&host, &project);
    let graph = std::fs::read_to_string(project.path("build-graph.toml")).unwrap();
    project.write(
        "build-graph.toml",
        graph.replace("watch = 600", "watch = 0"),
    );
    tried(&project).ends(StackOutcome::Passed);
    assert_eq!(left(&host, &project), before);
    assert!(before.contains("web"), "{before}");
    interrupt(&child);
    child.wait().unwrap();
    assert_eq!(left(&host, &project), "");
}
