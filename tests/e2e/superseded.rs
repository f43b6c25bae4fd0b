//! Superseded images are removed from the engine, a few at a time. The last few stay.

use super::{Project, builds, content, docker, hosts, id, privates_of, project, unique};

/// A stage `a` with a unique image name, which keeps its last two images.
fn one(host: &str) -> (Project, String) {
    let image = unique("a");
    let graph = format!(
        "version = 1\n[defaults]\nkeep = 2\n[stage.a]\ncontext = \"a\"\nimage = \"{image}\"\n"
    );
    let project = project(host)
        .file("build-graph.toml", graph)
        .file("a/Dockerfile", "FROM scratch\nCOPY x /x\n")
        .file("a/x", &image);
    (project, image)
}

/// The number of private references of a project's state that the engine has.
fn privates(host: &str, project: &Project) -> usize {
    let filter = format!("reference={}*", privates_of(project));
    let format = "{{.Repository}}:{{.Tag}}";
    let all = ["image", "ls", "--filter", &filter, "--format", format];
    docker(host, &all).lines().count()
}

fn build(project: &Project, x: &str) -> Vec<String> {
    project.write("a/x", x);
    project.build(&[]).ends(0).those("built")
}

#[test]
fn superseded_images_go_a_few_at_a_time_and_the_last_few_are_restored_at_once() {
    for host in hosts() {
        let ((other, _), (project, image)) = (one(&host), one(&host));
        assert_eq!(build(&other, &unique("x")), ["a"]);
        let versions: Vec<String> = (0..4).map(|_| unique("x")).collect();
        for (at, version) in versions.iter().enumerate() {
            assert_eq!(build(&project, version), ["a"]);
            assert_eq!(privates(&host, &project), (at + 1).min(2));
        }
        // Switching to another branch and back needs no builder, and removes the images of neither.
        let ran = builds(&project);
        for at in [2, 3, 2, 3] {
            assert_eq!(build(&project, &versions[at]), ["a"]);
            assert_eq!(content(&host, &image, "/x"), versions[at]);
        }
        assert_eq!((builds(&project), privates(&host, &project)), (ran, 2));
        // An older version is built again.
        assert_eq!(build(&project, &versions[0]), ["a"]);
        assert_eq!(builds(&project), ran + 1);

        // At most five images are removed in a run, also in a run that builds nothing.
        let (own, now) = (privates_of(&project), id(&host, &image));
        for number in 0..8 {
            docker(&host, &["tag", &now, &format!("{own}a:left-{number}")]);
        }
        assert_eq!(build(&project, &unique("x")), ["a"]);
        assert_eq!(privates(&host, &project), 2 + 4);
        for left in [2, 2] {
            assert_eq!(project.build(&[]).ends(0).those("fresh"), ["a"]);
            assert_eq!(privates(&host, &project), left);
        }
        // The images of another state stay, whatever the names of its stages.
        assert_eq!(privates(&host, &other), 1);
        assert_eq!(other.verdicts()["a"], "fresh");
    }
}

#[test]
fn an_image_that_a_container_uses_stays_and_is_no_fault() {
    for host in hosts() {
        let (project, image) = one(&host);
        build(&project, &unique("x"));
        let container = docker(&host, &["create", &image, "-"]);
        for _ in 0..3 {
            let ran = project.run(&["build", "--json"]).ends(0);
            assert_eq!(ran.stderr, "");
            build(&project, &unique("x"));
        }
        assert_eq!(privates(&host, &project), 3);
        docker(&host, &["rm", &container]);
        build(&project, &unique("x"));
        assert_eq!(privates(&host, &project), 2);
    }
}
