//! Reads buildx's `--progress=rawjson` as it comes, and turns it into steps and log lines. The
//! stream is JSON objects, pretty-printed one after the other, with plain lines (errors, warnings)
//! between them.

use std::collections::{BTreeMap, HashMap};

use base64::Engine as _;
use serde::Deserialize;

use crate::report::excerpt::StdStream;

/// A line longer than this is cut: nobody reads it, and memory stays bounded.
const LONGEST_LINE: usize = 1 << 20;
/// An object larger than this is dropped.
const LARGEST_OBJECT: usize = 16 << 20;

/// What the stream says, for people and for the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ProgressEvent {
    /// A step began to run.
    Step(String),
    /// A step ended, or was taken from the cache.
    Done {
        /// Its number.
        step: usize,
        /// Its name.
        name: String,
        /// Whether BuildKit had it already.
        cached: bool,
        /// Why it failed.
        error: Option<String>,
        /// When it ran, if the builder says so.
        span: Option<ClockSpan>,
    },
    /// A line that a step printed.
    Output(ProgressLine),
    /// A line of buildx itself.
    Plain(String),
}

/// From when to when a step ran, by the builder's clock, in milliseconds since 1970.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClockSpan {
    /// When it began.
    pub from_ms: i64,
    /// When it ended.
    pub to_ms: i64,
}

/// A line that a step printed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProgressLine {
    /// The step's number.
    pub step: usize,
    /// The stream that it came from.
    pub stream: StdStream,
    /// The line, without its line ending.
    pub text: Vec<u8>,
    /// Whether a carriage return ended it, so that a terminal writes the next line over it.
    pub is_overwritten: bool,
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

