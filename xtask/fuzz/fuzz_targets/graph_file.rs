//! A graph file: what passes all checks must also have an order, or a cycle that is named.

#![no_main]

use libfuzzer_sys::fuzz_target;
use xtask::graphfile::graph::Graph;
use xtask::graphfile::options::GraphOptions;
use xtask::graphfile::spec;

fuzz_target!(|text: &str| {
    let file = "build-graph.toml".into();
    for profile in [None, Some("p")] {
        if let Ok(spec) = spec::read(file, "/".into(), text, &GraphOptions::profile(profile))
            && let Ok(graph) = Graph::of(&spec)
        {
            assert_eq!(graph.order().len(), spec.stages.len());
        }
    }
});
