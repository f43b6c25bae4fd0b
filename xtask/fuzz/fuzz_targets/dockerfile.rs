//! A Dockerfile. The same text must give the same answer twice, and a comment at its end must
//! not change what counts. What has no FROM as BuildKit reads it must get no answer, unless
//! another frontend reads it: an engine may die of it.

#![no_main]

use std::collections::{BTreeMap, BTreeSet};

use libfuzzer_sys::fuzz_target;
use dockerfile::{Question, has_from, read};

fuzz_target!(|data: &[u8]| {
    let args = BTreeMap::from([("A".to_owned(), "b".to_owned())]);
    let contexts = BTreeSet::from(["a".to_owned()]);
    let question = Question {
        args: &args,
        platform: Some("linux/amd64"),
        contexts: &contexts,
        ..Question::default()
    };
    let answer = read(data, &question);
    assert_eq!(answer, read(data, &question));
    let Ok(answer) = answer else { return };
    assert!(has_from(data) || answer.syntax.is_some());
    let commented = [data, b"\n# a comment\n"].concat();
    if let Ok(with_comment) = read(&commented, &question) {
        let plain = answer.undecided.is_empty() && with_comment.undecided.is_empty();
        assert!(!plain || answer.fingerprint == with_comment.fingerprint);
    }
});
