//! The program's own state below a context.

use super::tree::{TestTree, copy, one, paths, whole};
use crate::contexts::{Ignore, Inputs, InputsError, StatCache, Tracer, collect};
use dockerfile::ContextNeed;

const STATE: &str = "t/x/graph-0123456789ab/records";

fn take(tree: &TestTree, ignore: &str, need: &ContextNeed) -> Result<Inputs, InputsError> {
    let cache = StatCache::in_memory();
    let tracer = Tracer::forgetful(&cache).beside(&tree.at("t/x"));
    let ignore = Ignore::parse(ignore.as_bytes()).unwrap();
    collect(&one(tree.root()), &ignore, need, &tracer)
}

fn refused(tree: &TestTree, ignore: &str, need: &ContextNeed) -> String {
    match take(tree, ignore, need) {
        Err(InputsError::OwnState { pattern, .. }) => pattern,
        other => panic!("{other:?}"),
    }
}

#[test]
fn the_state_is_no_input_and_the_pattern_leaves_it_out() {
    let tree = TestTree::new().files(&["a", "t/b", STATE, "t/x/graph-ffffffffffff/memos"]);
    for need in [whole(), copy(&["t"]), copy(&["t/x"]), copy(&["."])] {
        let pattern = refused(&tree, "", &need);
        assert_eq!(pattern, "t/x/graph-*");
        take(&tree, &pattern, &need).unwrap();
    }
    let inputs = take(&tree, "t/x/graph-*", &whole()).unwrap();
    assert_eq!(paths(&inputs), ["a", "t/", "t/b", "t/x/"]);
}

#[test]
fn what_takes_nothing_of_the_state_is_not_refused() {
    let tree = TestTree::new().files(&["a", "t/b", STATE]);
    take(&tree, "", &copy(&["a", "t/b"])).unwrap();
    take(&tree, "t", &whole()).unwrap();
    take(&tree, "*\n!**/*.py\n", &whole()).unwrap();
    let other = TestTree::new().files(&["t/x/graph-other/c", "graph-0123456789ab/c"]);
    assert_eq!(take(&other, "", &whole()).unwrap().entries.len(), 6);
}

#[test]
fn what_an_exception_takes_in_again_is_refused() {
    let tree = TestTree::new().files(&["a.py", STATE, "t/x/graph-0123456789ab/sources/s.py"]);
    let ignore = "*\n!**/*.py\n";
    let pattern = refused(&tree, ignore, &whole());
    let inputs = take(&tree, &format!("{ignore}{pattern}\n"), &whole()).unwrap();
    assert_eq!(paths(&inputs), ["a.py"]);
}

#[test]
fn a_name_that_means_something_else_in_a_pattern_is_escaped() {
    let tree = TestTree::new().files(&["[a]*/graph-0123456789ab/c"]);
    let cache = StatCache::in_memory();
    let tracer = || Tracer::forgetful(&cache).beside(&tree.at("[a]*"));
    let took = |ignore: &Ignore| collect(&one(tree.root()), ignore, &whole(), &tracer());
    let Err(InputsError::OwnState { pattern, .. }) = took(&Ignore::default()) else {
        panic!("it was not refused");
    };
    let inputs = took(&Ignore::parse(pattern.as_bytes()).unwrap()).unwrap();
    assert_eq!(paths(&inputs), ["[a]*/"]);
}
