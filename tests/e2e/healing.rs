//! A stage whose image is gone or was replaced is never fresh.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::TcpListener;
use std::sync::{Arc, Mutex};

use super::{Project, builds, content, hosts, id, project, unique};

fn one(host: &str, image: &str) -> Project {
    let graph = format!("version = 1\n[stage.a]\ncontext = \"a\"\nimage = \"{image}\"\n");
    project(host)
        .file("build-graph.toml", graph)
        .file("a/Dockerfile", "FROM scratch\nCOPY x /x\n")
        .file("a/x", image)
}

#[test]
fn a_new_tag_is_given_to_the_fresh_image_without_a_build() {
    let host = super::host();
    let image = unique("a");
    let project = one(&host, &image);
    project.build(&[]).ends(0);
    let before = builds(&project);
    let graph = format!(
        "version = 1\n[stage.a]\ncontext = \"a\"\nimage = \"{image}\"\ntags = [\"latest\", \"v2\"]\n"
    );
    project.write("build-graph.toml", graph);
    assert_eq!(project.build(&[]).ends(0).those("fresh"), ["a"]);
    assert_eq!(builds(&project), before);
    assert_eq!(
        id(&host, &format!("{image}:v2")),
        id(&host, &format!("{image}:latest"))
    );
}

#[test]
fn a_stage_without_an_image_name_is_built_and_fresh() {
    let host = super::host();
    let project = one(&host, &unique("x")).file(
        "build-graph.toml",
        "version = 1\n[stage.a]\ncontext = \"a\"\n",
    );
    assert_eq!(project.build(&[]).ends(0).those("built"), ["a"]);
    assert_eq!(project.build(&[]).ends(0).those("fresh"), ["a"]);
}

#[test]
fn two_stages_share_one_image() {
    let host = super::host();
    let image = unique("a");
    let stage = |name: &str| format!("[stage.{name}]\ncontext = \"a\"\nimage = \"{image}\"\n");
    let project = one(&host, &image).file(
        "build-graph.toml",
        format!("version = 1\n{}{}", stage("api"), stage("worker")),
    );
    project.build(&[]).ends(0);
    assert_eq!(project.build(&[]).ends(0).those("fresh"), ["api", "worker"]);
}

#[test]
fn a_force_rebuilds_only_what_it_names() {
    let host = super::host();
    let image = unique("a");
    let project = one(&host, &image);
    project.build(&[]).ends(0);
    assert_eq!(project.build(&["--force=a"]).ends(0).those("built"), ["a"]);
    assert_eq!(project.build(&[]).ends(0).those("fresh"), ["a"]);
}

#[test]
fn a_stage_on_an_external_image_with_triggers_is_never_called_fresh() {
    let host = super::host();
    let base = unique("base");
    let trigger = |project: Project| {
        project.file(
            "a/Dockerfile",
            "FROM scratch\nCOPY x /x\nONBUILD COPY hidden /hidden\n",
        )
    };
    trigger(one(&host, &base)).build(&[]).ends(0);
    let project = one(&host, &unique("a"))
        .file("a/Dockerfile", format!("FROM {base}:latest\nCOPY x /y\n"))
        .file("a/hidden", "1");
    project.build(&[]).ends(0);
    assert_eq!(project.verdicts()["a"], "stale base_moved");
    let told = project.run(&["plan"]).ends(0).stdout;
    let why =
        format!("it stands on a base {base} with ONBUILD instructions: only BuildKit can tell");
    assert!(told.contains(&why), "{told}");
}

/// Answers every request with the current `body`, until the test ends.
fn serve(body: Arc<Mutex<String>>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut lines = BufReader::new(stream.try_clone().unwrap()).lines();
            let request = lines.next().unwrap().unwrap();
            while lines.next().is_some_and(|line| !line.unwrap().is_empty()) {}
            let body = body.lock().unwrap().clone();
            let length = body.len();
            let head =
                format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n");
            stream.write_all(head.as_bytes()).unwrap();
            if request.starts_with("GET") {
                stream.write_all(body.as_bytes()).unwrap();
            }
        }
    });
    format!("http://{address}/it")
}

