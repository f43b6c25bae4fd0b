//! Hostile streams. If the work grew faster than the stream, these tests would take minutes.

use base64::Engine as _;
use proptest::prelude::*;

use crate::build::executor::rawjson::*;

fn all<L: AsRef<[u8]>>(lines: impl IntoIterator<Item = L>) -> Vec<ProgressEvent> {
    let mut reader = ProgressReader::default();
    let mut said = Vec::new();
    for line in lines {
        said.extend(reader.line(line.as_ref()));
    }
    said.extend(reader.finish());
    said
}

fn log(vertex: &str, data: &[u8]) -> String {
    let data = base64::engine::general_purpose::STANDARD.encode(data);
    format!("{{\"logs\":[{{\"vertex\":\"{vertex}\",\"data\":\"{data}\"}}]}}")
}

fn began(vertex: usize) -> String {
    format!(
        "{{\"vertexes\":[{{\"digest\":\"{vertex}\",\"name\":\"{vertex}\",\"started\":\"t\"}}]}}"
    )
}

fn printed(step: usize, line: impl Into<Vec<u8>>) -> ProgressEvent {
    output((step, StdStream::Out), line.into(), false)
}

#[test]
fn a_line_of_several_megabytes_is_cut() {
    let plain = all(["x".repeat(8 << 20)]);
    assert_eq!(plain, [ProgressEvent::Plain("x".repeat(LONGEST_LINE))]);
    let logs: Vec<String> = (0..8).map(|_| log("a", &b"x".repeat(500_000))).collect();
    assert_eq!(all(logs), [printed(0, vec![b'x'; LONGEST_LINE])]);
    let in_one = "{\"logs\":[{\"data\":\"".to_owned() + &"A".repeat(4 << 20);
    let said = all([in_one.as_str(), "\"}]", "}", "after"]);
    let [ProgressEvent::Plain(object), ProgressEvent::Plain(after)] = said.as_slice() else {
        panic!("{} are said", said.len());
    };
    assert!(object.len() < LONGEST_LINE + 10 && after == "after");
}

#[test]
fn a_line_that_comes_byte_by_byte_is_not_copied_for_each() {
    let mut lines = vec![
        log("a", &b"x".repeat(700_000)),
        log("a", &b"x".repeat(700_000)),
    ];
    lines.extend((0..400_000).map(|_| log("a", b".")));
    lines.push(log("a", b"\nnext"));
    let expected = [vec![b'x'; LONGEST_LINE], b"next".to_vec()].map(|line| printed(0, line));
    assert_eq!(all(lines), expected);
}

#[test]
fn a_hundred_thousand_messages_steps_and_lines_are_read() {
    let steps = all((0..100_000).map(began));
    assert_eq!(steps.len(), 100_000);
    let again = all((0..200_000).map(|at| began(at % 1_000)));
    assert_eq!(again.len(), 1_000);
    let open = all((0..100_000).map(|at| log(&at.to_string(), b"open")));
    assert_eq!(open.len(), 100_000);
    let lines = all([log("a", &b"x\n".repeat(100_000))]);
    assert_eq!(lines.len(), 100_000);
    assert_eq!(all(std::iter::repeat_n("ERROR", 100_000)).len(), 100_000);
}

#[test]
fn an_object_that_never_ends_is_kept_up_to_a_limit() {
    let lines = std::iter::repeat_n("x".repeat(100_000), 400);
    let said = all(std::iter::once("{".to_owned()).chain(lines));
    let [ProgressEvent::Plain(text)] = said.as_slice() else {
        panic!("{} are said", said.len());
    };
    assert!(text.len() <= LARGEST_OBJECT + 1);
    let empty = all(std::iter::once("{").chain(std::iter::repeat_n("", 20_000_000)));
    assert_eq!(empty, [ProgressEvent::Plain("{".to_owned())]);
}

#[test]
fn deep_nesting_ends() {
    let arrays = format!("{{\"x\":{}{}}}", "[".repeat(400_000), "]".repeat(400_000));
    assert_eq!(all([&arrays]), [], "a field that nobody asks for");
    let vertexes = format!(
        "{{\"vertexes\":{}{}}}",
        "[".repeat(400_000),
        "]".repeat(400_000)
    );
    assert_eq!(all([&vertexes]), [ProgressEvent::Plain(vertexes)]);
    let objects = format!("{}{}", "{\"logs\":".repeat(100_000), "}".repeat(100_000));
    assert_eq!(all([&objects]), [ProgressEvent::Plain(objects)]);
    assert_eq!(all(std::iter::repeat_n("{", 100_000)).len(), 1);
}

/// Streams of these tokens in any order.
fn tokens() -> impl Strategy<Value = String> {
    let token = prop_oneof![
        Just("{".to_owned()),
        Just("}".to_owned()),
        Just("\n".to_owned()),
        Just("{\"vertexes\":[".to_owned()),
        Just("{\"logs\":[".to_owned()),
        Just("{\"vertex\":\"a\",\"data\":\"eAp4\"}".to_owned()),
        Just("{\"digest\":\"a\",\"name\":\"n\",\"started\":\"t\"}".to_owned()),
        Just("{\"digest\":\"a\",\"completed\":\"t\",\"error\":\"e\"}".to_owned()),
        Just(",".to_owned()),
        Just("]}".to_owned()),
        Just("null".to_owned()),
        "\\PC{0,4}",
    ];
    proptest::collection::vec(token, 0..30).prop_map(|tokens| tokens.concat())
}

proptest! {
    #[test]
    fn no_stream_makes_its_reader_panic(
        bytes in proptest::collection::vec(any::<u8>(), 0..200),
        odd in tokens(),
    ) {
        for stream in [&bytes, odd.as_bytes()] {
            all(stream.split(|byte| *byte == b'\n'));
        }
    }

    #[test]
    fn output_is_the_same_lines_however_it_is_cut_into_messages(
        parts in proptest::collection::vec("[ab\n]{0,5}", 0..12),
    ) {
        let said = all(parts.iter().map(|part| log("a", part.as_bytes())));
        let whole = parts.concat();
        let mut lines: Vec<&str> = whole.split('\n').collect();
        if lines.last() == Some(&"") {
            lines.pop();
        }
        let lines: Vec<ProgressEvent> = lines
            .into_iter()
            .map(|line| printed(0, line))
            .collect();
        prop_assert_eq!(said, lines);
    }
}
