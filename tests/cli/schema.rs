//! `cargo xtask schema`.

use super::documents::read;
use super::support::Project;

#[test]
fn the_schema_is_printed_as_it_is_committed_wherever_it_is_asked_for() {
    // There is no graph file here.
    let ran = Project::new().run_in("", &["schema"]).ends(0);
    assert_eq!(ran.stdout, read("xtask/build-graph.schema.json"));
}
