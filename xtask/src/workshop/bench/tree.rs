//! The files that are measured on: trees of a given shape, with the same bytes under the same names
//! every time, on every machine.

use std::io;

use camino::Utf8Path;

use crate::fault::{Fault, Result};

/// How many files of the tree like Dify's git knows.
const DIFY: usize = 6_800;
/// How many of them are in `api`, and after these in `web`; the others are in `docker`.
const API: usize = 3_500;
const WEB: usize = 3_200;
/// One of this many files is large.
const LARGE_EVERY: usize = 340;
const LARGE: usize = 950_000;
/// How many files neither git nor a context has.
const IGNORED: usize = 100;
/// How many files a folder of a growing tree has.
const IN_A_FOLDER: usize = 100;

/// Makes a tree at `folder`, unless a tree of this `recipe` is there. The recipe is a text that
/// must change if the tree changes.
pub fn once(
    folder: &Utf8Path,
    recipe: &str,
    make: impl FnOnce(&Utf8Path) -> io::Result<()>,
) -> Result<()> {
    let note = folder.with_extension("made");
    if std::fs::read_to_string(&note).is_ok_and(|made| made == recipe) && folder.is_dir() {
        return Ok(());
    }
    crate::tell!("making {recipe} in {folder}");
    let made = || {
        match std::fs::remove_dir_all(folder) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        std::fs::create_dir_all(folder)?;
        make(folder)?;
        std::fs::write(&note, recipe)
    };
    made().map_err(|error| Fault::lacks(format!("cannot make {recipe} in {folder}: {error}")))
}

/// A tree of Dify's size and shape: 6,800 files of 50 MB in folders of four, some names with spaces
/// and brackets, and an ignored `node_modules`.
pub fn dify(folder: &Utf8Path) -> io::Result<()> {
    let own = [
        ("build-graph.toml", GRAPH),
        ("bake.json", BAKE),
        ("compose.json", COMPOSE),
        ("package.json", WORKSPACE),
        ("package-lock.json", WORKSPACE_LOCK),
        ("turbo.json", TURBO),
        (".gitignore", "node_modules/\n.turbo/\n"),
        (
            "api/Dockerfile",
            "FROM scratch\nWORKDIR /app/api\nCOPY . .\n",
        ),
        (
            "api/.dockerignore",
            ".venv\n.turbo\n**/__pycache__\n*.log\n",
        ),
        ("api/package.json", API_PACKAGE),
        (
            "web/Dockerfile",
            "FROM scratch AS packages\nCOPY package.json /\nFROM scratch\nCOPY --from=packages / /\nCOPY . /app/web/\n",
        ),
        (
            "web/.dockerignore",
            "node_modules\n.next\n.turbo\n*.log\n!keep.log\nDockerfile*\n",
        ),
        ("web/package.json", WEB_PACKAGE),
    ];
    for (path, text) in own {
        write(&folder.join(path), text.as_bytes())?;
    }
    for number in own.len()..DIFY {
        write(
            &folder.join(dify_name(number)),
            &content(number, dify_size(number)),
        )?;
    }
    for number in 0..IGNORED {
        let path = format!("web/node_modules/package-{}/{number}.js", number / 10);
        write(&folder.join(path), &content(number, 2_000))?;
    }
    Ok(())
}

/// A graph of images on `scratch`, each of some 300 MB in 3,000 files. One half is as random as
/// compressed data, the other is like source code.
pub fn images(folder: &Utf8Path, count: usize) -> io::Result<()> {
    let mut graph = "version = 1\n".to_owned();
    for image in 0..count {
        let name = image_name(image);
        graph.push_str(&format!(
            "[stage.image-{image}]\ncontext = \"{image}\"\nimage = \"{}\"\n",
            name.strip_suffix(":latest").unwrap_or(&name)
        ));
        let context = folder.join(image.to_string());
        let dockerfile = "FROM scratch\nCOPY files /files\nUSER 1000\n";
        write(&context.join("Dockerfile"), dockerfile.as_bytes())?;
        for number in 0..3_000 {
            let path = context.join(format!("files/{}/{number}", number / 50));
            let bytes = if number % 2 == 0 {
                noise(image * 3_000 + number, 100_000)
            } else {
                content(image * 3_000 + number, 100_000)
            };
            write(&path, &bytes)?;
        }
    }
    write(&folder.join("build-graph.toml"), graph.as_bytes())
}

