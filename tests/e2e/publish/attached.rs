//! What is attached to published images, and what `verify --published` thinks of it.

use serde_json::Value;

use super::{INDEX, MANIFEST, World, digest, moves_tag, tops};

/// Lets the project find programs in its `bin` first.
fn with_programs(mut world: World) -> World {
    let bin = world.project.path("bin");
    let path = format!("{}:{}", bin.display(), std::env::var("PATH").unwrap());
    world.project = world.project.variable("PATH", &path);
    world
}

fn lines(world: &World, path: &str) -> Vec<String> {
    let text = std::fs::read_to_string(world.project.path(path)).unwrap_or_default();
    text.lines().map(str::to_owned).collect()
}

impl World {
    #[track_caller]
    fn seen_from_outside(&self, name: &str, status: i32) -> String {
        let ran = self.project.run(&["verify", "--published", name]);
        let ran = ran.ends(status);
        format!("{}{}", ran.stdout, ran.stderr)
    }
}

#[test]
fn artifacts_are_attached_and_a_statement_about_another_image_is_a_fault() {
    let Some(world) = World::new("[publish]\nattest = \"artifact\"\n") else {
        return;
    };
    world.publish();
    let (repository, name) = (world.repository("b"), world.image("b"));
    let said = world.seen_from_outside(&format!("{name}:1"), 0);
    for line in [
        "linux/arm64: built by",
        "linux/amd64: verified by the policy",
    ] {
        assert!(said.contains(line), "{line}: {said}");
    }
    let mut index = world.direct.json(&repository, "1");
    let listed = &mut index["manifests"][3];
    let attached = listed["digest"].as_str().unwrap();
    let mut attached = world.direct.json(&repository, attached);
    assert!(attached["artifactType"].is_string(), "{attached:#}");
    // The same statement, of another image.
    let layer = &mut attached["layers"][0];
    let statement = layer["digest"].as_str().unwrap();
    let mut statement: Value =
        serde_json::from_slice(&world.direct.blob(&repository, statement)).unwrap();
    for subject in statement["subject"].as_array_mut().unwrap() {
        let other = digest(b"another image");
        subject["digest"]["sha256"] = other.strip_prefix("sha256:").unwrap().into();
    }
    let statement = statement.to_string().into_bytes();
    layer["digest"] = world.direct.put_blob(&repository, &statement).into();
    layer["size"] = statement.len().into();
    let attached = attached.to_string().into_bytes();
    world
        .direct
        .put(&repository, &digest(&attached), MANIFEST, &attached);
    listed["digest"] = digest(&attached).into();
    listed["size"] = attached.len().into();
    let index = index.to_string();
    world
        .direct
        .put(&repository, "forged", INDEX, index.as_bytes());
    let said = world.seen_from_outside(&format!("{name}:forged"), 1);
    let failed = said
        .lines()
        .find(|line| line.starts_with("failed  attestations"));
    assert!(
        failed.is_some_and(|line| line.contains("linux/arm64: ")),
        "{said}"
    );
    let amd = said
        .lines()
        .find(|line| line.contains("linux/amd64: verified"));
    assert!(amd.is_some_and(|line| line.starts_with("passed")), "{said}");
}

/// The machine that published still has the blob.
#[test]
fn a_layer_that_the_registry_has_lost_is_missed_on_the_machine_that_published_it() {
    let Some(world) = World::new("") else { return };
    let release = world.publish()["release"].clone();
    let (repository, name) = (world.repository("b"), world.image("b"));
    let image = release["images"][1]["platforms"][1]["manifest"].as_str();
    let manifest = world.direct.json(&repository, image.unwrap());
    let layers = manifest["layers"].as_array().unwrap();
    let layer = layers.last().unwrap()["digest"].as_str().unwrap();
    world.direct.delete_blob(&repository, layer);
    let said = world.seen_from_outside(&format!("{name}:1"), 3);
    assert!(said.contains(&format!("has no blob {layer}")), "{said}");
    // The next publish brings it back, although every manifest is there.
    world.publish();
    world.seen_from_outside(&format!("{name}:1"), 0);
}

