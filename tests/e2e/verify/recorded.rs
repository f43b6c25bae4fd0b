//! What is verified, when a record answers, and in which forms the answer is printed.

use serde_json::Value;

use crate::{Project, docker, host, project, unique, with_base};

const DOCKERFILE: &str = "FROM bb\nCOPY a /app/a\nUSER 1000\nCMD [\"/bin/sh\"]\n";

/// A project with two stages: `a`, which keeps the policy, is built on `bb`, which runs as root.
fn two(policy: &str) -> Project {
    let project = with_base(project(&host()))
        .file("a/a", "1")
        .file("a/Dockerfile", DOCKERFILE);
    graph(&project, &unique("x"), policy);
    project
}

fn graph(project: &Project, prefix: &str, policy: &str) {
    project.write(
        "build-graph.toml",
        format!(
            "version = 1\n[stage.bb]\ncontext = \"base\"\nimage = \"{prefix}-bb\"\n\
             [stage.a]\ncontext = \"a\"\nimage = \"{prefix}-a\"\ncontexts = {{ bb = {{ stage = \"bb\" }} }}\n{policy}"
        ),
    );
}

fn answer(project: &Project, arguments: &[&str], status: i32) -> Value {
    let mut all = vec!["verify", "--json"];
    all.extend(arguments);
    let ran = project.run(&all).ends(status);
    serde_json::from_str(&ran.stdout).unwrap_or_else(|why| panic!("{why}: {}", ran.stdout))
}

#[test]
fn what_is_verified_is_what_was_built_and_a_record_answers_until_something_changes() {
    let prefix = unique("x");
    let project = two("");
    graph(&project, &prefix, "");
    let explained = || project.run(&["explain", "a"]).ends(0).stdout;

    // `verify` builds nothing.
    let ran = project.run(&["verify", "a"]).ends(1);
    let ran = ran.says("stage `bb` is not fresh").says("build a");
    ran.says("`verify --build`");
    project.run(&["verify", "--build", "a"]).ends(0);
    assert!(explained().contains("verified at "), "{}", explained());

    // The record answers, with everything that the verification said.
    let ran = project.run(&["verify", "a"]).ends(0);
    let ran = ran.says("verified before, and nothing changed since");
    assert!(ran.stdout.contains("verified"), "{}", ran.stdout);
    let recorded = answer(&project, &["a"], 0);
    assert_eq!(recorded["recorded"], true);
    let forced = answer(&project, &["a", "--force"], 0);
    assert_eq!(forced["recorded"], false);

    // The statement names exactly this image, at least by its configuration, which is the same in
    // both stores.
    let statement = &forced["statement"];
    assert_eq!(statement["_type"], "https://in-toto.io/Statement/v1");
    let subjects = statement["subject"].as_array().unwrap();
    assert!(!subjects.is_empty() && subjects.iter().all(|one| one["name"] == "a"));
    let id = docker(
        &host(),
        &[
            "image",
            "inspect",
            "--format",
            "{{.Id}}",
            &format!("{prefix}-a"),
        ],
    );
    let digests = subjects
        .iter()
        .map(|one| one["digest"]["sha256"].as_str().unwrap());
    assert!(
        digests
            .map(|hex| format!("sha256:{hex}"))
            .any(|digest| digest == id),
        "{id}: {statement:#}"
    );

    // After another policy, waiver or image, everything is verified again, and `explain` says why.
    graph(&project, &prefix, "[stage.a.policy]\nmax-size = \"1 GB\"\n");
    assert!(
        explained().contains("does not count: its policy has changed"),
        "{}",
        explained()
    );
    assert_eq!(answer(&project, &["a"], 0)["recorded"], false);
    assert_eq!(answer(&project, &["a"], 0)["recorded"], true);
    let waiver = "[[policy.waive]]\nrule = \"root\"\nwhy = \"x\"\nuntil = 2999-01-01\n";
    graph(&project, &prefix, waiver);
    assert_eq!(answer(&project, &["a"], 0)["recorded"], false);
    assert_eq!(answer(&project, &["a"], 0)["recorded"], true);
    project.settle();
    project.write("a/a", "2");
    project.run(&["build"]).ends(0);
    assert!(
        explained().contains("does not count: the image has changed"),
        "{}",
        explained()
    );
    assert_eq!(answer(&project, &["a"], 0)["recorded"], false);

    // A waiver that has ended is itself a breach.
    let ended = "[[policy.waive]]\nrule = \"root\"\nwhy = \"x\"\nuntil = 2020-01-01\n";
    graph(&project, &prefix, ended);
    let found = answer(&project, &["a"], 1);
    assert_eq!(found["findings"][0]["rule"], "ended-waiver");
    assert!(found["statement"].is_null());
    assert!(
        explained().contains("the image did not pass"),
        "{}",
        explained()
    );
    // A record never answers for an image that did not pass.
    assert_eq!(answer(&project, &["a"], 1)["recorded"], false);
    // Both layers of `bb` and both versions of the layer of `a` were kept.
    let kept = std::fs::read_dir(project.path("state"))
        .unwrap()
        .next()
        .unwrap()
        .unwrap();
    let kept = std::fs::read_dir(kept.path().join("verified/layers")).unwrap();
    assert_eq!(kept.count(), 4);
}

/// A linter for the path, as this machine need not have one.
const HADOLINT: &str = r#"#!/bin/sh
case $1 in
--version) echo Haskell Dockerfile Linter 9.9;;
*) echo '[{"code":"DL1","level":"warning","line":2,"message":"a word"},{"code":"DL2","level":"style","line":1,"message":"x"}]';;
esac
"#;