/// Small stages, each with a folder of its own.
pub fn small(folder: &Utf8Path, count: usize) -> io::Result<()> {
    for stage in 0..count {
        let context = folder.join(format!("small-{stage}"));
        write(
            &context.join("Dockerfile"),
            b"FROM scratch\nCOPY files /files\n",
        )?;
        for number in 0..60 {
            let path = context.join(format!("files/{number}"));
            write(&path, &content(stage * 60 + number, 4_000))?;
        }
    }
    Ok(())
}

/// The graph of the small stages. Under the profile `ci` their images go to the registry, under
/// `local` nothing is shared.
pub fn small_graph(count: usize, registry: &str) -> String {
    let mut graph = format!(
        "version = 1\n[defaults]\nplatforms = [\"linux/amd64\"]\n\
         [registry]\nurl = \"{registry}/bench\"\ntrust = [\"any\"]\n\
         [profile.ci.defaults]\noutput = \"registry\"\n\
         [profile.local.registry]\ntrust = []\n"
    );
    for stage in 0..count {
        graph.push_str(&format!(
            "[stage.small-{stage}]\ncontext = \"small-{stage}\"\nimage = \"xtask-bench/small-{stage}\"\n"
        ));
    }
    graph
}

/// The name of one of the images that `images` makes.
pub fn image_name(image: usize) -> String {
    format!("xtask-bench/image-{image}:latest")
}

/// Bytes that cannot be compressed.
fn noise(seed: usize, length: usize) -> Vec<u8> {
    let mut bytes = vec![0; length];
    let mut hasher = blake3::Hasher::new();
    hasher.update(&seed.to_le_bytes());
    hasher.finalize_xof().fill(&mut bytes);
    bytes
}

/// The stages of the tree like Dify's.
const GRAPH: &str = "\
version = 1
[stage.api]
context = \"api\"
image = \"xtask-bench/api\"
[stage.web]
context = \"web\"
image = \"xtask-bench/web\"
";

/// The same for `docker buildx bake`, under other image names, so that neither program moves the
/// other's names.
const BAKE: &str = r#"{
  "group": { "default": { "targets": ["api", "web"] } },
  "target": {
    "api": { "context": "api", "tags": ["xtask-bench-bake/api:latest"] },
    "web": { "context": "web", "tags": ["xtask-bench-bake/web:latest"] }
  }
}
"#;

/// The same for `docker compose`. The images have no program, so their containers are created and
/// never started; compose refuses to create one without a command.
const COMPOSE: &str = r#"{
  "name": "xtask-bench",
  "services": {
    "api": {
      "build": { "context": "api" },
      "image": "xtask-bench-compose/api:latest",
      "command": ["/none"],
      "network_mode": "none"
    },
    "web": {
      "build": { "context": "web" },
      "image": "xtask-bench-compose/web:latest",
      "command": ["/none"],
      "network_mode": "none"
    }
  }
}
"#;

/// The same for Turborepo: a package for each image, with a task that builds it.
const WORKSPACE: &str = r#"{
  "name": "xtask-bench",
  "private": true,
  "packageManager": "npm@10.0.0",
  "workspaces": ["api", "web"]
}
"#;

const WORKSPACE_LOCK: &str = r#"{
  "name": "xtask-bench",
  "lockfileVersion": 3,
  "requires": true,
  "packages": {
    "": { "name": "xtask-bench", "workspaces": ["api", "web"] },
    "api": {},
    "web": {},
    "node_modules/api": { "resolved": "api", "link": true },
    "node_modules/web": { "resolved": "web", "link": true }
  }
}
"#;

const TURBO: &str = r#"{
  "globalPassThroughEnv": ["DOCKER_HOST", "DOCKER_CONFIG", "BUILDX_CONFIG"],
  "tasks": { "build": {} }
}
"#;

