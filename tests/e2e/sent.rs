//! An image is made of the inputs in its key, whatever BuildKit kept from earlier builds.
//!
//! BuildKit keeps files by the last name of a context's folder, and does not take a file again if
//! its path, size and time are the same. Every case here has two different contents with the same
//! path, size and time.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::time::{Duration, SystemTime};

use super::{
    Project, builds, content, copied, docker, host, hosts, project, state_of, unique, until_step,
    with_base,
};

/// Sets the time of a file to a moment long ago, the same for all files.
fn date(path: &Path) {
    let file = fs::File::options().write(true).open(path).unwrap();
    let time = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000_000);
    file.set_modified(time).unwrap();
}

/// Writes a file with the same time as all others.
fn write(project: &Project, path: &str, content: &str) {
    project.write(path, content);
    date(&project.path(path));
}

fn graph(image: &str) -> String {
    format!("version = 1\n[stage.a]\ncontext = \"a\"\nimage = \"{image}\"\n")
}

pub fn one(host: &str, image: &str) -> Project {
    let project = project(host)
        .file("build-graph.toml", graph(image))
        .file("a/Dockerfile", "FROM scratch\nCOPY x /x\n");
    write(&project, "a/x", "1");
    project
}

/// The names under which contexts were sent, in the order of the calls.
fn names(project: &Project) -> Vec<String> {
    let calls = fs::read_to_string(project.path("calls")).unwrap();
    let calls = calls.lines().filter(|call| call.contains("buildx build"));
    let name = |call: &str| call.rsplit('/').next().unwrap().to_owned();
    calls.map(name).collect()
}

#[test]
fn an_edit_that_keeps_size_and_time_gets_into_the_image() {
    for host in hosts() {
        let image = unique("a");
        let project = one(&host, &image);
        for text in ["1", "2", "3", "1"] {
            write(&project, "a/x", text);
            project.build(&[]).ends(0);
            assert_eq!(content(&host, &image, "/x"), text);
        }
    }
}

#[test]
fn two_stages_whose_contexts_are_called_alike_get_their_own_files() {
    let host = host();
    let (p, q) = (unique("p"), unique("q"));
    let stage = |name: &str, image: &str| {
        format!("[stage.{name}]\ncontext = \"{name}/app\"\nimage = \"{image}\"\n")
    };
    let project = project(&host).file(
        "build-graph.toml",
        format!("version = 1\n{}{}", stage("p", &p), stage("q", &q)),
    );
    for name in ["p", "q"] {
        let dockerfile = format!("{name}/app/Dockerfile");
        project.write(&dockerfile, "FROM scratch\nCOPY x /x\n");
        write(&project, &format!("{name}/app/x"), name);
    }
    project.build(&["--jobs", "1"]).ends(0);
    assert_eq!(content(&host, &p, "/x"), "p");
    assert_eq!(content(&host, &q, "/x"), "q");
    // The folders swap their names, and keep their times.
    fs::rename(project.path("p"), project.path("r")).unwrap();
    fs::rename(project.path("q"), project.path("p")).unwrap();
    fs::rename(project.path("r"), project.path("q")).unwrap();
    project.build(&[]).ends(0);
    assert_eq!(content(&host, &p, "/x"), "q");
    assert_eq!(content(&host, &q, "/x"), "p");
}

#[test]
fn a_named_context_and_an_overlay_that_keep_size_and_time_get_into_the_image() {
    let host = host();
    let image = unique("a");
    let lines = "overlays = [\"over\"]\ncontexts = { more = { path = \"more\" } }\n";
    let project = one(&host, &image)
        .file("build-graph.toml", graph(&image) + lines)
        .file(
            "a/Dockerfile",
            "FROM scratch\nCOPY x /x\nCOPY --from=more y /y\n",
        );
    for text in ["1", "2"] {
        write(&project, "over/x", text);
        write(&project, "more/y", text);
        project.build(&[]).ends(0);
        assert_eq!(content(&host, &image, "/x"), text);
        assert_eq!(content(&host, &image, "/y"), text);
    }
}

#[test]
fn what_a_host_command_makes_with_the_same_times_gets_into_the_image() {
    let host = host();
    let image = unique("a");
    let prepare = "prepare = { dir = \"a\", run = [\"sh\", \"make\"], inputs = [\"make\"], outputs = [\"x\"] }\n";
    let project = one(&host, &image).file("build-graph.toml", graph(&image) + prepare);
    for text in ["1", "2"] {
        let make = format!("printf {text} > x && touch -d @1000000000 x\n");
        project.write("a/make", make);
        project.build(&[]).ends(0);
        assert_eq!(content(&host, &image, "/x"), text);
    }
}

