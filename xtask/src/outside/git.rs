//! Runs git so that it asks the user nothing, runs nothing that a repository brings along, and uses
//! no other repository than the one that is meant.

use std::io::Read;
use std::process::{Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use camino::Utf8Path;

use crate::outside::interrupt::Interrupt;

/// The most bytes of an answer. No answer that is asked for is so long, and a server must not fill
/// the memory.
const MOST_SAID: u64 = 64 << 20;
/// The longest line that is kept. A message for a person is not longer.
const LONGEST_LINE: usize = 400;
/// How many of git's last lines are kept. They hold the reason of a failure.
const LINES_KEPT: usize = 40;
/// How long to wait for the rest of an output whose writer has ended. A process that git left
/// behind, such as the master of a shared ssh connection, may hold the stream open for ever.
const PATIENCE: Duration = Duration::from_secs(2);

/// Variables that would make git use another repository. They are set when this program runs in a
/// git hook (git-rev-parse(1), `--local-env-vars`).
const REPOSITORY: [&str; 11] = [
    "GIT_ALTERNATE_OBJECT_DIRECTORIES",
    "GIT_COMMON_DIR",
    "GIT_DIR",
    "GIT_GRAFT_FILE",
    "GIT_INDEX_FILE",
    "GIT_NAMESPACE",
    "GIT_OBJECT_DIRECTORY",
    "GIT_PREFIX",
    "GIT_REPLACE_REF_BASE",
    "GIT_SHALLOW_FILE",
    "GIT_WORK_TREE",
];
/// Variables by which a user may pass settings.
const SETTINGS: [&str; 3] = ["GIT_CONFIG", "GIT_CONFIG_COUNT", "GIT_CONFIG_PARAMETERS"];

/// Settings for every call: no hook, no watcher and no upkeep in the background.
const ALWAYS: [&str; 6] = [
    "core.hooksPath=/dev/null",
    "core.fsmonitor=false",
    "gc.auto=0",
    "maintenance.auto=false",
    "submodule.recurse=false",
    "fetch.recurseSubmodules=false",
];
/// Transports that run no command that a URL chooses. Overrides any configuration.
const TRANSPORTS: &str = "https:http:ssh:git:file";

/// Why a call of git gave no output.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Trouble {
    /// The user wanted to stop.
    Interrupted,
    /// It could not be run at all.
    NoGit(String),
    /// It failed. The text is its reason: one line, without secrets and control characters.
    Failed(String),
}

/// A call of git that asks the user nothing and runs nothing of a repository. The user's own
/// configuration applies: a proxy, a credential helper and rewritten URLs are set there.
pub fn command() -> Command {
    let mut command = Command::new("git");
    for setting in ALWAYS {
        command.args(["-c", setting]);
    }
    for name in REPOSITORY {
        command.env_remove(name);
    }
    command
        .env("LC_ALL", "C")
        .env("GIT_ALLOW_PROTOCOL", TRANSPORTS)
        .env("GIT_LFS_SKIP_SMUDGE", "1")
        .env("GIT_NO_REPLACE_OBJECTS", "1")
        .env("GIT_OPTIONAL_LOCKS", "0")
        .env("GIT_TERMINAL_PROMPT", "0")
        .env("GCM_INTERACTIVE", "never")
        // A process group in the background would wait for an answer for ever.
        .env("SSH_ASKPASS", "false")
        .env("SSH_ASKPASS_REQUIRE", "force");
    for (name, value) in [
        ("GIT_HTTP_LOW_SPEED_LIMIT", "1"),
        ("GIT_HTTP_LOW_SPEED_TIME", "60"),
    ] {
        if std::env::var_os(name).is_none() {
            command.env(name, value);
        }
    }
    command.stdin(Stdio::null());
    command
}

/// A call that does the same on every machine, with no configuration but its own. `home` is a
/// folder without git configuration.
pub fn isolated(home: &Utf8Path) -> Command {
    let mut command = command();
    for name in SETTINGS {
        command.env_remove(name);
    }
    command
        .env("HOME", home)
        .env("XDG_CONFIG_HOME", home)
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .env("GIT_ATTR_NOSYSTEM", "1");
    command
}

/// The folders of other owners that the user's own settings call safe. Git runs in `/`, because a
/// repository's own settings do not count.
pub fn safe_directories(interrupt: &Interrupt) -> Vec<String> {
    let mut command = command();
    command
        .args(["-C", "/", "config", "--null", "--type=path"])
        .args(["--get-all", "safe.directory"]);
    // git fails if there are none.
    let said = run(command, interrupt, |_| {}).unwrap_or_default();
    let values = said.split_inclusive(|byte| *byte == 0);
    values
        .map(|value| {
            String::from_utf8_lossy(value.strip_suffix(b"\0").unwrap_or(value)).into_owned()
        })
        .collect()
}