#[test]
fn a_stage_that_adds_from_an_address_without_a_checksum_is_never_called_fresh() {
    let (host, image) = (super::host(), unique("a"));
    let body = Arc::new(Mutex::new("one".to_owned()));
    let url = serve(Arc::clone(&body));
    let dockerfile = |checksum: &str| format!("FROM scratch\nADD {checksum}{url} /it\n");
    let project = one(&host, &image).file("a/Dockerfile", dockerfile(""));
    assert_eq!(project.verdicts()["a"], "stale no_record");
    for text in ["one", "two"] {
        text.clone_into(&mut body.lock().unwrap());
        project.build(&[]).ends(0);
        assert_eq!(content(&host, &image, "/it"), text);
        assert_eq!(project.verdicts()["a"], "stale inputs_changed");
    }
    let told = project.run(&["plan"]).ends(0).stdout;
    let why = format!(
        "it adds {url}, and no checksum or whole commit says what that is: only BuildKit can tell"
    );
    assert!(told.contains(&why), "{told}");
    // The SHA-256 of `two`.
    let sum = "3fc4ccfe745870e2c0d99f71f30ff0656c8dedd41cc1d7d3d376b0dbe685e2f3";
    project.write(
        "a/Dockerfile",
        dockerfile(&format!("--checksum=sha256:{sum} ")),
    );
    project.build(&[]).ends(0);
    assert_eq!(project.verdicts()["a"], "fresh");
}

/// Stage `a` is built on `p`, whose trigger takes a file that `a` does not name.
fn on_one_with_a_trigger(keyword: &str) -> Project {
    let graph =
        "version = 1\n[stage.p]\ncontext = \"p\"\n[stage.a]\ncontext = \"a\"\nfrom = \"p\"\n";
    one(&super::host(), &unique("a"))
        .file("build-graph.toml", graph)
        .file(
            "p/Dockerfile",
            format!("FROM scratch\nCOPY x /x\n{keyword} COPY hidden /hidden\n"),
        )
        .file("p/x", "1")
        .file("a/Dockerfile", "FROM p\nCOPY x /y\n")
        .file("a/hidden", "1")
}

#[test]
fn the_triggers_of_the_stage_below_take_files_of_this_ones_context() {
    let project = on_one_with_a_trigger("ONBUILD").file("a/beside", "1");
    project.build(&[]).ends(0);
    project.write("a/beside", "2");
    assert_eq!(project.verdicts()["p"], "fresh");
    assert_eq!(project.verdicts()["a"], "fresh");
    project.write("a/hidden", "2");
    assert_eq!(project.verdicts()["p"], "fresh");
    assert_eq!(project.verdicts()["a"], "stale inputs_changed");
    assert_eq!(project.build(&[]).ends(0).those("built"), ["a"]);
    // No text decides a trigger with a variable of an image.
    let hidden = "FROM scratch\nCOPY x /x\nONBUILD COPY $HIDDEN /hidden\n";
    project.write(
        "p/Dockerfile",
        hidden.replace("$HIDDEN", "${HIDDEN:-hidden}"),
    );
    project.build(&[]).ends(0);
    project.write("a/beside", "3");
    assert_eq!(project.verdicts()["a"], "stale inputs_changed");
}

#[test]
fn a_trigger_that_a_continuation_hides_is_one() {
    let project = on_one_with_a_trigger("ONBU\\\nILD");
    project.build(&[]).ends(0);
    assert_eq!(project.verdicts()["a"], "fresh");
    project.write("a/hidden", "2");
    assert_eq!(project.verdicts()["a"], "stale inputs_changed");
}

#[test]
fn a_stage_on_one_whose_target_a_context_replaces_is_never_called_fresh() {
    let host = super::host();
    let graph = "version = 1\n[stage.q]\ncontext = \"q\"\n\
        [stage.p]\ncontext = \"p\"\ncontexts = { last = { stage = \"q\" } }\n\
        [stage.a]\ncontext = \"a\"\nfrom = \"p\"\n";
    let project = one(&host, &unique("a"))
        .file("build-graph.toml", graph)
        .file(
            "q/Dockerfile",
            "FROM scratch\nCOPY x /x\nONBUILD COPY hidden /hidden\n",
        )
        .file("q/x", "1")
        .file("p/Dockerfile", "FROM scratch AS last\n")
        .file("a/Dockerfile", "FROM p\nCOPY x /y\n")
        .file("a/hidden", "1");
    project.build(&[]).ends(0);
    assert_eq!(project.verdicts()["a"], "stale base_moved");
}

#[test]
fn a_base_of_the_engines_own_counts_by_its_id() {
    for host in hosts() {
        let base = unique("base");
        one(&host, &base).build(&[]).ends(0);
        let project = one(&host, &unique("a"))
            .file("a/Dockerfile", format!("FROM {base}:latest\nCOPY x /y\n"));
        project.build(&[]).ends(0);
        assert_eq!(project.verdicts()["a"], "fresh");
        one(&host, &base).file("a/x", "another").build(&[]).ends(0);
        assert_eq!(project.verdicts()["a"], "stale base_moved");
    }
}

#[test]
fn engines_that_take_turns_are_built_with_once_each() {
    let mut project = one(&super::host(), &unique("a"));
    for outcome in ["built", "fresh"] {
        for host in hosts() {
            project = project.variable("DOCKER_HOST", &host);
            assert_eq!(project.build(&[]).ends(0).those(outcome), ["a"], "{host}");
        }
    }
}