const API_PACKAGE: &str = r#"{
  "name": "api",
  "scripts": {
    "build": "docker buildx build --builder=default --provenance=false --tag=xtask-bench-turbo/api:latest ."
  }
}
"#;

const WEB_PACKAGE: &str = r#"{
  "name": "web",
  "scripts": {
    "build": "docker buildx build --builder=default --provenance=false --tag=xtask-bench-turbo/web:latest ."
  }
}
"#;

/// A file of `api`, which a change is made to.
pub fn dify_file() -> String {
    dify_name(API / 2)
}

/// Writes that file: as the tree is made, or with a `change`.
pub fn write_dify_file(folder: &Utf8Path, change: Option<usize>) -> io::Result<()> {
    let number = API / 2;
    let bytes = change.map_or_else(
        || content(number, dify_size(number)),
        |change| format!("changed {change}\n").into_bytes(),
    );
    write(&folder.join(dify_file()), &bytes)
}

fn dify_name(number: usize) -> String {
    let folder = number / 4;
    let (part, word) = (folder % 40, WORDS[number % WORDS.len()]);
    let top = WORDS[folder % WORDS.len()];
    if number < API {
        return format!("api/core/{top}/provider_{part:02}/part_{folder:04}/{word}_{number:05}.py");
    }
    if number >= API + WEB {
        return format!("docker/{top}/part_{folder:04}/{word}_{number:05}.yaml");
    }
    match folder % 5 {
        0 => format!(
            "web/app/(commonLayout)/[appId]/{top}-{part:02}/{folder:04}/{word}.{number}.tsx"
        ),
        1 => {
            format!("web/app/components/{top} {part:02}/part {folder:04}/use {word} {number:05}.ts")
        }
        _ => format!("web/app/components/{top}-{part:02}/part-{folder:04}/{word}-{number:05}.tsx"),
    }
}

const WORDS: [&str; 7] = [
    "workflow",
    "datasets",
    "model",
    "conversation",
    "tool",
    "prompt",
    "document",
];

fn dify_size(number: usize) -> usize {
    let large = if number % LARGE_EVERY == LARGE_EVERY / 2 {
        LARGE
    } else {
        0
    };
    let small = usize::try_from(mix(number as u64) % 8_192).unwrap_or_default();
    400 + small + large
}

/// Many stages of eleven files each, and the same graph for ninja, in which a stage is one edge. In
/// each group of ten stages, the first is made from `scratch` and the others stand on it.
pub fn stages(folder: &Utf8Path, count: usize) -> io::Result<()> {
    let mut graph = "version = 1\n".to_owned();
    let mut ninja = "rule make\n  command = touch $out\n".to_owned();
    std::fs::create_dir_all(folder.join("out"))?;
    for stage in 0..count {
        let name = format!("s{stage:05}");
        let base = format!("s{:05}", stage / 10 * 10);
        let is_base = name == base;
        graph.push_str(&format!(
            "[stage.{name}]\ncontext = \"{name}\"\nimage = \"xtask-bench/{name}\"\n"
        ));
        ninja.push_str(&format!("build out/{name}: make {name}/Dockerfile"));
        let from = if is_base { "scratch" } else { base.as_str() };
        let dockerfile = format!("FROM {from}\nCOPY . /\n");
        write(
            &folder.join(&name).join("Dockerfile"),
            dockerfile.as_bytes(),
        )?;
        for file in 0..10 {
            let path = format!("{name}/{}_{file}.py", WORDS[file % WORDS.len()]);
            std::fs::write(folder.join(&path), content(stage * 10 + file, 100))?;
            ninja.push_str(&format!(" {path}"));
        }
        if !is_base {
            graph.push_str(&format!("from = \"{base}\"\n"));
            ninja.push_str(&format!(" | out/{base}"));
        }
        ninja.push('\n');
    }
    std::fs::write(folder.join("build-graph.toml"), graph)?;
    std::fs::write(folder.join("build.ninja"), ninja)
}