#[test]
fn a_context_keeps_its_name_while_nothing_of_it_can_be_mistaken() {
    let host = host();
    let image = unique("a");
    let project = one(&host, &image);
    project.build(&[]).ends(0);
    // A file that is written again has a new time.
    project.write("a/x", "2");
    project.build(&[]).ends(0);
    project.write("a/y", "new");
    project.write("a/Dockerfile", "FROM scratch\nCOPY x y /\n");
    project.build(&[]).ends(0);
    // A failing step does not make the kept files doubtful either.
    project.write(
        "a/Dockerfile",
        "FROM scratch\nCOPY x y /\nRUN [\"/none\"]\n",
    );
    project.build(&[]).ends(1);
    project.write("a/Dockerfile", "FROM scratch\nCOPY x y /\n");
    project.write("a/x", "3");
    project.build(&[]).ends(0);
    let kept = names(&project);
    assert_eq!(kept.len(), 5);
    assert!(kept.iter().all(|name| *name == kept[0]), "{kept:?}");
    // With `--force`, or if the state is gone, the whole context is sent again under a new name.
    project.build(&["--force"]).ends(0);
    fs::remove_dir_all(project.path("state")).unwrap();
    project.build(&[]).ends(0);
    let mut all = names(&project).split_off(4);
    all.sort();
    all.dedup();
    assert_eq!(all.len(), 3, "{all:?}");
}

/// A stage that takes a while to build. Its parent is built.
fn slow(host: &str, image: &str) -> Project {
    let graph = format!(
        "version = 1\n[stage.base]\ncontext = \"base\"\n\
         [stage.a]\ncontext = \"up/a\"\nfrom = \"base\"\nimage = \"{image}\"\n"
    );
    let once = unique("a");
    let project = with_base(project(host))
        .file("build-graph.toml", graph)
        .file(
            "up/a/Dockerfile",
            format!("FROM base\nCOPY . /x\nRUN echo {once} && sleep 4\n"),
        )
        .file("up/a/.dockerignore", "*.swp\nDockerfile\n")
        .file("up/a/x", "as it was");
    project.build(&["base"]).ends(0);
    project
}

/// Builds a stage whose tree changes meanwhile. The shell script `replace` replaces the tree after
/// it was read and before it is sent, and `back` undoes that once BuildKit has it.
fn is_built_as_it_was(replace: &str, back: impl Fn(&Project)) {
    let host = host();
    let image = unique("a");
    let project = slow(&host, &image).file("bin/before", replace);
    let mut child = project.start(&["build", "--json"]);
    let mut out = BufReader::new(child.stdout.take().unwrap());
    until_step(&mut out, "sleep 4");
    back(&project);
    let rest: Vec<String> = out.lines().map(Result::unwrap).collect();
    assert!(child.wait().unwrap().success(), "{rest:?}");
    assert!(!project.path("bin/before").exists());
    assert_eq!(content(&host, &image, "/x/x"), "as it was");
    assert_eq!(project.verdicts()["a"], "fresh");
}

#[test]
fn a_file_that_is_put_back_before_its_build_ends_is_not_built_as_it_was_between() {
    let replace = "printf between! > ../up/a/x\n";
    is_built_as_it_was(replace, |project| project.write("up/a/x", "as it was"));
}

/// A rename above the folder leaves no trace in it.
#[test]
fn a_tree_that_is_put_back_before_its_build_ends_is_not_built_as_another_was_between() {
    let replace = "cd ..\nmv up aside\nmkdir -p up/a\n\
         cp aside/a/Dockerfile aside/a/.dockerignore up/a/\nprintf between! > up/a/x\n";
    is_built_as_it_was(replace, |project| {
        let (here, aside) = (project.path("up"), project.path("aside"));
        fs::remove_dir_all(&here).unwrap();
        fs::rename(&aside, &here).unwrap();
    });
}

/// The tree is replaced while it is merged with an overlay, before BuildKit is called.
#[test]
fn a_tree_that_is_another_one_while_it_is_merged_is_not_built_as_that() {
    let host = host();
    let image = unique("a");
    let lines = "context = \"up/a\"\noverlays = [\"over\"]\n";
    let project = project(&host)
        .file(
            "build-graph.toml",
            format!("version = 1\n[stage.a]\nimage = \"{image}\"\n{lines}"),
        )
        .file("over/y", "");
    for tree in ["up/a", "other/a"] {
        project.write(&format!("{tree}/Dockerfile"), "FROM scratch\nCOPY . /x/\n");
        for at in 2_000..6_000 {
            project.write(&format!("{tree}/{at}"), "");
        }
        project.write(&format!("{tree}/5000"), "between!");
    }
    project.run(&["plan"]).ends(0);
    let graphs = fs::read_dir(project.path("state")).unwrap().flatten();
    let mut graphs = graphs
        .map(|graph| graph.path())
        .filter(|path| path.is_dir());
    let merging = graphs.next().unwrap().join("merged/.merging-a");
    // The exchange is in time if the other tree was there when the file was laid out, but not at
    // the end.
    let is_in_time = |round: usize| {
        project.write("up/a/5000", format!("as it was {round}"));
        let mut child = project.start(&["build"]);
        let mut lives = || child.try_wait().unwrap().is_none();
        while !merging.exists() && lives() {}
        // The exchange is atomic, so there is a tree at every moment.
        let exchange = || {
            use rustix::fs::{CWD, RenameFlags, renameat_with};
            let (up, other) = (project.path("up"), project.path("other"));
            renameat_with(CWD, up, CWD, other, RenameFlags::EXCHANGE).unwrap();
        };
        exchange();
        let laid_out = merging.join("5000");
        while !laid_out.exists() && merging.exists() && lives() {}
        exchange();
        let in_time = fs::read(laid_out).is_ok_and(|text| text == b"between!");
        Project::finish(child).ends(0);
        in_time
    };
    let rounds = 1..=20;
    let round = rounds.into_iter().find(|round| is_in_time(*round));
    let round = round.expect("once in time");
    let text = format!("as it was {round}");
    assert_eq!(content(&host, &image, "/x/5000"), text);
    assert_eq!(project.verdicts()["a"], "fresh");
}

