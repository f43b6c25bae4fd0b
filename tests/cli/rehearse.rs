//! The graph on another revision of a source.

use super::Project;
use super::support::remote::Remote;

/// A source whose revision `2.0` changes a file, replaces one, and loses one.
fn moved() -> Remote {
    let remote = Remote::new();
    remote.write("api/lock", "one 1\ntwo 2\nthree 3\n");
    remote.write("api/gone", "1\n");
    remote.write("web/Dockerfile", "FROM scratch\nCOPY page /\n");
    remote.write("web/page", "1\n");
    remote.commit();
    remote.git(&["tag", "1.1"]);
    remote.write("api/lock", "one 1\ntwo 3\nthree 3\n");
    remote.write("api/new", "1\n");
    remote.git(&["rm", "--quiet", "api/gone"]);
    remote.write(
        "api/Dockerfile",
        "FROM scratch\nCOPY src lock /\nCOPY made /\n",
    );
    remote.commit();
    remote.git(&["tag", "2.0"]);
    remote.push();
    remote
}

fn project(source: &str) -> Project {
    let stages = "[stage.api]\nsource = \"s\"\ncontext = \"api\"\noverlays = [\"over\"]\n\
                  [stage.own]\ncontext = \"own\"\nfrom = \"api\"\n\
                  [stage.web]\nsource = \"s\"\ncontext = \"web\"\nplatforms = [\"linux/amd64\", \"linux/arm64\"]\n";
    Project::new()
        .variable("DOCKER_HOST", "unix:///nonexistent/docker.sock")
        .file(
            "build-graph.toml",
            format!("version = 1\n[source.s]\n{source}\n{stages}"),
        )
        .file("over/lock", "one 1\ntwo 2 repaired\nthree 3\n")
        .file("over/gone", "mine\n")
        .file("over/new", "mine\n")
        .file("over/own", "mine\n")
        .file("own/Dockerfile", "FROM api\n")
}

const SAID: &str = "  api  built again: the Dockerfile changed
  own  built again: its parent `api` is
  web  the same
api does not fit: api/Dockerfile:3: `made` is not in the context api: correct the name, or make it first
api does not fit: over/gone replaces api/gone, which is gone
api does not fit: over/lock hides a change of api/lock
    @@ -1,3 +1,3 @@
     one 1
    -two 2
    +two 3
     three 3
api does not fit: over/new hides api/new, which is new
    @@ -1 +1 @@
    -mine
    +1
2 of 3 stages would be built again; 4 things do not fit
";

#[test]
fn a_rehearsal_says_what_another_revision_changes_and_what_no_longer_fits() {
    let remote = moved();
    let fetched = project(&format!("git = \"{}\"\nrev = \"1.1\"", remote.url()));
    fetched.run(&["sync"]).ends(0);
    let lock = std::fs::read(fetched.path("build-graph.lock")).unwrap();
    let said = fetched.run(&["rehearse", "2.0"]).ends(1);
    assert_eq!(said.stdout.split_once('\n').unwrap().1, SAID);
    assert!(said.stdout.starts_with("s at 2.0 ("), "{}", said.stdout);
    // Nothing is pinned, and the graph is as it was.
    assert_eq!(
        std::fs::read(fetched.path("build-graph.lock")).unwrap(),
        lock
    );
    fetched.run(&["inputs", "api"]).ends(0).says("2 inputs");
    fetched
        .run(&["rehearse", "1.1"])
        .ends(2)
        .says("is at 1.1 already");
    fetched
        .run(&["rehearse", "3.0"])
        .ends(2)
        .says("a branch `3.0`: name a tag, a branch or a commit of it");

    let checkout = remote.path().parent().unwrap().join("work");
    remote.git(&["checkout", "--quiet", "1.1"]);
    let local = project(&format!("path = \"{}\"", checkout.display()));
    let said = local.run(&["rehearse", "2.0"]).ends(1);
    assert_eq!(said.stdout.split_once('\n').unwrap().1, SAID);
    let same = local.run(&["rehearse", "1.1", "--source", "s"]).ends(0);
    assert!(
        same.stdout
            .ends_with("0 of 3 stages would be built again; everything fits\n"),
        "{}",
        same.stdout
    );
    let said = local.run(&["rehearse", "2.0", "--json"]).ends(1);
    let said: serde_json::Value = serde_json::from_str(&said.stdout).unwrap();
    assert_eq!(said["stages"][1]["why"]["parent"], "api");
    assert_eq!(said["misfits"].as_array().unwrap().len(), 4);
    local
        .run(&["rehearse", "3.0"])
        .ends(2)
        .says("no commit 3.0");
    local
        .run(&["rehearse", "--source", "t", "2.0"])
        .ends(2)
        .says("unknown source `t`");
}

/// A source whose stage copies what a host command makes, which the revision `third` cannot run.
#[test]
fn what_a_host_command_makes_is_no_misfit_and_what_it_reads_and_is_gone_is_one() {
    let remote = Remote::new();
    let dockerfile = "FROM scratch\nCOPY made file /\nCOPY --from=same made /\n\
                      COPY --from=other made /\nCOPY dist /\n";
    remote.write("s/Dockerfile", dockerfile);
    remote.write("s/file", "1\n");
    remote.write("o/made", "1\n");
    remote.write("s/make.sh", "mkdir -p dist; echo 1 | tee made > dist/x\n");
    remote.commit();
    remote.git(&["tag", "first"]);
    remote.write("s/file", "2\n");
    remote.commit();
    remote.git(&["tag", "second"]);
    // Nothing makes the second one.
    remote.git(&["rm", "--quiet", "s/make.sh", "o/made"]);
    remote.write("o/file", "1\n");
    remote.commit();
    remote.git(&["tag", "third"]);
    remote.git(&["checkout", "--quiet", "first"]);
    let checkout = remote.path().parent().unwrap().join("work");
    // As a host command that ran here has left it.
    remote.write("s/made", "1\n");
    remote.write("s/dist/x", "1\n");
    for platforms in ["", "platforms = [\"linux/amd64\", \"linux/arm64\"]\n"] {
        let graph = format!(
            "version = 1\n[source.s]\npath = \"{}\"\n[stage.s]\nsource = \"s\"\ncontext = \"s\"\n{platforms}\
             contexts = {{ same = {{ path = \"s\", source = \"s\" }}, other = {{ path = \"o\", source = \"s\" }} }}\n\
             [stage.s.prepare]\ndir = \"s\"\nrun = [\"sh\", \"make.sh\"]\ninputs = [\"make.sh\"]\noutputs = [\"made\", \"dist/x\"]\n",
            checkout.display()
        );
        let project = Project::new()
            .variable("DOCKER_HOST", "unix:///nonexistent/docker.sock")
            .file("build-graph.toml", graph);
        let said = project.run(&["rehearse", "second"]).ends(0).stdout;
        assert_eq!(
            said.split_once('\n').unwrap().1,
            "  s  its host command must run first\n1 of 1 stage would be built again; everything fits\n"
        );
        let said = project.run(&["rehearse", "third"]).ends(1).stdout;
        let misfit = "s does not fit: its host command reads s/make.sh, which is gone\n";
        assert_eq!(said.matches(misfit).count(), 1, "{said}");
        let misfit = "s does not fit: s/Dockerfile:4: `made` is not in ";
        assert_eq!(said.matches(misfit).count(), 1, "{said}");
        assert!(said.contains("2 things do not fit"), "{said}");
    }
}
