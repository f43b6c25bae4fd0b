//! Twelve ways in which a build fails. Each time its cause is among the last lines, and once.

use super::{host, project, registry, unique, with_base};

/// How many lines a person sees without scrolling.
const SEEN: usize = 15;

#[test]
fn the_cause_of_a_failed_build_is_among_the_last_lines_and_once() {
    let registry = registry().unwrap_or_else(|| "127.0.0.1:1".into());
    let missing = format!("COPY --from={registry}/nonesuch:1 /x /x");
    // The words of the cause are not in the command, which is shown, too.
    let ways = [
        (
            "lines",
            "RUN for i in $(seq 60); do echo line $i; done; echo fa''tal: no luck >&2; exit 3",
            "fatal: no luck",
        ),
        (
            "stderr",
            "RUN echo err''or: no such thing >&2; exit 1",
            "error: no such thing",
        ),
        ("killed", "RUN sh -c 'kill -9 $$'; exit $?", "exit code 137"),
        (
            "space",
            "RUN --mount=type=tmpfs,target=/t,size=1048576 dd if=/dev/zero of=/t/x bs=1M count=4",
            "No space left on device",
        ),
        ("absent", missing.as_str(), "nonesuch:1"),
        (
            "refused",
            "COPY --from=127.0.0.1:1/other:1 /x /x",
            "connection refused",
        ),
        ("copy", "COPY nothing.txt /", "nothing.txt"),
        ("syntax", "RUNN echo hi", "unknown instruction"),
        ("heredoc", "RUN <<EOF\necho hi", "unterminated heredoc"),
        (
            "memory",
            "RUN ulimit -v 20000; awk 'BEGIN { s = \"x\"; while (1) s = s s }'",
            "out of memory",
        ),
        ("network", "RUN nc -w 3 127.0.0.1 9", "Connection refused"),
        ("time", "RUN timeout 1 sleep 60; exit $?", "exit code 143"),
    ];
    let mut project = with_base(project(&host()));
    let mut graph = "version = 1\n[stage.base]\ncontext = \"base\"\n".to_owned();
    for (name, line, _) in ways {
        graph.push_str(&format!(
            "[stage.{name}]\ncontext = \"{name}\"\ncontexts = {{ parent = {{ stage = \"base\" }} }}\n"
        ));
        let text = format!("FROM parent\nCOPY own /own\n{line}\n");
        project = project
            .file(&format!("{name}/Dockerfile"), text)
            .file(&format!("{name}/own"), unique(name));
    }
    project.write("build-graph.toml", graph);
    project.run(&["build", "base"]).ends(0);
    for (name, _, cause) in ways {
        let ran = project.run(&["build", name]);
        let lines: Vec<&str> = ran.stderr.lines().collect();
        let last = lines[lines.len().saturating_sub(SEEN)..].join("\n");
        let times = last.to_lowercase().matches(&cause.to_lowercase()).count();
        assert!(times == 1, "{name}, {times} times:\n{}", ran.stderr);
        assert!(ran.stderr.contains(name), "{name}:\n{}", ran.stderr);
    }
}
