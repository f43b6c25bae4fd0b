//! For every rule: an image that breaks only this rule, and its twin, which passes.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde_json::Value;

use crate::{Project, hosts, project, unique, with_base};

/// One stage: its Dockerfile after `FROM bb`, further lines of its table, and the rules that it
/// breaks.
struct Case {
    name: &'static str,
    dockerfile: &'static str,
    graph: &'static str,
    breaks: &'static [&'static str],
}

const fn case(
    name: &'static str,
    dockerfile: &'static str,
    graph: &'static str,
    breaks: &'static [&'static str],
) -> Case {
    Case {
        name,
        dockerfile,
        graph,
        breaks,
    }
}

/// The stages. Each has `USER 1000` and `CMD ["/bin/sh"]` before these lines.
const CASES: [Case; 51] = [
    case("plain", "", "", &[]),
    // A key, and a file that only looks like one.
    case("key", "COPY key.pem /app/", "", &["secrets"]),
    case("key-twin", "COPY public.pem /app/", "", &[]),
    case(
        "deleted-key",
        "USER 0\nCOPY key.pem /app/\nRUN rm /app/key.pem\nUSER 1000",
        "",
        &["secrets"],
    ),
    case(
        "mounted-key",
        "RUN --mount=type=bind,source=key.pem,target=/tmp/key.pem cat /tmp/key.pem > /dev/null",
        "",
        &[],
    ),
    case(
        "linked-key",
        "USER 0\nRUN --mount=type=bind,target=/from mkdir /app && cp /from/key.pem /app/a && ln /app/a /app/b && chmod 644 /app/a\nUSER 1000",
        "",
        &["secrets"],
    ),
    case("token", "RUN : @TOKEN@", "", &["secrets"]),
    case(
        "token-twin",
        "RUN : dckr_pat_ and TOKEN_LIMIT=4000",
        "",
        &[],
    ),
    case("on-build", "ONBUILD RUN : @TOKEN@", "", &["secrets"]),
    case("env-file", "COPY env /app/.env", "", &["secrets"]),
    case(
        "env-file-twin",
        "COPY env-example /app/.env.example",
        "",
        &[],
    ),
    case("git", "COPY repository /app/.git", "", &["secrets"]),
    case("git-twin", "COPY public.pem /app/.gitignore", "", &[]),
    case("npmrc", "COPY npmrc /app/.npmrc", "", &["secrets"]),
    case("npmrc-twin", "COPY npmrc-harmless /app/.npmrc", "", &[]),
    case(
        "docker",
        "COPY docker.json /app/.docker/config.json",
        "",
        &["secrets"],
    ),
    case("label", "LABEL a=@TOKEN@", "", &["secrets"]),
    case("env-secret", "ENV A=@TOKEN@", "", &["secrets"]),
    // Upstream's own defaults.
    case(
        "default-key",
        "ENV SECRET_KEY=sk-9f73s3ljTXVcMT3Blb3ljTqtsKiGHXVcMT3BlbkFJLK7U",
        "",
        &["default-keys"],
    ),
    case("default-key-twin", "ENV SECRET_KEY=", "", &[]),
    // Root in all spellings.
    case("root-name", "USER root", "", &["root"]),
    case("root-number", "USER 0:1000", "", &["root"]),
    case("root-signed", "USER -0", "", &["root"]),
    case("root-absent", "USER \"\"", "", &["root"]),
    case("root-twin", "USER 1000:0", "", &[]),
    // Files that the user cannot use.
    case(
        "unreadable",
        "COPY --chmod=0600 public.pem /app/x",
        "",
        &["readable"],
    ),
    case(
        "unreadable-twin",
        "COPY --chmod=0600 --chown=1000:1000 public.pem /x",
        "",
        &[],
    ),
    case(
        "closed-folder",
        "USER 0\nRUN mkdir -m 0700 /closed\nCOPY --chmod=0644 public.pem /closed/x\nUSER 1000",
        "",
        &["readable"],
    ),
    case(
        "no-entry",
        "COPY --chmod=0700 script /app/run\nCMD [\"/app/run\"]",
        "",
        // The file is the stage's own, so that it cannot be read is reported too.
        &["readable"],
    ),
    case(
        "entry-twin",
        "COPY --chmod=0755 script /app/run\nCMD [\"/app/run\"]",
        "",
        &[],
    ),
    case("nobody", "USER nosuch", "", &["readable"]),
    case("absent-entry", "CMD [\"/app/none\"]", "", &["readable"]),
    case(
        "folder",
        "USER 0\nRUN mkdir -m 0700 /app\nWORKDIR /app\nUSER 1000",
        "",
        &["readable"],
    ),
    case(
        "member-twin",
        "COPY --chmod=0640 --chown=0:33 public.pem /x\nUSER app",
        "",
        &[],
    ),
    case(
        "linked-users-twin",
        "USER 0\nRUN mkdir -p /usr/etc && mv /etc/passwd /usr/etc/passwd && ln -s ../usr/etc/passwd /etc/passwd\nUSER app",
        "",
        &[],
    ),
    // A program for another machine.
    case(
        "other-machine",
        "@ALONE@",
        "platforms = [\"linux/arm64\"]",
        &["platform"],
    ),
    // Sizes, to the byte.
    case(
        "over-budget",
        "COPY thousand /app/",
        "policy = { max-added = \"999\" }",
        &["budget"],
    ),
    case(
        "in-budget",
        "COPY thousand /app/",
        "policy = { max-added = \"1000\" }",
        &[],
    ),
    // Rules that only warn.
    case(
        "setuid",
        "COPY --chmod=4755 script /bin/own",
        "",
        &["setuid"],
    ),
    case(
        "setuid-twin",
        "COPY --chmod=4755 script /bin/own",
        "policy = { setuid = [\"/bin/own\"] }",
        &[],
    ),
    case("tests", "COPY public.pem /app/tests/a", "", &["tests"]),
    case(
        "caches",
        "COPY public.pem /var/lib/apt/lists/a",
        "",
        &["caches"],
    ),
    case(
        "compilers",
        "COPY --chmod=0755 script /usr/bin/gcc-12",
        "",
        &["compilers"],
    ),
    case(
        "compilers-off",
        "COPY --chmod=0755 script /usr/bin/gcc-12",
        "policy = { rules = { compilers = \"off\" } }",
        &[],
    ),
    case(
        "writable-path",
        "USER 0\nRUN mkdir -p /usr/local/bin && chmod 0777 /usr/local/bin\nUSER 1000",
        "",
        &["writable-path"],
    ),
    case(
        "writable-elsewhere",
        "USER 0\nRUN mkdir -m 0777 /data\nUSER 1000",
        "",
        &[],
    ),
    case(
        "writable-above",
        "USER 0\nRUN mkdir -p /usr/local/bin && chmod 0777 /usr/local\nUSER 1000",
        "",
        &["writable-path"],
    ),
    case(
        "sticky-above-twin",
        "USER 0\nRUN mkdir -p /usr/local/bin && chmod 1777 /usr/local\nUSER 1000",
        "",
        &[],
    ),
    // Rules that apply only if the graph asks for them.
    case(
        "asked",
        "",
        ASKED,
        &["entrypoint", "env", "healthcheck", "labels", "ports"],
    ),
    case(
        "asked-twin",
        "LABEL team=a\nENV MODE=api\nEXPOSE 5001\nENTRYPOINT [\"/bin/sh\"]\nHEALTHCHECK CMD true",
        ASKED,
        &[],
    ),
    // A breach that is waived until a day.
    case("waived", "USER root", "", &[]),
];

