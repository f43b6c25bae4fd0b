//! Buildx's `--progress=rawjson`, read as it comes.
//!
//! Knows the stream: JSON objects, pretty-printed one after the other, with plain lines
//! (errors, warnings) between them. Turns it into steps and log lines; is unaware of stages
//! and of where the bytes come from.

use std::collections::{BTreeMap, HashMap};

use base64::Engine as _;
use serde::Deserialize;

/// A line longer than this is cut: nobody reads it, and memory stays bounded.
const LONGEST_LINE: usize = 1 << 20;
/// An object larger than this is dropped.
const LARGEST_OBJECT: usize = 16 << 20;

/// What the stream says, for people and for the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Said {
    /// A step began to run.
    Step(String),
    /// A step ended, or was taken from the cache.
    Done {
        /// Its name.
        name: String,
        /// Whether BuildKit had it already.
        cached: bool,
        /// Why it failed.
        error: Option<String>,
    },
    /// A line that a step printed.
    Output(Vec<u8>),
    /// A line of buildx itself.
    Plain(String),
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Status {
    vertexes: Vec<Vertex>,
    logs: Vec<Log>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Vertex {
    digest: String,
    name: String,
    started: Option<String>,
    completed: Option<String>,
    cached: bool,
    error: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Log {
    vertex: String,
    /// Base64, as Go prints bytes.
    data: String,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
struct Seen {
    started: bool,
    ended: bool,
}

/// Reads the stream line by line.
#[derive(Debug, Default)]
pub struct Reader {
    object: Vec<u8>,
    inside: bool,
    seen: HashMap<String, Seen>,
    /// The unfinished last line of each step.
    partial: BTreeMap<String, Vec<u8>>,
}

impl Reader {
    /// Takes one line, without its end, and gives what became known by it.
    pub fn line(&mut self, line: &[u8]) -> Vec<Said> {
        let line = &line[..line.len().min(LONGEST_LINE)];
        if !self.inside && line.first() != Some(&b'{') {
            let text = String::from_utf8_lossy(line).trim_end().to_owned();
            return if text.is_empty() {
                Vec::new()
            } else {
                vec![Said::Plain(text)]
            };
        }
        self.inside = true;
        if self.object.len() + line.len() <= LARGEST_OBJECT {
            self.object.extend_from_slice(line);
            self.object.push(b'\n');
        }
        // A pretty-printed object ends with a brace of its own; a compact one is one line.
        let ends = line.first() == Some(&b'}')
            || (line.first() == Some(&b'{') && line.len() > 1 && line.ends_with(b"}"));
        if !ends {
            return Vec::new();
        }
        self.inside = false;
        let object = std::mem::take(&mut self.object);
        // What is not a status after all is shown as it is.
        serde_json::from_slice::<Status>(&object).map_or_else(
            |_| {
                vec![Said::Plain(
                    String::from_utf8_lossy(&object).trim_end().to_owned(),
                )]
            },
            |status| self.status(status),
        )
    }

    /// The lines that never ended.
    pub fn finish(mut self) -> Vec<Said> {
        let mut said: Vec<Said> = std::mem::take(&mut self.partial)
            .into_values()
            .filter(|line| !line.is_empty())
            .map(Said::Output)
            .collect();
        if !self.object.is_empty() {
            said.push(Said::Plain(
                String::from_utf8_lossy(&self.object).trim_end().to_owned(),
            ));
        }
        said
    }

    fn status(&mut self, status: Status) -> Vec<Said> {
        let mut said = Vec::new();
        for vertex in &status.vertexes {
            let seen = self.seen.entry(vertex.digest.clone()).or_default();
            if vertex.started.is_some() && !seen.started {
                seen.started = true;
                if !vertex.cached {
                    said.push(Said::Step(vertex.name.clone()));
                }
            }
        }
        for log in status.logs {
            let partial = self.partial.entry(log.vertex).or_default();
            // Only what is new is looked at: a line may come byte by byte.
            let data = base64(&log.data);
            let mut lines = data.split(|byte| *byte == b'\n');
            let rest = lines.next_back().unwrap_or_default();
            for line in lines {
                append(partial, line);
                said.push(Said::Output(std::mem::take(partial)));
            }
            append(partial, rest);
        }
        for vertex in status.vertexes {
            let Some(seen) = self.seen.get_mut(&vertex.digest) else {
                continue;
            };
            if vertex.completed.is_some() && !seen.ended {
                seen.ended = true;
                if let Some(rest) = self
                    .partial
                    .remove(&vertex.digest)
                    .filter(|rest| !rest.is_empty())
                {
                    said.push(Said::Output(rest));
                }
                let error = Some(vertex.error).filter(|error| !error.is_empty());
                said.push(Said::Done {
                    name: vertex.name,
                    cached: vertex.cached,
                    error,
                });
            }
        }
        said
    }
}

/// Adds to a line as much as it may still grow by.
fn append(line: &mut Vec<u8>, more: &[u8]) {
    let room = LONGEST_LINE.saturating_sub(line.len());
    line.extend_from_slice(&more[..more.len().min(room)]);
}

/// Go prints bytes as standard base64; what is not that is no output.
fn base64(text: &str) -> Vec<u8> {
    base64::engine::general_purpose::STANDARD
        .decode(text)
        .unwrap_or_default()
}

#[cfg(test)]
mod tests_hostile;

#[cfg(test)]
mod tests {
    use super::*;

    fn all(text: &str) -> Vec<Said> {
        let mut reader = Reader::default();
        let mut said: Vec<Said> = text
            .lines()
            .flat_map(|line| reader.line(line.as_bytes()))
            .collect();
        said.extend(reader.finish());
        said
    }

    const STARTED: &str = "{\n  \"vertexes\": [\n    {\n \"digest\": \"a\", \"name\": \"[1/2] RUN x\", \"started\": \"now\"\n}\n  ]\n}\n";

    #[test]
    fn a_step_that_starts_is_said_once() {
        assert_eq!(
            all(&STARTED.replace("\n}\n", "}\n").replace("]}", "]\n}")).len(),
            1
        );
        let twice = all(
            &"{\"vertexes\":[{\"digest\":\"a\",\"name\":\"s\",\"started\":\"t\"}]}\n".repeat(2),
        );
        assert_eq!(twice, [Said::Step("s".into())]);
    }

    #[test]
    fn output_is_cut_into_lines_across_messages_and_its_rest_is_kept() {
        // "one\ntw" and "o\nthree"
        let text = "{\"vertexes\":[{\"digest\":\"a\",\"name\":\"s\",\"started\":\"t\"}]}\n\
            {\"logs\":[{\"vertex\":\"a\",\"data\":\"b25lCnR3\"}]}\n\
            {\"logs\":[{\"vertex\":\"a\",\"data\":\"bwp0aHJlZQ==\"}]}\n";
        let lines = ["one", "two", "three"].map(|line| Said::Output(line.as_bytes().to_vec()));
        assert_eq!(all(text)[1..], lines);
    }

    #[test]
    fn what_is_not_json_is_a_plain_line() {
        assert_eq!(
            all("ERROR: no such thing\n"),
            [Said::Plain("ERROR: no such thing".into())]
        );
        assert_eq!(all("{oops}\n"), [Said::Plain("{oops}".into())]);
    }

    #[test]
    fn a_cached_step_is_done_without_having_begun() {
        let text = "{\"vertexes\":[{\"digest\":\"a\",\"name\":\"s\",\"started\":\"t\",\"completed\":\"t\",\"cached\":true}]}\n";
        assert_eq!(
            all(text),
            [Said::Done {
                name: "s".into(),
                cached: true,
                error: None
            }]
        );
    }
}
