//! The output of a build while it runs, when a step fails, and when it is interrupted.
//!
//! A fake docker command prints what a test wants, as no engine gives these interleavings on
//! demand.

use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::process::{Command, Stdio};
use std::sync::mpsc::RecvTimeoutError;
use std::time::Duration;

use base64::Engine as _;

use crate::support::Project;
use crate::support::engine::Engine;

struct World {
    project: Project,
    _engine: Engine,
}

/// A stage whose fake buildx is this script. It goes on after `read _ < go` when the test writes to
/// `go`.
fn world(script: &str) -> World {
    let project = Project::new();
    let socket = project.path("engine.sock");
    let engine = Engine::at(&socket);
    let (bin, go) = (project.path("bin"), project.path("go"));
    let mode = rustix::fs::Mode::from_raw_mode(0o600);
    let kind = rustix::fs::FileType::Fifo;
    rustix::fs::mknodat(rustix::fs::CWD, &go, kind, mode, 0).unwrap();
    let script = format!("#!/bin/sh\ncd {}\n{script}", project.path("").display());
    let path = format!("{}:{}", bin.display(), std::env::var("PATH").unwrap());
    let project = project
        .variable("DOCKER_HOST", &format!("unix://{}", socket.display()))
        .variable("PATH", &path)
        .script("bin/docker", &script)
        .file(
            "build-graph.toml",
            "version = 1\n[stage.api]\ncontext = \"a\"\n",
        )
        .file("a/Dockerfile", "FROM scratch\nCOPY Dockerfile /\n");
    World {
        project,
        _engine: engine,
    }
}

impl World {
    fn log(&self) -> String {
        let mut graphs = fs::read_dir(self.project.path("state")).unwrap();
        let graph = graphs.next().unwrap().unwrap().path();
        fs::read_to_string(graph.join("logs/api.log")).unwrap()
    }

    fn go(&self) {
        fs::write(self.project.path("go"), "\n").unwrap();
    }
}

/// A shell line that prints an object of buildx's rawjson.
fn says(object: &str) -> String {
    format!("echo '{object}' >&2\n")
}

fn vertex(step: &str, more: &str) -> String {
    says(&format!(
        "{{\"vertexes\":[{{\"digest\":\"{step}\",\"name\":\"[{step}/3] RUN yarn {step}\",\"started\":\"t\"{more}}}]}}"
    ))
}

fn prints(step: &str, stream: usize, text: &str) -> String {
    let data = base64::engine::general_purpose::STANDARD.encode(text);
    says(&format!(
        "{{\"logs\":[{{\"vertex\":\"{step}\",\"stream\":{stream},\"data\":\"{data}\"}}]}}"
    ))
}

