//! What a person sees of a run while it goes on.

use std::process::Command;

#[test]
fn test_and_bench_say_at_once_what_they_do() {
    let said = |arguments: &[&str], cargo: &str| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_xtask"));
        command.args(arguments).env("CARGO", cargo);
        let output = command.output().unwrap();
        String::from_utf8(output.stderr).unwrap()
    };
    // In the place of cargo, nothing is compiled, and nothing is said.
    let fast = said(&["test", "--fast", "nothing"], "true");
    let mut lines = fast.lines();
    assert_eq!(lines.next(), Some("to do: unit and documentation tests"));
    let running = "unit and documentation tests: running";
    assert_eq!(lines.next(), Some(running), "{fast}");
    let all = said(&["test", "--fast"], "false");
    let steps =
        "to do: formatting, lints, licences; unit and documentation tests\nformatting: running\n";
    assert!(all.starts_with(steps), "{all}");
    let mut bench = Command::new(env!("CARGO_BIN_EXE_xtask"));
    bench.args(["bench", "noop", "--runs", "1"]).env("PATH", "");
    let bench = String::from_utf8(bench.output().unwrap().stderr).unwrap();
    assert!(
        bench.starts_with("noop: Two images that are fresh"),
        "{bench}"
    );
}
