//! Lines that GitHub Actions reads as commands (docs.github.com, *Workflow commands for GitHub
//! Actions*). An annotation shows its message beside the line of a file.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

/// Whether GitHub Actions reads what this program prints.
pub fn are_read() -> bool {
    std::env::var_os("GITHUB_ACTIONS").is_some_and(|it| it == "true")
}

/// The checkout. Annotations name files relative to it.
pub fn workspace() -> PathBuf {
    std::env::var_os("GITHUB_WORKSPACE").map_or_else(PathBuf::new, PathBuf::from)
}

/// The message of a command, which is one line.
pub fn value(text: &str) -> String {
    let text = text.replace('%', "%25");
    text.replace('\r', "%0D").replace('\n', "%0A")
}

/// A property of a command.
fn property(text: &str) -> String {
    value(text).replace(':', "%3A").replace(',', "%2C")
}

/// An annotation without its message.
#[derive(Debug, Clone)]
pub struct Mark {
    level: &'static str,
    fields: Vec<String>,
}

impl Mark {
    /// An error with this title.
    pub fn error(title: &str) -> Self {
        Self::of("error", title)
    }

    /// A warning with this title.
    pub fn warning(title: &str) -> Self {
        Self::of("warning", title)
    }

    fn of(level: &'static str, title: &str) -> Self {
        Self {
            level,
            fields: vec![format!("title={}", property(title))],
        }
    }

    /// The place that it is about. A file outside the checkout has no place there.
    #[must_use]
    pub fn at(mut self, workspace: &Path, file: &Path, line: Option<u32>) -> Self {
        if let Ok(file) = file.strip_prefix(workspace) {
            let file = property(&file.to_string_lossy());
            self.fields.push(format!("file={file}"));
            self.fields.extend(line.map(|line| format!("line={line}")));
        }
        self
    }

    /// The whole line, with its message.
    pub fn line(&self, message: &str) -> String {
        let fields = self.fields.join(",");
        let mut line = String::new();
        let _ = write!(line, "::{} {fields}::{}", self.level, value(message));
        line
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_names_its_place_and_nothing_in_it_ends_it() {
        let mark = Mark::error("a, b: c").at(Path::new("/w"), Path::new("/w/x,y"), Some(3));
        assert_eq!(
            mark.line("100%\nno"),
            "::error title=a%2C b%3A c,file=x%2Cy,line=3::100%25%0Ano"
        );
        let mark = Mark::warning("t").at(Path::new("/w"), Path::new("/other"), Some(3));
        assert_eq!(mark.line("m"), "::warning title=t::m");
    }
}
