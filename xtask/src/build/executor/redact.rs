//! Keeps secret values out of logs: a Dockerfile may print its own secret. The values are in memory
//! while a build runs, and are never written, compared or shown.

use camino::Utf8Path;

use crate::graphfile::spec::{SecretPlace, Stage};
use crate::outside::state;

/// The shortest value that is hidden. Shorter ones would blot out half the log, and are no secrets.
const SHORTEST: usize = 4;
const BLOT: &[u8] = b"***";

/// Hides secret values.
#[derive(Default)]
pub struct Redactor {
    values: Vec<Vec<u8>>,
}

impl Redactor {
    /// Reads the values of a stage's secrets. Paths of secret files are relative to `root`.
    pub fn of(stage: &Stage, root: &Utf8Path) -> Self {
        let mut values = Vec::new();
        for secret in stage.secrets.values() {
            let value = match &secret.place {
                SecretPlace::Env(name) => {
                    std::env::var_os(name).map(std::os::unix::ffi::OsStringExt::into_vec)
                }
                SecretPlace::File(file) => state::read(&root.join(file)).ok().flatten(),
            };
            values.push(value.unwrap_or_default());
        }
        Self::of_values(values)
    }

    /// Hides these values.
    pub fn of_values(all: impl IntoIterator<Item = Vec<u8>>) -> Self {
        let mut values = Vec::new();
        for value in all {
            // A log is made of lines, so a value of several lines is hidden line by line.
            let lines = value.split(|byte| *byte == b'\n' || *byte == b'\r');
            values.extend(
                lines
                    .filter(|line| line.len() >= SHORTEST)
                    .map(<[u8]>::to_vec),
            );
        }
        values.sort_by_key(|value| std::cmp::Reverse(value.len()));
        Self { values }
    }

    /// `line` with every secret value blotted out.
    pub fn clean(&self, line: &[u8]) -> Vec<u8> {
        self.values
            .iter()
            .fold(line.to_vec(), |line, value| replace(&line, value))
    }

    /// The same for text.
    pub fn clean_text(&self, text: &str) -> String {
        if self.values.is_empty() {
            return text.to_owned();
        }
        String::from_utf8_lossy(&self.clean(text.as_bytes())).into_owned()
    }
}

impl std::fmt::Debug for Redactor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Redactor({} values)", self.values.len())
    }
}

fn replace(line: &[u8], value: &[u8]) -> Vec<u8> {
    let mut clean = Vec::with_capacity(line.len());
    let mut at = 0;
    while at < line.len() {
        if line[at..].starts_with(value) {
            clean.extend_from_slice(BLOT);
            at += value.len();
        } else {
            clean.push(line[at]);
            at += 1;
        }
    }
    clean
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_blotted_out_wherever_it_stands() {
        let redactor = Redactor {
            values: vec![b"hunter2".to_vec()],
        };
        assert_eq!(redactor.clean(b"a hunter2b hunter2"), b"a ***b ***");
        assert_eq!(redactor.clean_text("hunter"), "hunter");
        assert!(!format!("{redactor:?}").contains("hunter2"));
    }
}
