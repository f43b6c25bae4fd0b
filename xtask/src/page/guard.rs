//! Keeps what has the shape of a secret off the page, which may be passed on. The values of declared
//! secrets are blotted out before anything is kept; this is for those that nobody declared: BuildKit
//! writes arguments into the names of steps, and a step may print anything.

use super::past_run::PastRun;
use crate::verify::secrets;

/// In place of a line.
const LEFT_OUT: &str = "(left out: it has the shape of a secret)";

/// The lines of a text, in a form that may be shown.
#[derive(Debug, Default)]
pub struct LineGuard {
    /// Whether a private key was begun and not ended.
    is_in_key: bool,
}

impl LineGuard {
    /// The guard of this text, which may begin within a private key, as the end of a log may.
    pub fn of(text: &str) -> Self {
        let first = text.find("PRIVATE KEY").map(|at| &text[..at]);
        let word = first.and_then(|before| before.rsplit("-----").next());
        Self {
            is_in_key: word.is_some_and(|word| word.starts_with("END")),
        }
    }

    /// The next line, if it may be shown, or what stands in its place.
    pub fn line(&mut self, line: String) -> String {
        let is_of_key = line.contains("PRIVATE KEY");
        if is_of_key && line.contains("-----BEGIN") {
            self.is_in_key = true;
        }
        let is_left_out = self.is_in_key || !secrets::in_text("", &line).is_empty();
        if is_of_key && line.contains("-----END") {
            self.is_in_key = false;
        }
        if is_left_out {
            LEFT_OUT.to_owned()
        } else {
            line
        }
    }
}

/// A text of one line.
fn one(text: &mut String) {
    *text = LineGuard::default().line(std::mem::take(text));
}

/// The run without what may not be shown.
pub fn guarded(run: &PastRun) -> PastRun {
    let mut run = run.clone();
    run.notices.iter_mut().for_each(one);
    for turn in &mut run.turns {
        turn.error.iter_mut().for_each(one);
        turn.retries.iter_mut().for_each(one);
        turn.steps.iter_mut().for_each(|step| one(&mut step.step));
        let mut guard = LineGuard::default();
        let excerpt = &mut turn.excerpt;
        for line in excerpt.above.iter_mut().chain(&mut excerpt.tail) {
            *line = guard.line(std::mem::take(line));
        }
    }
    run
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_with_a_token_and_a_whole_private_key_are_left_out_and_nothing_else() {
        let password = format!("{}{}", "kW7rT2qZ9", "xB4mN6vLp3c");
        let login = format!("RUN migrate postgres://me:{password}@db/app");
        let mut guard = LineGuard::default();
        let mut shown = |line: &str| guard.line(line.to_owned()) == line;
        assert!(!shown(&login));
        assert!(!shown("-----BEGIN RSA PRIVATE KEY-----"));
        assert!(!shown("aGVsbG8gd29ybGQ="));
        assert!(!shown("-----END RSA PRIVATE KEY-----"));
        // The end of a log that was cut within a key.
        let cut = "aGVsbG8=\n-----END PRIVATE KEY-----\nnext";
        let mut guard = LineGuard::of(cut);
        let lines = cut.lines().map(|line| guard.line(line.to_owned()));
        assert_eq!(lines.collect::<Vec<_>>(), [LEFT_OUT, LEFT_OUT, "next"]);
        let mut guard = LineGuard::of("a\n-----BEGIN PRIVATE KEY-----\n");
        let mut shown = |line: &str| guard.line(line.to_owned()) == line;
        for line in [
            "aGVsbG8gd29ybGQ=",
            "#5 RUN make TOKEN_LIMIT=4000",
            "",
            "sha256:0123",
        ] {
            assert!(shown(line), "{line}");
        }
    }
}
