//! The program's own state inside a context.

use super::{builds, docker, hosts, project, unique};

#[test]
fn a_context_that_holds_the_state_gives_a_fresh_image_without_it() {
    for host in hosts() {
        let image = unique("a");
        let graph = format!(
            "version = 1\n[stage.a]\ncontext = \".\"\ndockerfile = \"D\"\nimage = \"{image}\"\n"
        );
        let project = project(&host)
            .file("build-graph.toml", graph)
            .file("D", "FROM scratch\nCOPY . /all/\n")
            // The files of the test itself change, too.
            .file(".dockerignore", "calls\nbin\ndocker-config\n")
            .file("x", unique("x"));
        let said = "write `state/graph-*` as the last line of";
        project.run(&["build"]).ends(2).says(said);
        assert_eq!(builds(&project), 0);
        project.write(
            ".dockerignore",
            "calls\nbin\ndocker-config\nstate/graph-*\n",
        );
        assert_eq!(project.build(&[]).ends(0).those("built"), ["a"]);
        assert_eq!(project.build(&[]).ends(0).those("fresh"), ["a"]);
        let container = docker(&host, &["create", &image, "-"]);
        let copied = project.path("state/copied.tar");
        let from = format!("{container}:/all");
        docker(&host, &["cp", &from, copied.to_str().unwrap()]);
        docker(&host, &["rm", &container]);
        let names = std::fs::read_dir(copied.join("state")).unwrap();
        assert_eq!(names.count(), 0);
        assert!(copied.join("x").exists());
    }
}