#[test]
fn an_answer_is_told_in_all_forms() {
    let off = "[stage.bb.policy.rules]\nlint = \"off\"\n";
    let project = two(off).script("bin/hadolint", HADOLINT);
    project.run(&["build"]).ends(0);
    let (junit, sarif, summary) = (
        project.path("junit.xml"),
        project.path("v.sarif"),
        project.path("summary.md"),
    );
    let mut command = project.command(&["verify", "--policy-only"]);
    command
        .arg("--junit")
        .arg(&junit)
        .arg("--sarif")
        .arg(&sarif);
    command
        .env("GITHUB_ACTIONS", "true")
        .env("GITHUB_STEP_SUMMARY", &summary);
    let ran = crate::support::Ran::of(command.output().unwrap()).ends(1);
    let ran = ran.says("bb: breaks the policy: 1 denial");
    for line in [
        "deny    root          bb  its containers run as root: no USER is set",
        "to do: end the Dockerfile with USER",
        "warn    hadolint/DL1  a   a word\n        at Dockerfile line 2\n",
        "hadolint: checked (9.9)",
        "buildx check: ",
        "not verified: 1 denial, 1 warning",
    ] {
        assert!(ran.stdout.contains(line), "{line}: {}", ran.stdout);
    }
    assert!(!ran.stdout.contains("DL2"), "{}", ran.stdout);
    let error = "::error title=root in bb::";
    assert!(ran.stderr.contains(error), "{}", ran.stderr);
    let text = |path: &std::path::Path| std::fs::read_to_string(path).unwrap();
    let (summary, junit) = (text(&summary), text(&junit));
    assert!(summary.contains("| **deny** | root | bb |"), "{summary}");
    assert!(junit.contains("failures=\"1\""), "{junit}");
    assert!(junit.contains("name=\"hadolint\""), "{junit}");
    assert!(!junit.contains("name=\"lint\""), "{junit}");
    let sarif: Value = serde_json::from_str(&text(&sarif)).unwrap();
    assert_eq!(sarif["runs"][0]["results"][0]["ruleId"], "root");
}

#[test]
fn what_the_machine_lacks_ends_with_3_and_a_word_that_is_none_with_2() {
    let project = two("[stage.a.policy.rules]\nrot = \"deny\"\n");
    project
        .run(&["verify"])
        .ends(2)
        .says("unknown rule `rot`")
        .says("root");
    let project = two("").variable("DOCKER_HOST", "unix:///nonexistent/docker.sock");
    project.run(&["verify"]).ends(3).says("docker");
    let project = two("");
    project
        .run(&["verify", "--stack-only"])
        .ends(2)
        .says("has no `[stack]`");
}

/// A scanner that finds nothing.
const GRYPE: &str =
    "#!/bin/sh\ncase $1 in --version) echo grype 9.9;; *) echo '{\"matches\":[]}';; esac\n";

#[test]
fn what_a_scanner_says_holds_for_a_day() {
    let project = two("").script("bin/grype", GRYPE);
    project.run(&["build"]).ends(0);
    let today = || {
        let now = std::process::Command::new("date")
            .args(["-u", "+%F"])
            .output();
        String::from_utf8(now.unwrap().stdout)
            .unwrap()
            .trim()
            .to_owned()
    };
    let days = [today(), {
        let ran = project.run(&["verify", "a"]).ends(0);
        assert!(ran.stdout.contains("grype or trivy: checked (grype 9.9)"));
        today()
    }];
    let explained = project.run(&["explain", "a", "--json"]).ends(0).stdout;
    let explained: Value = serde_json::from_str(&explained).unwrap();
    let ends = explained["verification"]["ends"].as_str().unwrap();
    assert!(days.contains(&ends.to_owned()), "{explained:#}");
    assert_eq!(answer(&project, &["a"], 0)["recorded"], true);
}

/// A docker command whose buildx has checks, as this machine's buildx may have none. It writes down
/// the arguments of the checks.
const WITH_CHECKS: &str = r#"#!/bin/sh
case "$*" in *--call=check*)
    printf '%s\n' "$@" >> "$CHECKS"
    case "$*" in
    *--build-context=bb=docker-image://*) echo '{"warnings":[{"ruleName":"R","url":"https://u","detail":"d","location":{"ranges":[{"start":{"line":2}}]}}]}' ;;
    *) echo '{"warnings":[],"buildError":{"message":"bb: failed to resolve"}}' ;;
    esac
    exit 0 ;;
esac
exec DOCKER "$@"
"#;

#[test]
fn buildx_is_asked_for_its_checks_as_it_was_asked_to_build() {
    let real = std::env::var("XTASK_TEST_DOCKER").unwrap_or_else(|_| "docker".into());
    let project = two("[stage.bb.policy.rules]\nroot = \"warn\"\n");
    let project = project.script("bin/docker", &WITH_CHECKS.replace("DOCKER", &real));
    let checks = project.path("checks");
    let project = project.variable("CHECKS", checks.to_str().unwrap());
    project.run(&["build"]).ends(0);
    let ran = project.run(&["verify", "a"]).ends(0);
    let told = "warn    buildx/R  a  d\n        at Dockerfile line 2\n";
    assert!(ran.stdout.contains(told), "{}", ran.stdout);
    assert!(
        ran.stdout.contains("buildx check: checked ("),
        "{}",
        ran.stdout
    );
    let asked = std::fs::read_to_string(&checks).unwrap();
    let private = crate::privates_of(&project);
    let context = format!("--build-context=bb=docker-image://{private}bb:");
    assert!(asked.contains(&context), "{asked}");
    // An incomplete answer counts as "not checked", and passes no stage.
    let ran = project.run(&["verify", "bb", "--force"]).ends(0);
    let half = "buildx check: not checked, it could not check everything: bb: failed to resolve";
    assert!(ran.stdout.contains(half), "{}", ran.stdout);
}