/// Runs a call to its end and returns its stdout. `watch` gets every line of progress.
pub fn run(
    mut command: Command,
    interrupt: &Interrupt,
    watch: impl Fn(&str),
) -> Result<Vec<u8>, Trouble> {
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let child = interrupt
        .spawn(&mut command)
        .map_err(|error| Trouble::NoGit(format!("cannot run `git`: {error}; install git")))?;
    let Some(mut child) = child else {
        return Err(Trouble::Interrupted);
    };
    let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
    let said = stdout.map(|stdout| {
        in_background(move |give| {
            let mut all = Vec::new();
            // An error only ends the output early. Git's exit status tells whether the output is
            // complete.
            let _ = stdout.take(MOST_SAID).read_to_end(&mut all);
            give(all);
        })
    });
    let lines = stderr.map(|stderr| in_background(move |give| each_line(stderr, give)));
    let mut reason = Reason::default();
    let mut take = |line: Vec<u8>| {
        let line = clean(&line);
        if is_progress(&line) {
            watch(&line);
        } else {
            reason.add(line);
        }
    };
    let status = std::thread::scope(|scope| {
        // Waits in a thread of its own, because the stream may stay open after git's end.
        let waits = scope.spawn(|| interrupt.wait_for(&mut child));
        if let Some(lines) = &lines {
            loop {
                match lines.recv_timeout(PATIENCE) {
                    Ok(line) => take(line),
                    Err(std::sync::mpsc::RecvTimeoutError::Timeout) if !waits.is_finished() => {}
                    Err(_) => break,
                }
            }
        }
        waits.join()
    });
    if interrupt.is_set() {
        return Err(Trouble::Interrupted);
    }
    match status {
        Ok(Ok(status)) if status.success() => Ok(said
            .and_then(|said| said.recv_timeout(PATIENCE).ok())
            .unwrap_or_default()),
        Ok(Ok(status)) => Err(Trouble::Failed(reason.sentence(&status.to_string()))),
        Ok(Err(error)) => Err(Trouble::NoGit(format!("cannot wait for `git`: {error}"))),
        Err(_) => Err(Trouble::NoGit("cannot wait for `git`".into())),
    }
}

/// Runs work on a thread. The receiver can stop waiting for it at any time.
fn in_background(work: impl FnOnce(&mut dyn FnMut(Vec<u8>)) + Send + 'static) -> Receiver<Vec<u8>> {
    let (sender, receiver) = channel();
    std::thread::spawn(move || {
        // The receiver may be gone already.
        work(&mut |bytes| drop(sender.send(bytes)));
    });
    receiver
}

/// Calls `give` for each line. Lines of progress end with a carriage return.
fn each_line(mut stream: impl Read, give: &mut dyn FnMut(Vec<u8>)) {
    let mut buffer = [0; 8192];
    let mut line = Vec::new();
    loop {
        let count = match stream.read(&mut buffer) {
            Ok(0) | Err(_) => break,
            Ok(count) => count,
        };
        for byte in &buffer[..count] {
            match byte {
                b'\n' | b'\r' if !line.is_empty() => give(std::mem::take(&mut line)),
                b'\n' | b'\r' => {}
                byte if line.len() < LONGEST_LINE => line.push(*byte),
                _ => {}
            }
        }
    }
    if !line.is_empty() {
        give(line);
    }
}

/// A server's message as one line that is safe for a terminal. User and password are removed from
/// URLs: a rewritten URL may hold them.
fn clean(line: &[u8]) -> String {
    let text = String::from_utf8_lossy(line);
    let text: String = text
        .chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect();
    let mut clean = String::with_capacity(text.len());
    let mut rest = text.as_str();
    while let Some(at) = rest.find("://") {
        let (before, after) = rest.split_at(at + 3);
        clean.push_str(before);
        let end = after
            .find(|c: char| c == '/' || c == '\'' || c.is_whitespace())
            .unwrap_or(after.len());
        rest = match after[..end].rfind('@') {
            Some(at) => {
                clean.push_str("***");
                &after[at..]
            }
            None => after,
        };
    }
    clean + rest
}

/// `Receiving objects:  45% (9/20), 1.2 MiB | 300 KiB/s`, also behind `remote: `.
fn is_progress(line: &str) -> bool {
    let line = line.strip_prefix("remote: ").unwrap_or(line);
    let Some((what, rest)) = line.split_once(": ") else {
        return false;
    };
    let digits = |text: &str| text.starts_with(|c: char| c.is_ascii_digit());
    let rest = rest.trim_start();
    what.ends_with("objects") && digits(rest) || what == "Resolving deltas" && digits(rest)
}

/// The part of git's stderr that says what went wrong, fit for a terminal.
pub fn sentence(stderr: &str) -> String {
    let mut reason = Reason::default();
    for line in stderr.lines() {
        reason.add(clean(line.as_bytes()));
    }
    reason.sentence("a failure")
}

/// Finds the line of git's output that says what went wrong.
#[derive(Default)]
struct Reason {
    lines: Vec<String>,
}

