//! Hostile graph files. If the work grew faster than the file, they would take minutes, gigabytes
//! or the whole stack.

use crate::graphfile::options::GraphOptions;
use proptest::prelude::*;

use crate::graphfile::graph::Graph;
use crate::graphfile::spec::{Spec, read};

fn spec(text: &str) -> Result<Spec, String> {
    read(
        "build-graph.toml".into(),
        "/".into(),
        text,
        &GraphOptions::default(),
    )
    .map_err(|fault| fault.to_string())
}

#[track_caller]
fn refused(text: &str) -> String {
    spec(text).unwrap_err()
}

fn lines(times: usize, line: impl Fn(usize) -> String) -> String {
    (0..times).fold(String::new(), |text, n| text + &line(n))
}

/// A graph with this many stages `s0`, `s1`, …, each with lines of its own.
fn stages(times: usize, own: impl Fn(usize) -> String) -> String {
    let stage = |n| format!("[stage.s{n}]\ncontext = \"a\"\n{}\n", own(n));
    format!("version = 1\n{}", lines(times, stage))
}

#[test]
fn a_line_of_a_megabyte_is_read_or_refused() {
    let long = "a".repeat(1 << 20);
    let stage = |line: String| stages(1, |_| line.clone());
    assert!(refused(&stage(format!("{long} = 1"))).contains("unknown field"));
    assert!(refused(&stage(format!("from = \"{long}\""))).contains("unknown stage"));
    assert!(refused(&stage(format!("args = {{ A = \"{long}\" }}"))).contains("too long"));
    assert!(spec(&stage(format!("# {long}"))).is_ok());
    let named = stages(1, |_| format!("[stage.{long}]\ncontext = \"\""));
    assert!(refused(&named).contains("must not be longer"));
    let many = "\"a\", ".repeat(1 << 18);
    assert!(spec(&stage(format!("services = [{many}]"))).is_ok());
    let numbers = "1, ".repeat(1 << 18);
    assert!(refused(&stage(format!("services = [{numbers}]"))).contains("1 mistake in"));
    for odd in ["[", "{", "\"", "=", "a.", "''", "\\", "a = 1, "] {
        assert!(refused(&odd.repeat(1 << 18)).contains("not TOML"), "{odd}");
    }
    let tables = "a={},".repeat(100_000);
    assert!(refused(&format!("version = 1\nvars = {{{tables}}}")).contains("not TOML"));
}

#[test]
fn a_hundred_thousand_stages_are_read_and_ordered() {
    let apart = spec(&stages(100_000, |n| format!("image = \"i{n}\""))).unwrap();
    assert_eq!(apart.stages.len(), 100_000);
    let chain = stages(100_000, |n| match n {
        0 => String::new(),
        n => format!("from = \"s{}\"", n - 1),
    });
    let chain = spec(&chain).unwrap();
    let graph = Graph::of(&chain).unwrap();
    let last = chain.find("s99999").unwrap();
    assert_eq!(graph.closure(&[last]).len(), 100_000);
    assert_eq!(graph.order().last(), Some(&last));
}

#[test]
fn a_cycle_of_a_hundred_thousand_stages_is_named() {
    let ring = stages(100_000, |n| format!("from = \"s{}\"", (n + 1) % 100_000));
    let fault = Graph::of(&spec(&ring).unwrap()).unwrap_err();
    assert_eq!(fault.message.matches(" -> ").count(), 100_000);
}

#[test]
fn a_hundred_thousand_mistakes_are_counted_and_the_first_are_shown() {
    let one = stages(1, |_| String::new());
    let vars = lines(100_000, |n| format!("v{n} = \"\"\n"));
    let mentions = lines(100_000, |n| format!("a{n} = \"${{w{n}}}\"\n"));
    let cases = [
        stages(100_000, |n| format!("from = \"t{n}\"")),
        stages(100_000, |n| format!("image = \"i\"\ntarget = \"{n}\"")),
        one.clone() + "[vars]\n" + &lines(100_000, |n| format!("v{n} = {n}\n")),
        one.clone() + &lines(100_000, |n| format!("v{n} = {n}\n")),
        format!("{one}[stage.s0.args]\n{mentions}[vars]\n{vars}"),
        one.clone() + "[profile.p]\n" + &lines(100_000, |n| format!("x{n} = 1\n")),
        lines(100_000, |n| format!("{n}\n")),
    ];
    for text in cases {
        let message = refused(&text);
        let told = message.contains("of which the first 100 are shown");
        assert!(told, "{}", &text[..80]);
        assert!(message.len() < 1 << 20, "{} bytes", message.len());
    }
}

