//! Each change must change the key or stop the skip, and `plan` must name it.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::process::Command;

use super::{DOCKERFILE, GRAPH, build, is_built_again, names, one};
use crate::{docker, host, hosts, id, project, unique, with_base, written};

#[test]
fn a_file_moved_between_folders_is_built_again() {
    let project = one(&host());
    build(&project);
    fs::rename(project.path("a/src/x/one"), project.path("a/src/y/one")).unwrap();
    let moved = [
        ("input", "src/x/one", Some("*"), None),
        ("input", "src/y/one", None, Some("*")),
    ];
    is_built_again(&project, "a", "inputs_changed", &moved);
}

#[test]
fn a_symlink_that_is_retargeted_is_built_again() {
    let project = one(&host());
    let link = project.path("a/src/link");
    symlink("x", &link).unwrap();
    build(&project);
    fs::remove_file(&link).unwrap();
    symlink("y", &link).unwrap();
    let changed = ("input", "src/link", Some("*"), Some("*"));
    is_built_again(&project, "a", "inputs_changed", &[changed]);
}

#[test]
fn an_exec_bit_that_is_set_is_built_again() {
    let project = one(&host());
    build(&project);
    let executable = fs::Permissions::from_mode(0o755);
    fs::set_permissions(project.path("a/src/x/one"), executable).unwrap();
    let changed = ("input", "src/x/one", Some("*"), Some("*"));
    is_built_again(&project, "a", "inputs_changed", &[changed]);
}

#[test]
fn an_extended_attribute_that_is_set_is_built_again() {
    let project = one(&host());
    build(&project);
    let set = |value: &[u8]| {
        let flags = rustix::fs::XattrFlags::empty();
        rustix::fs::setxattr(project.path("a/src/x/one"), "user.note", value, flags).unwrap();
    };
    set(b"1");
    let changed = ("input", "src/x/one", Some("*"), Some("*"));
    is_built_again(&project, "a", "inputs_changed", &[changed]);
    let told = project.run(&["explain", "a"]).ends(0).stdout;
    assert!(told.contains("fresh"), "{told}");
    set(b"2");
    let told = project.run(&["explain", "a"]).ends(0).stdout;
    let words = "src/x/one has other extended attributes";
    assert!(told.contains(words), "{told}");
    is_built_again(&project, "a", "inputs_changed", &[changed]);
}

#[test]
fn an_empty_folder_that_is_added_is_built_again() {
    let project = one(&host());
    build(&project);
    fs::create_dir(project.path("a/src/empty")).unwrap();
    let added = ("input", "src/empty", None, Some("*"));
    is_built_again(&project, "a", "inputs_changed", &[added]);
}

#[test]
fn a_source_of_a_bind_mount_that_changed_is_built_again() {
    let graph = "version = 1\n[stage.base]\ncontext = \"base\"\n[stage.a]\ncontext = \"a\"\nfrom = \"base\"\n";
    let project = with_base(one(&host()))
        .file("build-graph.toml", graph)
        .file(
            "a/Dockerfile",
            "FROM base\nRUN --mount=type=bind,source=tool,target=/tool cat /tool > /out\n",
        )
        .file("a/tool", unique("tool"));
    build(&project);
    project.write("a/tool", unique("tool"));
    let changed = ("input", "tool", Some("*"), Some("*"));
    is_built_again(&project, "a", "inputs_changed", &[changed]);
}

#[test]
fn a_dockerfile_outside_the_context_that_changed_is_built_again() {
    let project = one(&host())
        .file(
            "build-graph.toml",
            format!("{GRAPH}dockerfile = \"docker/a\"\n"),
        )
        .file("docker/a", DOCKERFILE);
    build(&project);
    project.write("docker/a", "FROM scratch\nCOPY src /source\n");
    let changed = ("dockerfile", "", Some("*"), Some("*"));
    is_built_again(&project, "a", "dockerfile_changed", &[changed]);
}

#[test]
fn an_ignore_file_of_the_dockerfiles_own_that_is_added_is_built_again() {
    let project = one(&host());
    build(&project);
    project.write("a/Dockerfile.dockerignore", "src/x/one\n");
    let gone = ("input", "src/x/one", Some("*"), None);
    is_built_again(&project, "a", "inputs_changed", &[gone]);
}

#[test]
fn another_target_is_built_again() {
    let project = one(&host())
        .file("build-graph.toml", format!("{GRAPH}target = \"first\"\n"))
        .file(
            "a/Dockerfile",
            "FROM scratch AS first\nCOPY src /src\nFROM first AS second\nCOPY src /again\n",
        );
    build(&project);
    project.write("build-graph.toml", format!("{GRAPH}target = \"second\"\n"));
    // Another target reaches other instructions with the same text.
    let changed = ("target", "", Some("first"), Some("the last stage"));
    is_built_again(&project, "a", "settings_changed", &[changed]);
}