#[test]
fn a_long_step_gives_a_sign_of_life_its_log_grows_and_its_failure_is_told_once_and_last() {
    let lines: Vec<String> = (1..=60).map(|at| format!("line {at}\n")).collect();
    let exit = "process \"/bin/sh -c yarn 2\" did not complete successfully: exit code: 3";
    let failed = format!(
        ",\"completed\":\"t\",\"error\":\"{}\"",
        exit.replace('"', "\\\"")
    );
    let script = [
        vertex("1", ""),
        prints("1", 1, "of another step\n"),
        vertex("2", ""),
        // BuildKit reads the two streams separately, so the last line may come first.
        prints("2", 2, "no luck\n"),
        prints("2", 1, &format!("fatal: the cause\n{}", lines.concat())),
        "read _ < go\n".to_owned(),
        vertex("2", &failed),
        vertex("1", ",\"completed\":\"t\",\"error\":\"context canceled\""),
        prints("2", 1, "said late\n"),
        "printf 'Dockerfile:12\\n--------------------\\n  12 | >>> RUN yarn 2\\n--------------------\\n' >&2\n".to_owned(),
        says(&format!("ERROR: failed to solve: {exit}")),
        "exit 1\n".to_owned(),
    ];
    let world = world(&script.concat());
    let mut child = world.project.start(&["build"]);
    let mut said = BufReader::new(child.stderr.take().unwrap());
    let mut line = String::new();
    std::thread::scope(|scope| {
        let (heard, hears) = std::sync::mpsc::channel::<()>();
        let world = &world;
        scope.spawn(move || {
            // If no line comes, the script may go on, so that the build ends.
            if hears.recv_timeout(Duration::from_secs(180)) == Err(RecvTimeoutError::Timeout) {
                world.go();
            }
        });
        while !line.contains("still running") {
            line.clear();
            assert!(said.read_line(&mut line).unwrap() > 0, "it ended");
        }
        drop(heard);
    });
    let seconds = line.strip_prefix("api: still running: RUN yarn 2, ");
    let seconds = seconds.and_then(|rest| rest.trim_end().strip_suffix(" s"));
    let seconds: u64 = seconds.unwrap_or_else(|| panic!("{line}")).parse().unwrap();
    assert!((29..=60).contains(&seconds), "{line}");
    assert!(world.log().ends_with("line 60\n"), "{}", world.log());
    world.go();
    let mut rest = String::new();
    said.read_to_string(&mut rest).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(1));

    assert!(rest.starts_with("api failed after "), "{rest}");
    let (summary, told) = rest.split_once("\n\n").unwrap();
    assert!(summary.contains("0 built, 0 fresh, 1 failed"), "{rest}");
    let mut told: Vec<&str> = told.lines().collect();
    assert_eq!(
        told.remove(0),
        "api failed at a/Dockerfile:12, exit code 3: [2/3] RUN yarn 2"
    );
    let omitted = told.remove(0);
    let log = omitted.strip_prefix("  … 36 lines omitted: see ");
    assert_eq!(fs::read_to_string(log.unwrap()).unwrap(), world.log());
    let above = ["no luck", "fatal: the cause"].map(str::to_owned);
    let tail = (37..=60).map(|at| format!("line {at}"));
    let tail = tail.chain(["said late".into()]);
    let shown = |lines: &mut dyn Iterator<Item = String>| -> Vec<String> {
        lines.map(|line| format!("  | {line}")).collect()
    };
    let further_up = told
        .iter()
        .position(|line| *line == "  further up it says:");
    let (below, above_told) = told.split_at(further_up.unwrap());
    assert_eq!(below, shown(&mut tail.into_iter()));
    assert_eq!(above_told[1..], shown(&mut above.into_iter()));
}

/// The lines that a terminal of 80 columns shows in the end. Only the escape sequences that the
/// program uses are understood.
fn screen(text: &str) -> Vec<String> {
    let mut lines: Vec<Vec<char>> = vec![Vec::new()];
    let (mut row, mut column, mut wraps) = (0, 0, true);
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '\r' => column = 0,
            '\n' => row += 1,
            '\x1b' => {
                assert_eq!(chars.next(), Some('['));
                let mut number = String::new();
                let kind = loop {
                    match chars.next().unwrap() {
                        c if c.is_ascii_alphabetic() => break c,
                        c => number.push(c),
                    }
                };
                match (kind, &*number) {
                    ('A', up) => row -= up.parse::<usize>().unwrap_or(1),
                    ('J', "") => {
                        lines.truncate(row + 1);
                        lines[row].truncate(column);
                    }
                    ('K', "2") => lines[row].clear(),
                    ('h' | 'l', "?7") => wraps = kind == 'h',
                    ('m', _) => {}
                    other => panic!("{other:?}"),
                }
            }
            c => {
                if column == 80 {
                    (row, column) = if wraps { (row + 1, 0) } else { (row, 79) };
                }
                while lines.len() <= row {
                    lines.push(Vec::new());
                }
                if lines[row].len() <= column {
                    lines[row].resize(column + 1, ' ');
                }
                lines[row][column] = c;
                column += 1;
            }
        }
        while lines.len() <= row {
            lines.push(Vec::new());
        }
    }
    let lines = lines.iter().map(|line| line.iter().collect::<String>());
    lines.map(|line| line.trim_end().to_owned()).collect()
}