#[test]
fn a_long_name_is_not_repeated_in_every_mistake_about_others() {
    let long = "a".repeat(1 << 20);
    let rivals = stages(1_000, |n| format!("image = \"i\"\ntarget = \"{n}\""));
    let message = refused(&format!(
        "{rivals}[stage.{long}]\ncontext = \"a\"\nimage = \"i\"\n"
    ));
    assert!(message.len() < 16 << 20, "{} bytes", message.len());
}

#[test]
fn defaults_and_variables_do_not_multiply_beyond_bounds() {
    let args = lines(20_000, |n| format!("A{n} = \"x\"\n"));
    let many = lines(50_000, |n| format!("[stage.s{n}]\n"));
    let defaults = "version = 1\n[defaults]\ncontext = \"a\"\n";
    let text = format!("{defaults}[defaults.args]\n{args}{many}");
    assert!(refused(&text).contains("too large for so many stages"));
    let long = format!("[vars]\nv = \"{}\"\n", "x".repeat(1 << 19));
    let mentions = "${v}".repeat(100_000);
    let text = stages(1, |_| format!("args = {{ A = \"{mentions}\" }}"));
    assert!(refused(&(text + &long)).contains("grows too long"));
    let half = format!("[vars]\nv = \"{}\"\n", "x".repeat(100_000));
    let each = |n: usize| stages(n, |_| "args = { A = \"${v}\" }".to_owned()) + &half;
    assert!(refused(&each(50_000)).contains("grows too long"));
    assert!(spec(&each(50)).is_ok());
}

#[test]
fn deep_nesting_ends() {
    let deep = 200_000;
    for (open, close) in [("[", "]"), ("{a=", "}")] {
        let (open, close) = (open.repeat(deep), close.repeat(deep));
        let text = format!("version = 1\nvars = {open}{close}\n");
        assert!(refused(&text).contains("not TOML"));
    }
    let dotted = "a.".repeat(deep);
    for text in [
        format!("{dotted}a = 1\n"),
        format!("[{dotted}a]\n"),
        format!("[[{dotted}a]]\n"),
    ] {
        assert!(refused(&text).contains("not TOML"));
    }
    let name = "${".repeat(deep);
    let text = stages(1, |_| format!("image = \"{name}\""));
    assert!(refused(&text).contains("image name"));
}

/// The parts of such a file, in any order.
fn tokens() -> impl Strategy<Value = String> {
    const LINES: [&str; 21] = [
        "version = 1\n",
        "\n[stage.a]\n",
        "\n[stage.b]\ncontext = \"b\"\n",
        "\n[defaults]\n",
        "\n[vars]\nv = \"1\"\n",
        "\n[source.s]\npath = \"x\"\n",
        "git = \"é@[::1]:-x\"\nrev = \"a.lock/é\"\n",
        "mirrors = [\"ssh://@\", \"::\"]\nlayout = [\"..\"]\n",
        "\n[profile.p.stage.a]\n",
        "context = \"a\"\n",
        "image = \"t/${v}\"\n",
        "from = \"b\"\n",
        "contexts = { n = { stage = \"a\" } }\n",
        "secrets = [{ id = \"i\", env = \"E\" }, 1]\n",
        "prepare = { run = [\"x\"] }\n",
        "platforms = [\"linux/amd64\"]\n",
        "args = { A = \"${source.rev}\", \"-\" = \"é$\" }\n",
        "weight = 99\n",
        "keep = 0\n",
        "sourcé = \"s\"\n",
        "tags = [\"é\\u0000\"]\n",
    ];
    let line = proptest::sample::select(&LINES[..]).prop_map(str::to_owned);
    let token = prop_oneof![4 => line, 1 => "[\\[\\]{}=\",.$é\n a1]{0,6}"];
    proptest::collection::vec(token, 0..16).prop_map(|tokens| tokens.concat())
}

fn reads(text: &str) {
    for profile in [None, Some("p")] {
        if let Ok(spec) = read(
            "g.toml".into(),
            "/".into(),
            text,
            &GraphOptions::profile(profile),
        ) {
            let _ = Graph::of(&spec);
        }
    }
}

proptest! {
    #[test]
    fn no_text_makes_the_reader_of_graph_files_panic(
        any in "(?s).{0,120}",
        odd in tokens(),
        bytes in proptest::collection::vec(any::<u8>(), 0..120),
    ) {
        reads(&any);
        reads(&odd);
        reads(&format!("version = 1\n[stage.a]\ncontext = \"a\"\n{odd}"));
        reads(&String::from_utf8_lossy(&bytes));
    }
}