impl Reason {
    fn add(&mut self, line: String) {
        if self.lines.len() == LINES_KEPT {
            self.lines.remove(0);
        }
        self.lines.push(line);
    }

    /// The first `fatal:` or `error:` that tells something. If git only says that it could not
    /// read, the last line that ssh or the server said before it.
    fn sentence(&self, status: &str) -> String {
        const MARKS: [&str; 2] = ["fatal: ", "error: "];
        const EMPTY_WORDS: [&str; 2] = [
            "Could not read from remote repository.",
            "the remote end hung up unexpectedly",
        ];
        let bare = |line: &str| {
            let mark = MARKS.iter().find_map(|mark| line.strip_prefix(mark));
            mark.map(|text| text.trim().to_owned())
        };
        let marked: Vec<String> = self.lines.iter().filter_map(|line| bare(line)).collect();
        let telling = marked
            .iter()
            .find(|text| !EMPTY_WORDS.contains(&text.as_str()));
        let said_before = self
            .lines
            .iter()
            .take_while(|line| bare(line).is_none())
            .map(|line| line.trim())
            .filter(|line| !line.is_empty() && !line.starts_with("From "))
            .last();
        let why = telling
            .map(String::as_str)
            .or(said_before)
            .or(marked.last().map(String::as_str));
        match (why, self.exception()) {
            (Some(why), Some(line)) => format!("{why}: where you trust its owner, run `{line}`"),
            (Some(why), None) => why.to_owned(),
            (None, _) => format!("git ended with {status}"),
        }
    }

    /// The command that git suggests to allow a checkout of another owner.
    fn exception(&self) -> Option<&str> {
        let mut lines = self.lines.iter().map(|line| line.trim());
        lines.find(|line| line.starts_with("git config --global --add safe.directory "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(lines: &[&str]) -> String {
        let mut reason = Reason::default();
        lines
            .iter()
            .for_each(|line| reason.add(clean(line.as_bytes())));
        reason.sentence("exit status: 128")
    }

    #[test]
    fn the_line_that_says_what_went_wrong_is_found() {
        let ssh = "ssh: connect to host 127.0.0.1 port 1: Connection refused";
        let rest = [
            "fatal: Could not read from remote repository.",
            "Please make sure you have the correct access rights",
        ];
        assert_eq!(said(&[ssh, rest[0], rest[1]]), ssh);
        assert_eq!(
            said(&[
                "fatal: '/x' does not appear to be a git repository",
                rest[0]
            ]),
            "'/x' does not appear to be a git repository"
        );
        assert_eq!(said(&[rest[0], rest[1]]), &rest[0][7..]);
        assert_eq!(said(&[]), "git ended with exit status: 128");
    }

    #[test]
    fn neither_a_secret_nor_a_control_character_is_repeated() {
        let said = said(&["fatal: unable to access 'https://me:hunter2@a.example/x/': \u{1b}[2J"]);
        assert_eq!(said, "unable to access 'https://***@a.example/x/':  [2J");
        assert_eq!(clean(b"a@b https://c/d@e"), "a@b https://c/d@e");
    }

    #[test]
    fn gits_own_exception_for_a_checkout_of_another_owner_is_told() {
        let line = "git config --global --add safe.directory /x";
        let said = said(&[
            "fatal: detected dubious ownership in repository at '/x'",
            "To add an exception for this directory, call:",
            &format!("\t{line}"),
        ]);
        let why = "detected dubious ownership in repository at '/x'";
        assert_eq!(
            said,
            format!("{why}: where you trust its owner, run `{line}`")
        );
    }

    proptest::proptest! {
        #[test]
        fn no_words_of_a_server_make_the_reader_of_them_panic(
            bytes in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..80),
            odd in "([a@:/' \u{1b}é]|://|remote: |fatal: | objects: 1){0,20}",
        ) {
            for line in [bytes.as_slice(), odd.as_bytes()] {
                let line = clean(line);
                assert!(!line.contains(char::is_control), "{line:?}");
                is_progress(&line);
                said(&[&line]);
            }
        }
    }

    #[test]
    fn progress_is_told_from_words() {
        assert!(is_progress(
            "Receiving objects:  45% (9/20), 1 MiB | 3 KiB/s"
        ));
        assert!(is_progress("remote: Counting objects: 12, done."));
        assert!(is_progress("Resolving deltas: 100% (3/3), done."));
        assert!(!is_progress("fatal: bad object"));
        assert!(!is_progress("error: some local objects: see below"));
    }

    #[test]
    fn lines_end_with_either_character_and_have_a_bound() {
        let mut lines = Vec::new();
        let long = "x".repeat(9000);
        let text = format!("a\rb\r\n{long}\nlast");
        each_line(text.as_bytes(), &mut |line| lines.push(line.len()));
        assert_eq!(lines, [1, 1, LONGEST_LINE, 4]);
    }
}
