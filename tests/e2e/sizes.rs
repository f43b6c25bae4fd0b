//! Compares the sizes of `verify --size` with the image that the engine saves.

use std::collections::BTreeMap;
use std::process::Command;

use serde_json::{Value, json};

use super::{Project, docker, hosts, project, unique, with_base};

/// Layers of known files: a file that is shipped twice, a deleted file, two equal files, a hard
/// link, and a cache.
const STEPS: &str = "COPY big /d/big
COPY same /d/one
COPY same /e/two
RUN chmod 600 /d/big && head -c 4000 /d/big > /e/made && ln /e/made /e/link
COPY gone /tmp/gone
RUN rm /tmp/gone
COPY cache /root/.cache/x/cache
";

fn sizes(project: &Project, arguments: &[&str]) -> Value {
    let mut all = vec!["verify", "--size", "--json"];
    all.extend(arguments);
    let ran = project.run(&all).ends(0);
    serde_json::from_str(&ran.stdout).unwrap()
}

/// The size in bytes of every layer, by its digest: as the engine saves it, and unpacked.
fn saved(host: &str, image: &str) -> BTreeMap<String, (u64, u64)> {
    let folder = tempfile::tempdir().unwrap();
    let archive = folder.path().join("saved.tar");
    docker(host, &["save", "-o", archive.to_str().unwrap(), image]);
    let script = "mkdir all && tar -xf saved.tar -C all && cd all/blobs/sha256 && for blob in *; do \
         plain=$(gzip -dcf $blob | wc -c); echo sha256:$blob $(wc -c < $blob) $plain; done";
    let output = Command::new("sh")
        .args(["-ec", script])
        .current_dir(folder.path())
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    let lines = String::from_utf8(output.stdout).unwrap();
    let blobs = lines.lines().map(|line| {
        let words: Vec<&str> = line.split(' ').collect();
        let bytes = |at: usize| words[at].parse().unwrap();
        (words[0].to_owned(), (bytes(1), bytes(2)))
    });
    blobs.collect()
}

#[test]
fn sizes_are_counted_to_the_byte_with_both_stores() {
    for host in hosts() {
        let (base, image) = (unique("base"), unique("a"));
        let graph = format!(
            "version = 1\n[stage.base]\ncontext = \"base\"\nimage = \"{base}\"\n\
             [stage.a]\ncontext = \"a\"\nimage = \"{image}\"\n\
             from = \"base\"\n\
             [policy.rules]\nroot = \"warn\"\n"
        );
        let project = with_base(project(&host))
            .file("build-graph.toml", graph)
            .file("a/Dockerfile", format!("FROM {base}\n{STEPS}"))
            .file("a/big", "b".repeat(100_000))
            .file("a/same", "s".repeat(5000))
            .file("a/gone", "g".repeat(300))
            .file("a/cache", "c".repeat(70));
        project.build(&[]).ends(0);

        counts_to_the_byte(&host, &image, &project);
        compares_with_what_was_verified(&project);
    }
}

fn counts_to_the_byte(host: &str, image: &str, project: &Project) {
    let all = sizes(project, &["a"]);
    let of = &all["stages"][0];
    let layers = of["layers"].as_array().unwrap();
    let saved = saved(host, image);
    for layer in layers {
        let (stored, plain) = saved[layer["digest"].as_str().unwrap()];
        assert_eq!(
            (&layer["stored"], &layer["plain"]),
            (&json!(stored), &json!(plain))
        );
    }
    let sum = |name: &str| {
        layers
            .iter()
            .map(|one| one[name].as_u64().unwrap())
            .sum::<u64>()
    };
    assert_eq!(
        (&of["plain"], &of["stored"]),
        (&json!(sum("plain")), &json!(sum("stored")))
    );

    // The first two layers are the parent's.
    let own: Vec<Value> = layers[2..]
        .iter()
        .map(|layer| json!([layer["line"], layer["files"]["bytes"], layer["shadowed"]]))
        .collect();
    assert!(layers[..2].iter().all(|layer| layer["from"] == "parent"));
    assert_eq!(
        own,
        [
            json!([2, 100_000, 100_000]),
            json!([3, 5000, 0]),
            json!([4, 5000, 0]),
            json!([5, 104_000, 0]),
            json!([6, 300, 300]),
            json!([7, 0, 0]),
            json!([8, 70, 0]),
        ]
    );
    assert_eq!(of["shadowed"], 100_300);
    let mut shadows: Vec<Value> = of["shadows"].as_array().unwrap().clone();
    shadows.retain(|shadow| shadow["folder"] == "tmp");
    assert_eq!(
        shadows,
        [json!({"layer": 6, "by": 7, "how": "deleted", "files": 1, "bytes": 300, "folder": "tmp"})]
    );
    assert_eq!(of["overwritten"][0]["path"], "d/big");
    assert_eq!(of["overwritten"][0]["how"], "same_content");

    assert_eq!(of["duplicated"], 5000);
    assert_eq!(of["duplicates"][0]["copies"], 2);
    assert_eq!(of["groups"][0]["name"], "caches");
    assert_eq!(of["groups"][0]["bytes"], 70);
    let folder = |path: &str| {
        let mut folders = of["folders"].as_array().unwrap().iter();
        let found = folders.find(|folder| folder["path"] == path);
        found.map_or(0, |folder| folder["bytes"].as_u64().unwrap())
    };
    assert_eq!((folder("d") + folder("e"), folder("root")), (114_000, 70));
    let program = std::fs::metadata(project.path("base/busybox"))
        .unwrap()
        .len();
    assert_eq!(of["visible"]["bytes"], 114_070 + program);
    assert_eq!(of["since"], Value::Null);
}

fn compares_with_what_was_verified(project: &Project) {
    // A later image is compared with the one that was verified.
    project.run(&["verify", "--policy-only", "a"]).ends(0);
    project.write("a/cache", "c".repeat(90));
    project.build(&[]).ends(0);
    let all = sizes(project, &["a"]);
    let since = &all["stages"][0]["since"];
    let changes = since["folders"].as_array().unwrap().iter();
    let changes: Vec<Value> = changes
        .map(|change| {
            json!([
                change["path"],
                change["before"]["bytes"],
                change["after"]["bytes"]
            ])
        })
        .collect();
    let of_root = &changes[0];
    assert_eq!(
        of_root[2].as_u64().unwrap() - of_root[1].as_u64().unwrap(),
        20
    );
    assert_eq!(changes.len(), 4, "{changes:?}");
    assert!(
        changes.contains(&json!(["root/.cache/x", 70, 90])),
        "{changes:?}"
    );
    assert_eq!(since["is_same"], false);

    let text = project
        .run(&["verify", "--size", "base", "a"])
        .ends(0)
        .stdout;
    for said in [
        " a/Dockerfile:5  RUN chmod 600 /d/big",
        "  300 B  layer 7 deletes 1 file of layer 6 in /tmp\n",
        "  5.0 kB  2 copies: /d/one, /e/two\n",
        "  +20 B  /root/.cache/x\n",
        "  90 B  caches: 1 file, most in /root/.cache/x; layer 8; ",
        " % of base\n",
    ] {
        assert!(text.contains(said), "{said:?} is not in:\n{text}");
    }
}
