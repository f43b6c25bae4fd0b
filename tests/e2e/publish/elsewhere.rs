//! Several targets, and releases that come from a target instead of the layout.

use serde_json::Value;

use super::{Direct, TAGS, World, moves_tag, outcomes, remove, tops};
use crate::support::gate::secure::SecureRegistry;
use crate::{registry, unique};
use xtask::publish::release::{Release, ReleasedImage, VerifiedAs};

/// A world with a second registry, which wants TLS and a password. The world is logged in there.
fn with_secure() -> Option<(World, SecureRegistry, Direct)> {
    if !SecureRegistry::is_possible() {
        return None;
    }
    let mut world = World::new("")?;
    let secure = SecureRegistry::start(&world.project.path("secure"));
    secure.log_in(&world.project.path("docker-config"));
    let ca = secure.ca_pem().to_str().unwrap().to_owned();
    world.project = world
        .project
        .variable("SSL_CERT_FILE", &ca)
        .variable("SSL_CERT_DIR", "")
        .variable("CURL_CA_BUNDLE", "");
    let direct = Direct::secure(secure.address(), &std::fs::read(secure.ca_pem()).unwrap());
    Some((world, secure, direct))
}

#[test]
fn a_release_is_rolled_back_to_without_the_layout() {
    let Some(world) = World::new("") else { return };
    let first = world.publish()["release"].clone();
    // Another release: the same images, and nothing attached.
    let graph = std::fs::read_to_string(world.project.path("build-graph.toml")).unwrap();
    let other = format!("{graph}[publish]\nattest = \"none\"\n");
    world.project.write("build-graph.toml", &other);
    let second = world.publish()["release"].clone();
    assert_ne!(tops(&first), tops(&second));
    world.assert_published(&second);

    remove(&world.state().join("oci"));
    let name = first["name"].as_str().unwrap();
    let planned = world.published(&["--dry-run", "--rollback", name]);
    assert_eq!(outcomes(&planned), ["planned"; 3]);
    world.assert_published(&second);
    world.gate.forget();
    let back = world.published(&["--rollback", name]);
    assert_eq!(back["release"], first);
    assert_eq!(outcomes(&back), ["moved"; 3]);
    world.assert_published(&first);
    assert!(world.writes().iter().all(moves_tag), "{:?}", world.writes());
    // A release is also read from a file.
    let file = world.state().join(format!(
        "releases/{}.json",
        second["name"].as_str().unwrap()
    ));
    let forward = world.published(&["--rollback", file.to_str().unwrap()]);
    assert_eq!(outcomes(&forward), ["moved"; 3]);
    world.assert_published(&second);
    // What a file says of itself is not believed.
    let text = std::fs::read_to_string(&file).unwrap();
    world
        .project
        .write("lie.json", text.replace("\"edge\"", "\"prod\""));
    let lie = world.project.path("lie.json");
    let ran = world
        .project
        .run(&["publish", "--rollback", lie.to_str().unwrap()]);
    ran.ends(2)
        .says("is not a release as this program wrote it");
    let ran = world
        .project
        .run(&["publish", "--rollback", "0123456789ab"]);
    ran.ends(2).says("cannot read the release");
}

#[test]
fn a_forged_release_and_two_images_for_one_name_are_refused_before_anything_is_pushed() {
    let Some(world) = World::new("") else { return };
    let to = world.gate.reference(&world.to);
    world.graph(&format!(
        "[target.main]\nto = \"{to}\"\n[target.other]\nto = \"{to}/other\"\n"
    ));
    let genuine = world.published(&["--to", "main"])["release"].clone();
    let name = genuine["name"].as_str().unwrap();
    let file = world.state().join(format!("releases/{name}.json"));
    let release = Release::parse(&std::fs::read(file).unwrap()).unwrap();
    let forged = |change: &dyn Fn(&mut ReleasedImage)| {
        let mut images = release.images.clone();
        change(&mut images[0]);
        let forged = Release::of(images);
        world.project.write("forged.json", forged.json());
        let path = world.project.path("forged.json");
        let path = path.to_str().unwrap();
        [
            vec!["publish", "--rollback", path, "--to", "main"],
            vec![
                "publish",
                "--promote",
                path,
                "--from",
                "main",
                "--to",
                "other",
            ],
        ]
        .map(|arguments| {
            let ran = world.project.run(&arguments);
            assert_ne!(ran.status, 0, "{}", ran.stdout);
            ran.stderr
        })
    };
    world.gate.forget();
    for lie in forged(&|image| image.verified = VerifiedAs::Not("a lie".to_owned())) {
        assert!(lie.contains("as its file says it"), "{lie}");
    }
    for elsewhere in forged(&|image| image.image = "images.test/anywhere/x".to_owned()) {
        assert!(
            elsewhere.contains("does not publish under that name"),
            "{elsewhere}"
        );
    }
    let graph = std::fs::read_to_string(world.project.path("build-graph.toml")).unwrap();
    let graph = graph.replace("images.test/it/b", "images.test/other/a");
    world.project.write("build-graph.toml", graph);
    world
        .project
        .run(&["publish", "--dry-run"])
        .ends(2)
        .says("two images of the set would be");
    assert!(world.writes().is_empty(), "{:?}", world.writes());
}