/// A build with a terminal of this kind.
fn build_at(terminal: &str, world: &World) -> Command {
    let model = world.project.command(&["build"]);
    let words = model.get_args().map(|word| word.to_str().unwrap());
    let words: Vec<&str> = [env!("CARGO_BIN_EXE_xtask")]
        .into_iter()
        .chain(words)
        .collect();
    // `script` gives the program a terminal, and passes its own stdin on to it.
    let mut command = Command::new("script");
    command.args([
        "--quiet",
        "--return",
        "--command",
        &words.join(" "),
        "/dev/null",
    ]);
    let variables = model
        .get_envs()
        .filter_map(|(name, value)| Some((name, value?)));
    command
        .envs(variables)
        .env_remove("CI")
        .env("TERM", terminal);
    command
}

#[test]
fn a_terminal_that_cannot_move_its_cursor_gets_plain_lines() {
    let world = world(&vertex("1", ""));
    let said = |terminal: &str| {
        let output = build_at(terminal, &world).stdin(Stdio::null()).output();
        String::from_utf8(output.unwrap().stdout).unwrap()
    };
    assert!(said("xterm").contains('\x1b'));
    assert!(!said("dumb").contains('\x1b'));
}

#[test]
fn an_interrupt_at_the_terminal_leaves_no_live_line() {
    let script = [vertex("1", ""), "read _ < go\n".to_owned()];
    let world = world(&script.concat());
    let mut command = build_at("xterm", &world);
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut keys = child.stdin.take().unwrap();
    let mut stdout = child.stdout.take().unwrap();
    let mut said = Vec::new();
    let mut more = [0; 4096];
    let mut has_typed = false;
    loop {
        // Some kernels return an error when the other side of a terminal is closed.
        let count = stdout.read(&mut more).unwrap_or(0);
        if count == 0 {
            break;
        }
        said.extend_from_slice(&more[..count]);
        if !has_typed && String::from_utf8_lossy(&said).contains("RUN yarn 1") {
            keys.write_all(b"\x03").unwrap();
            has_typed = true;
        }
    }
    assert!(has_typed);
    assert_eq!(child.wait().unwrap().code(), Some(130));
    let said = String::from_utf8(said).unwrap();
    assert!(said.contains("^C"), "{said:?}");
    let screen = screen(&said);
    let (last, first) = screen[2..].split_first().unwrap();
    assert_eq!(
        screen[..2],
        ["api: building, never built here", "api cancelled"]
    );
    assert!(
        last.starts_with("0 built, 0 fresh, 1 cancelled in "),
        "{screen:?}"
    );
    assert_eq!(first, ["error: interrupted", ""]);
}

#[test]
fn test_and_bench_say_at_once_what_they_do() {
    let said = |arguments: &[&str], cargo: &str| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_xtask"));
        command.args(arguments).env("CARGO", cargo);
        let output = command.output().unwrap();
        String::from_utf8(output.stderr).unwrap()
    };
    // `true` in place of cargo compiles nothing and prints nothing.
    let fast = said(&["test", "--fast", "nothing"], "true");
    let mut lines = fast.lines();
    assert_eq!(lines.next(), Some("to do: unit and documentation tests"));
    let running = "unit and documentation tests: running";
    assert_eq!(lines.next(), Some(running), "{fast}");
    let all = said(&["test", "--fast"], "false");
    let steps =
        "to do: formatting, lints, licences; unit and documentation tests\nformatting: running\n";
    assert!(all.starts_with(steps), "{all}");
    let mut bench = Command::new(env!("CARGO_BIN_EXE_xtask"));
    bench.args(["bench", "noop", "--runs", "1"]).env("PATH", "");
    let bench = String::from_utf8(bench.output().unwrap().stderr).unwrap();
    assert!(
        bench.starts_with("noop: Two images that are fresh"),
        "{bench}"
    );
}
