//! A base from a registry, pinned by the lock.

use std::fs;
use std::io::BufReader;

use super::{GRAPH, build, is_built_again, one};
use crate::{builds, content, docker, host, id, project, registry, unique, until_step, with_base};

#[test]
fn a_base_tag_that_moved_is_built_again_once_the_lock_is_updated() {
    let host = host();
    let Some(registry) = registry() else {
        return;
    };
    let name = unique("base");
    let base = format!("{registry}/{name}:1");
    let graph = format!("{GRAPH}image = \"{registry}/{name}\"\ntags = [\"1\"]\n");
    let push = || {
        let maker = one(&host).file("build-graph.toml", &graph);
        build(&maker);
        docker(&host, &["push", &base]);
        docker(&host, &["image", "rm", "--force", &id(&host, &base)]);
    };
    push();
    let project = one(&host).file("a/Dockerfile", format!("FROM {base}\nCOPY src /another\n"));
    let first = project.build(&[]).ends(0);
    assert!(first.stdout.contains("pinned"), "{}", first.stdout);
    let lock = || fs::read_to_string(project.path("build-graph.lock")).unwrap();
    let pinned = lock();
    push();
    // A pinned base does not move by itself.
    assert_eq!(project.verdicts()["a"], "fresh");
    project.build(&["--locked", "--force"]).ends(0);
    assert_eq!(lock(), pinned);
    // Another project's new lock is what an updated lock would be.
    let other = one(&host).file("a/Dockerfile", format!("FROM {base}\nCOPY src /third\n"));
    other.build(&[]).ends(0);
    let updated = fs::read_to_string(other.path("build-graph.lock")).unwrap();
    project.write("build-graph.lock", &updated);
    let digest = |lock: &str| {
        let at = lock.find("sha256:").unwrap();
        lock[at..at + "sha256:".len() + 64].to_owned()
    };
    let (before, after) = (digest(&pinned), digest(&updated));
    let moved = ("base", &*base, Some(&*before), Some(&*after));
    is_built_again(&project, "a", "base_moved", &[moved]);
}

/// Pushes a base with this text. Returns a lock that pins it.
fn lock_of(host: &str, base: &str, text: &str) -> String {
    let image = base.strip_suffix(":1").unwrap();
    let graph = format!("{GRAPH}image = \"{image}\"\ntags = [\"1\"]\n");
    let maker = one(host)
        .file("build-graph.toml", graph)
        .file("a/src/x/one", text)
        // The content is unique: removing this image must not remove one of another test.
        .file("a/src/y/once", unique("once"));
    build(&maker);
    docker(host, &["push", base]);
    docker(host, &["image", "rm", "--force", &id(host, base)]);
    let user = one(host).file("a/Dockerfile", format!("FROM {base}\nCOPY src /more\n"));
    user.build(&[]).ends(0);
    fs::read_to_string(user.path("build-graph.lock")).unwrap()
}

#[test]
fn the_lock_that_a_first_build_writes_beside_its_inputs_costs_no_second_call() {
    let host = host();
    let Some(registry) = registry() else {
        return;
    };
    let base = format!("{registry}/{}:1", unique("base"));
    lock_of(&host, &base, "first");
    let graph = "version = 1\n[stage.a]\ncontext = \".\"\ndockerfile = \"docker/a\"\n";
    let project = one(&host)
        .file("build-graph.toml", graph)
        .file("docker/a", format!("FROM {base}\nCOPY a/src /more\n"));
    project.build(&[]).ends(0);
    assert!(project.path("build-graph.lock").exists());
    assert_eq!(builds(&project), 1);
}

#[test]
fn an_entry_of_the_lock_that_was_edited_by_hand_is_never_fresh() {
    let host = host();
    let Some(registry) = registry() else {
        return;
    };
    let (base, image) = (format!("{registry}/{}:1", unique("base")), unique("a"));
    let (first, second) = (
        lock_of(&host, &base, "first"),
        lock_of(&host, &base, "second"),
    );
    let digest = |lock: &str| {
        let lines = lock.lines();
        let mut digests = lines.filter(|line| line.starts_with("digest"));
        digests.next().unwrap().to_owned()
    };
    let edited = first.replace(&digest(&first), &digest(&second));
    let project = one(&host)
        .file("build-graph.toml", format!("{GRAPH}image = \"{image}\"\n"))
        .file("build-graph.lock", &first)
        .file("a/Dockerfile", format!("FROM {base}\nCOPY src /more\n"));
    project.build(&[]).ends(0);
    assert_eq!(content(&host, &image, "/src/x/one"), "first");
    project.write("build-graph.lock", edited);
    assert_eq!(project.verdicts()["a"], "stale base_moved");
    project.build(&[]).ends(0);
    assert_eq!(content(&host, &image, "/src/x/one"), "second");
    assert_eq!(project.verdicts()["a"], "stale base_moved");
    project.write("build-graph.lock", first);
    project.build(&[]).ends(0);
    assert_eq!(content(&host, &image, "/src/x/one"), "first");
}

#[test]
fn a_lock_that_changes_while_a_build_runs_leaves_no_image_under_the_other_ones_key() {
    let host = host();
    let Some(registry) = registry() else {
        return;
    };
    let base = format!("{registry}/{}:1", unique("base"));
    let lock_of = |text: &str| lock_of(&host, &base, text);
    let (first, second) = (lock_of("first"), lock_of("second"));
    // Because of an image that only the engine has, the build reads the lock again.
    let (own, image, once) = (unique("own"), unique("c"), unique("p"));
    build(&one(&host).file("build-graph.toml", format!("{GRAPH}image = \"{own}\"\n")));
    let graph = format!(
        "version = 1\n[stage.base]\ncontext = \"base\"\n[stage.p]\ncontext = \"p\"\nfrom = \"base\"\n\
         [stage.c]\ncontext = \"c\"\nfrom = \"p\"\nimage = \"{image}\"\n"
    );
    let dockerfile = format!(
        "FROM p\nCOPY --from={base} /src/x/one /v\nCOPY --from={own}:latest /src/x/one /own\n"
    );
    let project = with_base(project(&host))
        .file("build-graph.toml", graph)
        .file("build-graph.lock", &first)
        .file(
            "p/Dockerfile",
            format!("FROM base\nRUN echo {once} && sleep 3\n"),
        )
        .file("c/Dockerfile", dockerfile);
    let mut child = project.start(&["build", "--json"]);
    let mut out = BufReader::new(child.stdout.take().unwrap());
    until_step(&mut out, "sleep 3");
    project.write("build-graph.lock", &second);
    std::io::copy(&mut out, &mut std::io::sink()).unwrap();
    assert!(child.wait().unwrap().success());
    for (lock, text) in [(&first, "first"), (&second, "second"), (&first, "first")] {
        project.write("build-graph.lock", lock);
        project.build(&[]).ends(0);
        assert_eq!(content(&host, &image, "/v"), text);
    }
}