const ASKED: &str = "policy = { labels = [\"team\"], env = [\"MODE\"], ports = [\"5001\"], entrypoint = [\"/bin/sh\"], healthcheck = true }";

/// A project with a stage for each case.
fn cases(host: &str) -> Project {
    // The token is put together here, so that scanners find no secret in this file.
    let token = format!("dckr_pat_{}", "kQ7vZp2LxW9rTb4NdY6hJc8mGs3");
    let key = rcgen::KeyPair::generate().unwrap().serialize_pem();
    let mut graph = format!(
        "version = 1\n[stage.bb]\ncontext = \"base\"\nimage = \"{}\"\n\
         [[policy.waive]]\nrule = \"root\"\nstage = \"waived\"\nwhy = \"until the port is above 1024\"\nuntil = 2999-12-31\n",
        unique("bb")
    );
    // Without these files, BuildKit finds neither the user nor its groups.
    let mut project = with_base(project(host))
        .file("base/group", "root:x:0:\nweb:x:33:app\n")
        .file(
            "base/passwd",
            "root:x:0:0::/:/bin/sh\napp:x:1000:1000::/:/bin/sh\n",
        );
    let base = std::fs::read_to_string(project.path("base/Dockerfile")).unwrap();
    project = project
        .file(
            "base/Dockerfile",
            format!("{base}COPY passwd group /etc/\n"),
        )
        .file("c/key.pem", &key)
        .file(
            "c/public.pem",
            "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n",
        )
        .file("c/env", "DB_PASSWORD=fR7kQ2mZx9Lw4Tn\n")
        .file("c/env-example", "DB_PASSWORD=fR7kQ2mZx9Lw4Tn\n")
        .file("c/repository/config", "[core]\n\tbare = false\n")
        .file("c/repository/HEAD", "ref: refs/heads/main\n")
        .file("c/repository/index", "DIRC")
        .file(
            "c/npmrc",
            "//registry.example.org/:_authToken=4f0b3f5a-77c1-4b0e-9d3a-2c61e0b1a7d9\n",
        )
        .file("c/npmrc-harmless", "save-exact=true\n")
        .file(
            "c/docker.json",
            "{\"auths\":{\"r.example.org\":{\"auth\":\"dXNlcjpmUjdrUTJtWng5THc0VG4=\"}}}\n",
        )
        .file("c/thousand", "x".repeat(1000))
        .script("c/script", "#!/bin/sh\n");
    std::fs::copy("/bin/busybox", project.path("c/busybox")).unwrap();
    for case in &CASES {
        let own = case.dockerfile.replace("@TOKEN@", &token);
        let (below, dockerfile) = if own == "@ALONE@" {
            // This machine's program in an image for another machine.
            let alone = "FROM scratch\nCOPY busybox /bin/sh\nUSER 1000\nCMD [\"/bin/sh\"]\n";
            ("", alone.to_owned())
        } else {
            let below = "contexts = { bb = { stage = \"bb\" } }";
            let start = "FROM bb\nUSER 1000\nCMD [\"/bin/sh\"]";
            (below, format!("{start}\n{own}\n"))
        };
        let _ = writeln!(
            graph,
            "[stage.{0}]\ncontext = \"c\"\ndockerfile = \"c/{0}.Dockerfile\"\nimage = \"{1}\"\n{below}\n{2}",
            case.name,
            unique(case.name),
            case.graph
        );
        project = project.file(&format!("c/{}.Dockerfile", case.name), dockerfile);
    }
    project
        .file("c/.dockerignore", "*.Dockerfile\n")
        .file("build-graph.toml", graph)
}