#[test]
fn another_argument_is_built_again() {
    let graph = |mode: &str| format!("{GRAPH}args = {{ MODE = \"{mode}\" }}\n");
    let project = one(&host()).file("build-graph.toml", graph("x")).file(
        "a/Dockerfile",
        format!("{DOCKERFILE}ARG MODE\nENV MODE=$MODE\n"),
    );
    build(&project);
    project.write("build-graph.toml", graph("y"));
    let changed = ("argument", "MODE", Some("x"), Some("y"));
    is_built_again(&project, "a", "arguments_changed", &[changed]);
}

#[test]
fn another_platform_is_built_again() {
    let graph = |platform: &str| format!("{GRAPH}platforms = [\"{platform}\"]\n");
    let project = one(&host()).file("build-graph.toml", graph("linux/amd64"));
    build(&project);
    project.write("build-graph.toml", graph("linux/arm64"));
    let changed = [
        ("platform", "linux/amd64", Some("*"), None),
        ("platform", "linux/arm64", None, Some("*")),
    ];
    is_built_again(&project, "a", "settings_changed", &changed);
}

#[test]
fn a_default_platform_of_docker_that_is_another_is_built_again() {
    let host = host();
    let image = unique("a");
    let project = one(&host).file("build-graph.toml", format!("{GRAPH}image = \"{image}\"\n"));
    build(&project);
    let project = project.variable("DOCKER_DEFAULT_PLATFORM", "linux/arm64");
    let changed = ("platform", "linux/arm64", None, Some("*"));
    is_built_again(&project, "a", "settings_changed", &[changed]);
    let inspect = ["image", "inspect", "--format", "{{.Architecture}}", &image];
    assert_eq!(docker(&host, &inspect), "arm64");
}

#[test]
fn a_proxy_of_dockers_configuration_that_the_dockerfile_declares_is_built_again() {
    let host = host();
    let config = |port: u16| {
        let proxy = format!("http://me:hunter2@127.0.0.1:{port}");
        format!("{{\"proxies\":{{\"default\":{{\"httpProxy\":\"{proxy}\"}}}}}}")
    };
    let image = unique("a");
    let project = one(&host)
        .file("build-graph.toml", format!("{GRAPH}image = \"{image}\"\n"))
        .file("docker-config/config.json", config(1))
        .file(
            "a/Dockerfile",
            format!("{DOCKERFILE}ARG HTTP_PROXY\nENV PROXY=$HTTP_PROXY\n"),
        );
    build(&project);
    project.write("docker-config/config.json", config(2));
    let changed = ("setting", "HTTP_PROXY", Some("*"), Some("*"));
    is_built_again(&project, "a", "settings_changed", &[changed]);
    let inspect = ["image", "inspect", "--format", "{{.Config.Env}}", &image];
    assert!(docker(&host, &inspect).contains("127.0.0.1:2"));
    // The password is in no file of the program.
    assert_eq!(written(&project, "hunter2"), "");
}

#[test]
fn a_default_of_an_argument_that_changed_is_built_again() {
    let dockerfile = |mode: &str| format!("{DOCKERFILE}ARG MODE={mode}\nENV MODE=$MODE\n");
    let project = one(&host()).file("a/Dockerfile", dockerfile("x"));
    build(&project);
    project.write("a/Dockerfile", dockerfile("y"));
    let changed = ("argument", "MODE", Some("x"), Some("y"));
    is_built_again(&project, "a", "dockerfile_changed", &[changed]);
}

#[test]
fn an_image_that_was_deleted_from_the_engine_is_built_again() {
    for host in hosts() {
        let image = unique("a");
        let graph = format!("{GRAPH}image = \"{image}\"\n");
        let project = one(&host).file("build-graph.toml", graph);
        build(&project);
        let reference = format!("{image}:latest");
        let built = id(&host, &reference);
        docker(&host, &["image", "rm", "--force", &built]);
        let gone = ("image", &*reference, Some(&*built), None);
        is_built_again(&project, "a", "image_missing", &[gone]);
        id(&host, &reference);
    }
}

#[test]
fn a_tag_that_another_image_took_is_put_back() {
    for host in hosts() {
        let image = unique("a");
        let graph = format!("{GRAPH}image = \"{image}\"\n");
        let project = one(&host).file("build-graph.toml", graph);
        build(&project);
        let graph = |tag: &str| format!("{GRAPH}image = \"{image}\"\ntags = [\"{tag}\"]\n");
        build(&one(&host).file("build-graph.toml", graph("other")));
        let (reference, other) = (format!("{image}:latest"), format!("{image}:other"));
        let (right, wrong) = (id(&host, &reference), id(&host, &other));
        docker(&host, &["image", "tag", &other, &reference]);
        let taken = ("image", &*reference, Some(&*right), Some(&*wrong));
        names(&project.planned("a"), "image_missing", &[taken]);
        // The image itself is still there, so it is restored: only its name is given back.
        assert_eq!(project.build(&[]).ends(0).those("built"), ["a"]);
        assert_eq!(id(&host, &reference), right);
        assert_eq!(project.verdicts()["a"], "fresh");
    }
}

