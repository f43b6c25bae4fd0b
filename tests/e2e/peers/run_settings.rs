//! What RUN runs with, and labels that may change.

use super::{GRAPH, build, builds, host, is_built_again, one, unique};
use crate::{content, docker, with_base};

#[test]
fn what_run_runs_with_is_passed_on_and_another_value_is_built_again() {
    let graph = |lines: &str| {
        format!(
            "version = 1\n[stage.base]\ncontext = \"base\"\n[stage.a]\ncontext = \"a\"\nfrom = \"base\"\nimage = \"t/run\"\n{lines}"
        )
    };
    let all = "network = \"none\"\nshm-size = \"20m\"\nulimit = [\"nofile=100:200\"]\nadd-hosts = { \"db.test\" = \"10.1.2.3\" }\n";
    let dockerfile = "FROM base\n\
         RUN grep test /etc/hosts > /told; ulimit -n >> /told; ulimit -Hn >> /told; \
         df -k /dev/shm | tail -n 1 | awk '{print $2}' >> /told; ls /sys/class/net >> /told\n";
    let host = host();
    let image = unique("run");
    let graph = |lines: &str| graph(lines).replace("t/run", &image);
    let project = with_base(one(&host))
        .file("build-graph.toml", graph(all))
        .file("a/Dockerfile", dockerfile);
    build(&project);
    let told = content(&host, &image, "/told");
    let words: Vec<&str> = told.split_whitespace().collect();
    let wanted = ["10.1.2.3", "db.test", "100", "200", "20480", "lo"];
    assert_eq!(words, wanted, "{told}");
    // Another spelling is the same, and BuildKit does not compare the address of a host.
    for (before, after) in [("20m", "20480k"), ("10.1.2.3", "10.1.2.4")] {
        project.write("build-graph.toml", graph(&all.replace(before, after)));
        assert_eq!(project.verdicts()["a"], "fresh");
        project.build(&["--force"]).ends(0);
        assert_eq!(content(&host, &image, "/told"), told);
    }
    for (before, after, name, from, to) in [
        ("none", "host", "network", Some("none"), Some("host")),
        ("20m", "30m", "shm-size", Some("20971520"), Some("31457280")),
        (
            "100:200",
            "100",
            "ulimit nofile",
            Some("100:200"),
            Some("100:100"),
        ),
        ("db.test", "cache.test", "host cache.test", None, Some("")),
    ] {
        project.write("build-graph.toml", graph(&all.replace(before, after)));
        let changed = [("setting", name, from, to)];
        is_built_again(&project, "a", "settings_changed", &changed);
        assert_ne!(content(&host, &image, "/told"), told, "{name}");
        project.write("build-graph.toml", graph(all));
        project.build(&[]).ends(0);
    }
}

#[test]
fn a_volatile_label_builds_nothing_and_explain_says_what_the_image_has() {
    let graph = |value: &str| {
        format!(
            "{GRAPH}volatile = [\"revision\", \"V\"]\nlabels = {{ revision = \"{value}\", kept = \"k\" }}\nargs = {{ V = \"{value}\" }}\n"
        )
    };
    let project = one(&host()).file("build-graph.toml", graph("first"));
    build(&project);
    let image = project.planned("a")["image"].as_str().unwrap().to_owned();
    let label = "{{index .Config.Labels \"revision\"}} {{index .Config.Labels \"kept\"}}";
    let told = docker(&host(), &["image", "inspect", "--format", label, &image]);
    assert_eq!(told, "first k");
    let explained = || project.run(&["explain", "a"]).ends(0).stdout;
    assert!(!explained().contains("its volatile"));
    project.write("build-graph.toml", graph("second"));
    let calls = builds(&project);
    assert_eq!(project.build(&[]).ends(0).those("fresh"), ["a"]);
    assert_eq!(builds(&project), calls);
    let told = explained();
    for said in [
        "its volatile label revision is first; a build would make it second",
        "its volatile argument V is first; a build would make it second",
    ] {
        assert!(told.contains(said), "{told}");
    }
    // The next image has the new value.
    project.write("a/src/x/one", unique("two"));
    project.build(&[]).ends(0);
    assert!(!explained().contains("its volatile"));
}
