//! How to call this program again on the same graph: the flags that chose it, quoted for a shell.

use std::borrow::Cow;

use camino::Utf8Path;

use crate::graphfile::options::GraphOptions;
use crate::shown;

/// The flags that chose a graph, for commands that a person can paste.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Call {
    flags: String,
}

impl Call {
    /// The flags as they were given. A graph file that was found without a flag needs none.
    pub fn with(graph: Option<&Utf8Path>, options: &GraphOptions) -> Self {
        let flag = |name: &str, value: &str| format!(" --{name} {}", quoted(value));
        let graph = graph.map(|graph| flag("graph", graph.as_str()));
        let profiles = options.profiles.iter().map(|name| flag("profile", name));
        let vars = options.vars.iter();
        let vars = vars.map(|(name, value)| flag("set", &format!("{name}={value}")));
        let output = options.output.iter().map(|place| flag("output", place));
        let flags = graph.into_iter().chain(profiles).chain(vars).chain(output);
        Self {
            flags: flags.collect(),
        }
    }

    /// This program with these words, on the same graph.
    pub fn command(&self, words: &str) -> String {
        format!("{} {words}{}", shown::program(), self.flags)
    }
}

/// A value as one word for a shell.
pub fn quoted(value: &str) -> Cow<'_, str> {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:=@%+,".contains(c);
    if !value.is_empty() && value.chars().all(plain) {
        return Cow::Borrowed(value);
    }
    Cow::Owned(format!("'{}'", value.replace('\'', r"'\''")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_repeats_the_flags_that_were_given_and_no_others() {
        let none = Call::default();
        assert_eq!(none.command("sync"), "cargo xtask sync");
        let both = Call::with(
            Some("../my graph.toml".into()),
            &GraphOptions {
                profiles: vec!["china".into(), "x86".into()],
                vars: [("tag".to_owned(), "a b".to_owned())].into(),
                output: Some("oci".into()),
                ..GraphOptions::default()
            },
        );
        assert_eq!(
            both.command("lock --update dify"),
            "cargo xtask lock --update dify --graph '../my graph.toml' --profile china --profile x86 --set 'tag=a b' --output oci"
        );
    }

    #[test]
    fn a_shell_reads_a_quoted_value_as_one_word() {
        for (value, word) in [
            ("a/b.toml", "a/b.toml"),
            ("", "''"),
            ("~/x", "'~/x'"),
            ("it's", r"'it'\''s'"),
        ] {
            assert_eq!(quoted(value), word);
        }
    }
}