/// One stage with `count` files. Most are empty: a no-op reads none of them, and a million empty
/// files fit on the disk.
pub fn growing(folder: &Utf8Path, count: usize) -> io::Result<()> {
    let graph = format!(
        "version = 1\n[stage.files-{count}]\ncontext = \"tree\"\nimage = \"xtask-bench/files-{count}\"\n"
    );
    std::fs::write(folder.join("build-graph.toml"), graph)?;
    let dockerfile = "FROM scratch\nCOPY . /\n";
    write(&folder.join("tree/Dockerfile"), dockerfile.as_bytes())?;
    for number in 0..count.saturating_sub(1) {
        let part = number / IN_A_FOLDER;
        let parts = folder.join(format!("tree/package_{:03}/src/part_{part:05}", part / 10));
        if number % IN_A_FOLDER == 0 {
            std::fs::create_dir_all(&parts)?;
        }
        let path = parts.join(format!("module_{number:07}.ts"));
        let size = if number % 10 == 0 { 100 } else { 0 };
        std::fs::write(path, content(number, size))?;
    }
    Ok(())
}

fn write(path: &Utf8Path, bytes: &[u8]) -> io::Result<()> {
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder)?;
    }
    std::fs::write(path, bytes)
}

/// Text that is different for every number, and does not compress to nothing.
fn content(number: usize, size: usize) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(size + 8);
    let mut state = mix(number as u64);
    while bytes.len() < size {
        state = mix(state);
        bytes.extend(state.to_le_bytes().map(|byte| b'a' + byte % 26));
        if state.is_multiple_of(8) {
            bytes.push(b'\n');
        }
    }
    bytes.truncate(size);
    bytes
}

/// Spreads a number over all 64 bits (splitmix64).
fn mix(number: u64) -> u64 {
    let mut mixed = number.wrapping_add(0x9E37_79B9_7F4A_7C15);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    mixed ^ (mixed >> 31)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn the_tree_has_difys_size_and_no_name_twice() {
        let names: BTreeSet<String> = (0..DIFY).map(dify_name).collect();
        assert_eq!(names.len(), DIFY);
        let bytes: usize = (0..DIFY).map(dify_size).sum();
        assert!((49_000_000..51_000_000).contains(&bytes), "{bytes}");
        for part in [" ", "[", "("] {
            assert!(names.iter().any(|name| name.contains(part)), "{part}");
        }
    }

    #[test]
    fn the_file_that_is_changed_is_small_and_is_put_back_as_it_was() {
        let folder = tempfile::tempdir().unwrap();
        let folder = Utf8Path::from_path(folder.path()).unwrap();
        let file = folder.join(dify_file());
        let read = || std::fs::read(&file).unwrap();
        write_dify_file(folder, None).unwrap();
        let made = read();
        assert!(made.len() < 10_000);
        write_dify_file(folder, Some(1)).unwrap();
        let first = read();
        write_dify_file(folder, Some(2)).unwrap();
        assert_ne!(read(), first);
        write_dify_file(folder, None).unwrap();
        assert_eq!(read(), made);
    }

    #[test]
    fn every_peer_of_the_tree_builds_the_same_stages() {
        let json = |text: &str| serde_json::from_str::<serde_json::Value>(text).unwrap();
        let keys = |value: &serde_json::Value| {
            let keys = value.as_object().unwrap().keys();
            keys.cloned().collect::<Vec<_>>()
        };
        let stages = ["api", "web"];
        assert_eq!(keys(&json(BAKE)["target"]), stages);
        assert_eq!(keys(&json(COMPOSE)["services"]), stages);
        assert_eq!(json(WORKSPACE)["workspaces"], serde_json::json!(stages));
        for (stage, package) in stages.iter().zip([API_PACKAGE, WEB_PACKAGE]) {
            let package = json(package);
            assert_eq!(package["name"], *stage);
            let build = package["scripts"]["build"].as_str().unwrap();
            assert!(build.contains(&format!("/{stage}:latest")), "{build}");
        }
        json(TURBO);
        json(WORKSPACE_LOCK);
    }

    #[test]
    fn content_is_the_same_every_time_and_another_for_every_file() {
        assert_eq!(content(7, 300), content(7, 300));
        assert_ne!(content(7, 300), content(8, 300));
        assert_eq!(content(7, 300).len(), 300);
    }
}