#[test]
fn a_parent_that_is_rebuilt_to_another_image_makes_its_child_built_again() {
    let graph =
        "version = 1\n[stage.p]\ncontext = \"p\"\n[stage.a]\ncontext = \"a\"\nfrom = \"p\"\n";
    let project = one(&host())
        .file("build-graph.toml", graph)
        .file("p/Dockerfile", "FROM scratch\nCOPY x /x\n")
        .file("p/x", unique("x"))
        .file("a/Dockerfile", "FROM p\nCOPY src /src\n");
    build(&project);
    project.write("p/x", unique("x"));
    // The parent decides, and its next image is not known yet.
    assert_eq!(project.verdicts()["a"], "unknown upstream_changed");
    assert_eq!(project.build(&["p"]).ends(0).those("built"), ["p"]);
    let changed = ("upstream", "p", Some("*"), Some("*"));
    is_built_again(&project, "a", "upstream_changed", &[changed]);
}

#[test]
fn a_source_that_is_moved_to_another_commit_is_built_again() {
    let graph = "version = 1\n[source.s]\npath = \"checkout\"\n[stage.a]\nsource = \"s\"\ncontext = \"a\"\n\
        args = { COMMIT = \"${source.commit}\" }\n";
    let project = project(&host())
        .file("build-graph.toml", graph)
        .file(
            "checkout/a/Dockerfile",
            format!("{DOCKERFILE}ARG COMMIT\nENV COMMIT=$COMMIT\n"),
        )
        .file("checkout/a/src/one", unique("one"));
    let git = |arguments: &[&str]| {
        let done = Command::new("git")
            .args(["-c", "user.name=t", "-c", "user.email=t@example.org"])
            .args(arguments)
            .current_dir(project.path("checkout"))
            .output()
            .unwrap();
        assert!(done.status.success(), "git {arguments:?}: {done:?}");
    };
    git(&["init", "--quiet"]);
    git(&["add", "."]);
    git(&["commit", "--quiet", "-m", "first"]);
    project.write("checkout/a/src/one", unique("one"));
    git(&["commit", "--quiet", "--all", "-m", "second"]);
    build(&project);
    git(&["checkout", "--quiet", "HEAD~"]);
    let changed = [
        ("input", "src/one", Some("*"), Some("*")),
        ("argument", "COMMIT", Some("*"), Some("*")),
    ];
    is_built_again(&project, "a", "inputs_changed", &changed);
}

#[test]
fn a_secret_id_that_is_added_is_built_again() {
    let project = one(&host()).variable("THE_TOKEN", "token");
    build(&project);
    let secrets = "secrets = [{ id = \"token\", env = \"THE_TOKEN\" }]\n";
    project.write("build-graph.toml", format!("{GRAPH}{secrets}"));
    let added = ("secret", "token", None, Some("*"));
    is_built_again(&project, "a", "settings_changed", &[added]);
}

/// How buildx uses a policy was read in its source (0.31 and later). The buildx here ignores it.
#[test]
fn a_policy_beside_the_dockerfile_is_built_again() {
    let policy = |name: &str| format!("package docker\nallow if input.image.repo == \"{name}\"\n");
    let graph = |value: &str| format!("{GRAPH}args = {{ UNUSED = \"{value}\" }}\n");
    let project = one(&host()).file("build-graph.toml", graph("1"));
    build(&project);
    project.write("a/Dockerfile.rego", policy("x"));
    let setting = "settings_changed";
    let added = ("setting", "Dockerfile.rego", None, Some("*"));
    is_built_again(&project, "a", setting, &[added]);
    project.settle();
    project.write("a/Dockerfile.rego", policy("y"));
    let changed = ("setting", "Dockerfile.rego", Some("*"), Some("*"));
    is_built_again(&project, "a", setting, &[changed]);
    // A policy also sees arguments that no instruction uses.
    project.write("build-graph.toml", graph("2"));
    let argument = "argument UNUSED of Dockerfile.rego";
    let argument = ("setting", argument, Some("1"), Some("2"));
    is_built_again(&project, "a", setting, &[argument]);
    let project = project.variable("BUILDX_DEFAULT_POLICY", "1");
    let default = ("setting", "BUILDX_DEFAULT_POLICY", None, Some("true"));
    is_built_again(&project, "a", setting, &[default]);
    // No key can follow the files that a policy reads beside itself.
    project.write(
        "a/Dockerfile.rego",
        "package docker\nx := load_json(\"x.json\")\n",
    );
    project.build(&[]).ends(0);
    project.settle();
    let looks = "Dockerfile.rego, which calls `load_json`";
    names(
        &project.planned("a"),
        setting,
        &[("policy", looks, None, None)],
    );
    assert_eq!(project.build(&[]).ends(0).those("built"), ["a"]);
    let said = project.run(&["plan"]).ends(0).stdout;
    assert!(said.contains("only buildx can tell"), "{said}");
}