/// The rules that each stage breaks, from the findings of the answer. Waived findings are left out.
fn broken(answer: &Value) -> BTreeMap<String, Vec<String>> {
    let mut all: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for finding in answer["findings"].as_array().unwrap() {
        if !finding["waived"].is_null() {
            continue;
        }
        let text = |key: &str| finding[key].as_str().unwrap().to_owned();
        let rules = all.entry(text("stage")).or_default();
        rules.push(text("rule"));
        rules.sort();
        rules.dedup();
    }
    all
}

#[test]
fn every_rule_catches_what_breaks_it_and_passes_its_twin_in_both_stores() {
    for host in hosts() {
        let project = cases(&host);
        project.run(&["build", "--jobs", "4"]).ends(0);
        let mut arguments = vec!["verify", "--policy-only", "--json"];
        arguments.extend(CASES.iter().map(|case| case.name));
        let ran = project.run(&arguments).ends(1);
        let answer: Value = serde_json::from_str(&ran.stdout).unwrap();
        let broken = broken(&answer);
        let wrong: Vec<String> = CASES
            .iter()
            .filter_map(|case| {
                let found = broken.get(case.name).cloned().unwrap_or_default();
                let is_right = found == case.breaks;
                (!is_right).then(|| format!("{} breaks {found:?}", case.name))
            })
            .collect();
        assert!(wrong.is_empty(), "on {host}: {wrong:#?} {answer:#}");
        let of = |stage: &str| {
            let all = answer["findings"].as_array().unwrap();
            let found = all.iter().find(|finding| finding["stage"] == stage);
            found.unwrap_or_else(|| panic!("nothing of {stage}"))
        };
        let closed = of("closed-folder")["message"].as_str().unwrap();
        assert!(
            closed.contains("may not enter the folder /closed"),
            "{closed}"
        );
        // The finding names the layer and the line, and says that a later layer removes the file.
        let deleted = of("deleted-key");
        assert_eq!(deleted["path"], "app/key.pem");
        assert_eq!(deleted["line"], 5);
        assert_eq!(deleted["from"], "own");
        assert!(deleted["layer"].as_str().unwrap().starts_with("sha256:"));
        assert!(
            deleted["message"]
                .as_str()
                .unwrap()
                .contains("a later layer removes it")
        );
        assert_eq!(of("waived")["waived"]["until"], "2999-12-31");
        // The answer contains no secret.
        assert!(!ran.stdout.contains("kQ7vZp2LxW9rTb4"), "{}", ran.stdout);
        assert!(!ran.stdout.contains("fR7kQ2mZx9Lw4Tn"), "{}", ran.stdout);
    }
}