impl Vertex {
    fn span(&self) -> Option<ClockSpan> {
        let from_ms = calendar::rfc3339_ms(self.started.as_deref()?)?;
        let to_ms = calendar::rfc3339_ms(self.completed.as_deref()?)?;
        (from_ms <= to_ms).then_some(ClockSpan { from_ms, to_ms })
    }
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Log {
    vertex: String,
    /// 2 is stderr.
    stream: i64,
    /// Base64, as Go prints bytes.
    data: String,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
struct Seen {
    step: usize,
    started: bool,
    ended: bool,
}

/// Reads the stream line by line.
#[derive(Debug, Default)]
pub struct ProgressReader {
    object: Vec<u8>,
    inside: bool,
    seen: HashMap<String, Seen>,
    /// The unfinished last line of each step on each stream.
    partial: BTreeMap<(usize, StdStream), Vec<u8>>,
}

impl ProgressReader {
    /// Takes one line, without its line ending, and gives the events that it completes.
    pub fn line(&mut self, line: &[u8]) -> Vec<ProgressEvent> {
        let line = &line[..line.len().min(LONGEST_LINE)];
        if !self.inside && line.first() != Some(&b'{') {
            let text = String::from_utf8_lossy(line).trim_end().to_owned();
            return if text.is_empty() {
                Vec::new()
            } else {
                vec![ProgressEvent::Plain(text)]
            };
        }
        self.inside = true;
        if self.object.len() + line.len() <= LARGEST_OBJECT {
            self.object.extend_from_slice(line);
            self.object.push(b'\n');
        }
        // A pretty-printed object ends with a brace on its own line; a compact object is one line.
        let ends = line.first() == Some(&b'}')
            || (line.first() == Some(&b'{') && line.len() > 1 && line.ends_with(b"}"));
        if !ends {
            return Vec::new();
        }
        self.inside = false;
        let object = std::mem::take(&mut self.object);
        // An object that is not a status is shown as it is.
        serde_json::from_slice::<Status>(&object).map_or_else(
            |_| {
                vec![ProgressEvent::Plain(
                    String::from_utf8_lossy(&object).trim_end().to_owned(),
                )]
            },
            |status| self.status(status),
        )
    }

    /// Ends the stream, and gives the lines that have no line ending.
    pub fn finish(mut self) -> Vec<ProgressEvent> {
        let mut said = Vec::new();
        for (from, rest) in std::mem::take(&mut self.partial) {
            end_of(from, rest, &mut said);
        }
        if !self.object.is_empty() {
            said.push(ProgressEvent::Plain(
                String::from_utf8_lossy(&self.object).trim_end().to_owned(),
            ));
        }
        said
    }

    fn status(&mut self, status: Status) -> Vec<ProgressEvent> {
        let mut said = Vec::new();
        for vertex in &status.vertexes {
            let seen = self.seen(&vertex.digest);
            if vertex.started.is_some() && !seen.started {
                seen.started = true;
                if !vertex.cached {
                    said.push(ProgressEvent::Step(vertex.name.clone()));
                }
            }
        }
        for log in status.logs {
            let stream = if log.stream == 2 {
                StdStream::Err
            } else {
                StdStream::Out
            };
            let from = (self.seen(&log.vertex).step, stream);
            let partial = self.partial.entry(from).or_default();
            take_lines(from, partial, &base64(&log.data), &mut said);
        }
        for vertex in status.vertexes {
            let seen = self.seen(&vertex.digest);
            if vertex.completed.is_some() && !seen.ended {
                seen.ended = true;
                let step = seen.step;
                for stream in [StdStream::Out, StdStream::Err] {
                    if let Some(rest) = self.partial.remove(&(step, stream)) {
                        end_of((step, stream), rest, &mut said);
                    }
                }
                let span = vertex.span();
                let error = Some(vertex.error).filter(|error| !error.is_empty());
                said.push(ProgressEvent::Done {
                    step,
                    name: vertex.name,
                    cached: vertex.cached,
                    error,
                    span,
                });
            }
        }
        said
    }

    fn seen(&mut self, digest: &str) -> &mut Seen {
        let step = self.seen.len();
        self.seen.entry(digest.to_owned()).or_insert(Seen {
            step,
            ..Seen::default()
        })
    }
}

/// Cuts the output of a step into lines. Scans only the new bytes, as a line may come byte by byte.
fn take_lines(
    from: (usize, StdStream),
    partial: &mut Vec<u8>,
    data: &[u8],
    said: &mut Vec<ProgressEvent>,
) {
    let mut start = 0;
    let mut line = |partial: &mut Vec<u8>, is_overwritten| {
        said.push(output(from, std::mem::take(partial), is_overwritten));
    };
    for (at, byte) in data.iter().enumerate() {
        // A carriage return ends a line if something else than a newline follows it.
        let returned = match at.checked_sub(1) {
            Some(before) if before >= start => data[before] == b'\r',
            Some(_) => false,
            None => partial.ends_with(b"\r"),
        };
        if *byte == b'\n' {
            append(partial, &data[start..at]);
            strip(partial);
            line(partial, false);
            start = at + 1;
        } else if returned && *byte != b'\r' {
            append(partial, &data[start..at]);
            strip(partial);
            line(partial, true);
            start = at;
        }
    }
    append(partial, &data[start..]);
}

/// Gives a step's last line, which has no line ending.
fn end_of(from: (usize, StdStream), mut rest: Vec<u8>, said: &mut Vec<ProgressEvent>) {
    strip(&mut rest);
    if !rest.is_empty() {
        said.push(output(from, rest, false));
    }
}

fn strip(line: &mut Vec<u8>) {
    while line.last() == Some(&b'\r') {
        line.pop();
    }
}

const fn output(
    (step, stream): (usize, StdStream),
    text: Vec<u8>,
    is_overwritten: bool,
) -> ProgressEvent {
    ProgressEvent::Output(ProgressLine {
        step,
        stream,
        text,
        is_overwritten,
    })
}

/// Adds to a line, but not beyond `LONGEST_LINE`.
fn append(line: &mut Vec<u8>, more: &[u8]) {
    let room = LONGEST_LINE.saturating_sub(line.len());
    line.extend_from_slice(&more[..more.len().min(room)]);
}

/// Go prints bytes as standard base64. Anything else counts as no output.
fn base64(text: &str) -> Vec<u8> {
    base64::engine::general_purpose::STANDARD
        .decode(text)
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    mod hostile;

    use super::*;

    fn all(text: &str) -> Vec<ProgressEvent> {
        let mut reader = ProgressReader::default();
        let mut said: Vec<ProgressEvent> = text
            .lines()
            .flat_map(|line| reader.line(line.as_bytes()))
            .collect();
        said.extend(reader.finish());
        said
    }

    fn log(stream: usize, text: &str) -> String {
        let data = base64::engine::general_purpose::STANDARD.encode(text);
        format!("{{\"logs\":[{{\"vertex\":\"a\",\"stream\":{stream},\"data\":\"{data}\"}}]}}\n")
    }

    fn printed(stream: StdStream, line: &str, is_overwritten: bool) -> ProgressEvent {
        output((0, stream), line.into(), is_overwritten)
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
        assert_eq!(twice, [ProgressEvent::Step("s".into())]);
    }

    #[test]
    fn output_is_cut_into_lines_across_messages_and_its_rest_is_kept() {
        // "one\ntw" and "o\nthree"
        let text = "{\"vertexes\":[{\"digest\":\"a\",\"name\":\"s\",\"started\":\"t\"}]}\n\
            {\"logs\":[{\"vertex\":\"a\",\"data\":\"b25lCnR3\"}]}\n\
            {\"logs\":[{\"vertex\":\"a\",\"data\":\"bwp0aHJlZQ==\"}]}\n";
        let lines = ["one", "two", "three"].map(|line| printed(StdStream::Out, line, false));
        assert_eq!(all(text)[1..], lines);
    }

    #[test]
    fn a_line_of_one_stream_is_not_glued_to_a_line_of_the_other() {
        let text = [log(1, "so far "), log(2, "fatal: it\n"), log(1, "and on\n")].concat();
        let expected = [
            printed(StdStream::Err, "fatal: it", false),
            printed(StdStream::Out, "so far and on", false),
        ];
        assert_eq!(all(&text), expected);
    }

    #[test]
    fn a_progress_bar_is_lines_that_are_written_over() {
        let lines = [("1%", true), ("2%", true), ("done", false), ("next", false)];
        let expected = lines.map(|(line, over)| printed(StdStream::Out, line, over));
        for cut in [
            &["1%\r2%\r\rdone\r\nnext"][..],
            &["1%\r", "2%\r", "\rdone\r", "\nnext\r"],
            &[
                "1", "%", "\r", "2", "%", "\r", "\r", "done", "\r", "\n", "next",
            ],
        ] {
            let text: String = cut.iter().map(|part| log(1, part)).collect();
            assert_eq!(all(&text), expected, "{cut:?}");
        }
    }

    #[test]
    fn what_is_not_json_is_a_plain_line() {
        assert_eq!(
            all("ERROR: no such thing\n"),
            [ProgressEvent::Plain("ERROR: no such thing".into())]
        );
        assert_eq!(all("{oops}\n"), [ProgressEvent::Plain("{oops}".into())]);
    }

    #[test]
    fn a_step_ends_with_the_span_that_the_builder_gives() {
        let span = |started: &str, completed: &str| {
            let vertex = format!(
                "{{\"vertexes\":[{{\"digest\":\"a\",\"name\":\"s\",\"started\":\"{started}\",\"completed\":\"{completed}\"}}]}}\n"
            );
            match all(&vertex).pop() {
                Some(ProgressEvent::Done { span, .. }) => span,
                other => panic!("{other:?}"),
            }
        };
        let (one, two) = ("1970-01-01T00:00:01.25Z", "1970-01-01T00:00:02.5Z");
        let expected = ClockSpan {
            from_ms: 1250,
            to_ms: 2500,
        };
        assert_eq!(span(one, two), Some(expected));
        assert_eq!((span(two, one), span("t", two)), (None, None));
    }

    #[test]
    fn a_cached_step_is_done_without_having_begun() {
        let text = "{\"vertexes\":[{\"digest\":\"a\",\"name\":\"s\",\"started\":\"t\",\"completed\":\"t\",\"cached\":true}]}\n";
        assert_eq!(
            all(text),
            [ProgressEvent::Done {
                step: 0,
                name: "s".into(),
                cached: true,
                error: None,
                span: None,
            }]
        );
    }
}