#[test]
fn a_release_is_promoted_to_a_registry_with_a_password_without_the_layout() {
    let Some((world, secure, direct)) = with_secure() else {
        return;
    };
    let to = world.gate.reference(&world.to);
    world.graph(&format!(
        "[target.tests]\nto = \"{to}\"\n[target.company]\nto = \"{}\"\n",
        secure.reference("prod")
    ));
    let release = world.published(&["--to", "tests"])["release"].clone();
    world.assert_published(&release);
    assert_eq!(direct.digest("prod/a", "1"), None);
    let name = release["name"].as_str().unwrap();
    let promote = |from: &str, to: &str| {
        let flags = [
            "publish",
            "--json",
            "--promote",
            name,
            "--from",
            from,
            "--to",
            to,
        ];
        world.project.run(&flags)
    };
    promote("nowhere", "company")
        .ends(2)
        .says("unknown target `nowhere`");
    remove(&world.state().join("oci"));
    world.gate.forget();
    let ran = promote("tests", "company").ends(0);
    let answer: Value = serde_json::from_str(&ran.stdout).unwrap();
    assert_eq!(outcomes(&answer), ["moved"; 3]);
    assert_eq!(answer["release"], release);
    assert!(world.writes().is_empty(), "{:?}", world.writes());
    for ((stage, tag), top) in TAGS.iter().zip([0, 0, 1]) {
        let now = direct.digest(&format!("prod/{stage}"), tag);
        assert_eq!(now.as_ref(), tops(&release).get(top));
    }
    let name = secure.reference("prod/b:1");
    let ran = world.project.run(&["verify", "--published", &name]).ends(0);
    assert!(ran.stdout.contains("is whole: 2 images"), "{}", ran.stdout);
}

#[test]
fn several_targets_get_all_images_before_any_tag_moves() {
    let Some((mut world, secure, direct)) = with_secure() else {
        return;
    };
    world.more = format!(
        "[publish]\nstaging = \"{}\"\n",
        world.gate.reference(&unique("staging"))
    );
    let to = world.gate.reference(&world.to);
    let targets = format!(
        "[target.main]\nto = \"{to}\"\n[target.mirror]\nto = \"{to}/mirror\"\n[target.company]\nto = \"{}\"\n",
        secure.reference("prod")
    );
    world.graph(&targets);
    // With a wrong password nothing is begun.
    let config = world.project.path("docker-config/config.json");
    let right = std::fs::read_to_string(&config).unwrap();
    let wrong = "dTp3cm9uZw==";
    let auth = right.split('"').rev().nth(1).unwrap();
    std::fs::write(&config, right.replace(auth, wrong)).unwrap();
    let ran = world.project.run(&["publish"]);
    ran.ends(3)
        .says(secure.address())
        .says("docker login")
        .never_says(wrong);
    world.assert_untagged();
    assert!(world.writes().is_empty());
    std::fs::write(&config, right).unwrap();

    world.gate.forget();
    let answer = world.publish();
    assert_eq!(outcomes(&answer), ["moved"; 9]);
    let release = &answer["release"];
    world.assert_published(release);
    let here = Direct::at(&format!("http://{}", registry().unwrap()));
    for ((stage, tag), top) in TAGS.iter().zip([0, 0, 1]) {
        let top = &tops(release)[top];
        let mirror = format!("{}/mirror/{stage}", world.to);
        assert_eq!(here.digest(&mirror, tag).as_ref(), Some(top));
        assert_eq!(
            direct.digest(&format!("prod/{stage}"), tag).as_ref(),
            Some(top)
        );
    }
    // Only the staging repository gets blobs; the others of the same host mount them.
    let writes = world.writes();
    let first = writes.iter().position(moves_tag).unwrap();
    assert!(writes[first..].iter().all(moves_tag));
    let uploads = writes.iter().filter(|seen| {
        seen.method == "PUT" && seen.path.contains("/blobs/") && seen.path.contains(&world.to)
    });
    // The release itself is in no staging repository: `release.json` for each image, and its empty
    // configuration.
    let count = uploads.count();
    assert!(count <= 8, "{count}: {writes:#?}");
    let mounts = writes.iter().filter(|seen| seen.path.contains("mount="));
    assert!(mounts.count() >= 16);
    assert_eq!(outcomes(&world.publish()), ["already"; 9]);
}