#[test]
fn a_file_beside_the_inputs_that_comes_and_goes_costs_a_call_and_no_record() {
    let host = host();
    let image = unique("a");
    let project = slow(&host, &image);
    let mut child = project.start(&["build", "--json"]);
    let mut out = BufReader::new(child.stdout.take().unwrap());
    until_step(&mut out, "sleep 4");
    project.write("up/a/.x.swp", "an editor's");
    let rest: Vec<String> = out.lines().map(Result::unwrap).collect();
    assert!(child.wait().unwrap().success(), "{rest:?}");
    assert_eq!(builds(&project), 3, "base, and a twice");
    assert_eq!(project.verdicts()["a"], "fresh");
    // The log keeps what the first call ran, which is in BuildKit's cache at the second one.
    let log = fs::read_to_string(state_of(&project).path("logs/a.log")).unwrap();
    let (first, second) = log.split_once("\n--- once more").unwrap();
    assert!(
        first.contains("sleep 4") && !first.contains("(cached)"),
        "{log}"
    );
    assert!(second.contains("(cached)"), "{log}");
}

/// If the folder is read whole, `!api` takes in again what `api/app.py` left out. So BuildKit's own
/// reading of the ignore file decides.
#[test]
fn an_overlay_over_an_ignore_file_that_leaves_itself_out_changes_nothing_of_it() {
    let host = host();
    let image = unique("a");
    let project = one(&host, &image)
        .file(
            "build-graph.toml",
            graph(&image) + "overlays = [\"over\"]\n",
        )
        .file("a/Dockerfile", "FROM scratch\nCOPY api /api\n")
        .file("a/.dockerignore", "api/app.py\n!api\n.dockerignore\n")
        .file("a/api/app.py", "left out")
        .file("a/api/stays", "")
        .file("over/api/more", "");
    let plain = unique("plain");
    let context = project.path("a");
    let tag = format!("--tag={plain}");
    let context = context.to_str().unwrap();
    docker(
        &host,
        &["buildx", "build", "--quiet", "--load", &tag, context],
    );
    project.build(&[]).ends(0);
    let has = |image: &str, name: &str| {
        let folder = copied(&host, image, "/api");
        folder.path().join("it").join(name).exists()
    };
    assert!(has(&image, "more") && has(&image, "stays"));
    assert_eq!(has(&image, "app.py"), has(&plain, "app.py"));
}

#[test]
fn a_state_folder_that_is_named_from_here_is_found_by_buildx_too() {
    let host = host();
    let image = unique("a");
    let project = one(&host, &image)
        .variable("XTASK_STATE", "state-here")
        .file(
            "build-graph.toml",
            graph(&image) + "overlays = [\"over\"]\n",
        )
        .file("over/x", "over");
    project.build(&[]).ends(0);
    assert_eq!(content(&host, &image, "/x"), "over");
    assert!(project.path("state-here").is_dir());
}

/// BuildKit reads files for the triggers of an image that only the engine has. No key follows
/// these.
#[test]
fn a_file_that_was_sent_without_being_an_input_is_not_taken_for_a_later_one() {
    let host = host();
    let (base, image) = (unique("onbuild"), unique("a"));
    let maker = one(&host, &base).file("a/Dockerfile", "FROM scratch\nONBUILD COPY g /g\n");
    maker.build(&[]).ends(0);
    let own = "FROM scratch\nCOPY x g /\n";
    let project = one(&host, &image).file("a/Dockerfile", own);
    write(&project, "a/g", "1");
    project.build(&[]).ends(0);
    let later = |content: &str| {
        project.write("a/g", content);
        let file = fs::File::open(project.path("a/g")).unwrap();
        let time = SystemTime::UNIX_EPOCH + Duration::from_secs(1_600_000_000);
        file.set_modified(time).unwrap();
    };
    let triggered = format!("FROM {base}:latest\nCOPY x /x\n");
    project.write("a/Dockerfile", &triggered);
    for text in ["2", "3"] {
        later(text);
        project.build(&[]).ends(0);
        assert_eq!(content(&host, &image, "/g"), text);
    }
    project.write("a/Dockerfile", own);
    later("4");
    project.build(&[]).ends(0);
    assert_eq!(content(&host, &image, "/g"), "4");
}