const BILL: &str = r#"#!/bin/sh
echo "$*" >> calls-of-bom
test -f "$1/index.json" || exit 9
test -e no-bom && { echo 'first line
it cannot' >&2; exit 4; }
echo '{"spdxVersion":"SPDX-2.3","name":"x","packages":[{"SPDXID":"SPDXRef-1","name":"musl","versionInfo":"1.2"}]}'
"#;

#[test]
fn a_bill_of_materials_is_made_once_for_each_image() {
    let more = "[publish]\nsbom-generator = [\"./bom\", \"{layout}\"]\n";
    let Some(mut world) = World::new(more) else {
        return;
    };
    world.project = world.project.script("bom", BILL).file("no-bom", "");
    let graph = std::fs::read_to_string(world.project.path("build-graph.toml")).unwrap();
    let wanted = graph.replace("[stage.b]\n", "[stage.b]\nsbom = true\n");
    world.project.write("build-graph.toml", wanted);
    world.gate.forget();
    let ran = world.project.run(&["publish"]).ends(1);
    ran.says(
        "`./bom`, which makes the bill of materials of `b`, ended with exit status: 4: it cannot",
    );
    assert!(world.gate.requests().is_empty());
    std::fs::remove_file(world.project.path("no-bom")).unwrap();
    std::fs::remove_file(world.project.path("calls-of-bom")).unwrap();
    let first = world.publish();
    assert_eq!(lines(&world, "calls-of-bom").len(), 2);
    let second = world.publish();
    assert_eq!(tops(&first["release"]), tops(&second["release"]));
    assert_eq!(lines(&world, "calls-of-bom").len(), 2);
    let said = world.seen_from_outside(&format!("{}:1", world.image("b")), 0);
    for platform in ["linux/amd64", "linux/arm64"] {
        assert!(said.contains(&format!("{platform}: 1 package")), "{said}");
    }
}

const COSIGN: &str = r#"#!/bin/sh
test -e no-cosign && exit 7
echo "$*" >> calls-of-cosign
"#;

#[test]
fn every_image_is_signed_in_every_target_by_its_digest_before_any_tag_moves() {
    let Some(world) = World::new("[publish]\ncosign = \"keyless\"\n") else {
        return;
    };
    let mut world = with_programs(world);
    world.project = world
        .project
        .script("bin/cosign", COSIGN)
        .file("no-cosign", "");
    let to = world.gate.reference(&world.to);
    world.graph(&format!(
        "[target.main]\nto = \"{to}\"\n[target.mirror]\nto = \"{to}/mirror\"\n"
    ));
    let ran = world.project.run(&["publish"]).ends(1);
    ran.says("`cosign` does not sign ").says("no tag was moved");
    world.assert_untagged();
    std::fs::remove_file(world.project.path("no-cosign")).unwrap();

    let file = world.project.path("calls-of-cosign");
    world.gate.on_request(move |seen| {
        let signed = std::fs::read_to_string(&file).unwrap_or_default();
        let signed = signed.lines().count();
        assert!(
            !moves_tag(seen) || signed == 4,
            "{signed} signed at {seen:?}"
        );
        assert!(
            seen.method != "PUT" || moves_tag(seen) || signed == 0,
            "{seen:?}"
        );
    });
    let answer = world.publish();
    world.assert_published(&answer["release"]);
    let tops = tops(&answer["release"]);
    let mut expected = Vec::new();
    for place in [to.clone(), format!("{to}/mirror")] {
        for (stage, top) in ["a", "b"].iter().zip(&tops) {
            expected.push(format!(
                "sign --yes --allow-http-registry -- {place}/{stage}@{top}"
            ));
        }
    }
    assert_eq!(lines(&world, "calls-of-cosign"), expected);
}
