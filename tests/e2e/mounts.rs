//! Trees and states in mounts: another mount is another tree, whatever its names and times.

use std::fs;

use super::sent::one;
use super::{Project, content, host, unique};

/// For example, a layer of an image has a checkout with its state, and two containers of the image
/// use one engine.
#[test]
fn a_list_of_what_was_sent_that_lies_under_two_mounts_is_no_list_of_either() {
    let host = host();
    let image = unique("a");
    let project = one(&host, &image);
    let script = r#"
mkdir low u0 w0 u1 w1 u2 w2
cp -a "$1/a" "$1/build-graph.toml" low/
build_in() {
    mount -t overlay none -o "lowerdir=$1,upperdir=u$2,workdir=w$2" "$here"
    (
        cd "$here"
        printf "$3" > a/x
        touch -d "@$4" a/x
        XTASK_STATE="$here/state" "$XTASK" build --graph build-graph.toml
    )
    umount "$here"
}
build_in low 0 one 1500000000
build_in u0:low 1 two 1500000001
build_in u0:low 2 six 1500000001
"#;
    let (_, said) = with_mounts(&project, script);
    assert_eq!(content(&host, &image, "/x"), "six", "{said}");
}

/// A folder of an overlay has the times of its uppermost layer, whatever is in the other layers.
#[test]
fn an_overlay_that_is_mounted_again_over_another_layer_is_read_again() {
    let host = host();
    let project = one(&host, &unique("a"));
    let script = r#"
mkdir -p top/a/in one/a/in two/a/in
cp "$1/a/x" "$1/build-graph.toml" top/
mv top/x top/a/
printf 'FROM scratch\nCOPY in /in\n' > top/a/Dockerfile
touch one/a/in/f two/a/in/g
run() {
    mount -t overlay none -o "lowerdir=top:$1" "$here"
    ( cd "$here" && XTASK_STATE="$here/../state" "$XTASK" $2 --graph build-graph.toml )
    umount "$here"
}
run one build
# This one notes what it saw: all of it is old enough.
run one plan
run one plan
run two:one plan
# Neither are hashes kept: files of an overlay have the times of what lies below.
for stats in "$here"/../state/*/stats; do if [ -e "$stats" ]; then echo kept; fi; done
"#;
    let (plans, said) = with_mounts(&project, script);
    let verdicts: Vec<&str> = plans
        .lines()
        .filter_map(|line| {
            line.split_whitespace()
                .find(|word| ["fresh", "stale"].contains(word))
        })
        .collect();
    assert_eq!(verdicts, ["fresh", "fresh", "stale"], "{plans}{said}");
    assert!(!plans.contains("kept"), "{plans}");
}

/// The output of a script that makes mounts, in a mount namespace of its own. The script begins in
/// a tmpfs. `$1` is the project, and `$here` a folder to mount at.
fn with_mounts(project: &Project, script: &str) -> (String, String) {
    for folder in ["layers", "here"] {
        fs::create_dir(project.path(folder)).unwrap();
    }
    let model = project.command(&[]);
    let mut command = std::process::Command::new("unshare");
    for (name, value) in model.get_envs() {
        match value {
            Some(value) => command.env(name, value),
            None => command.env_remove(name),
        };
    }
    let begin = "set -e\nmount -t tmpfs none \"$1/layers\"\ncd \"$1/layers\"\nhere=$1/here\n";
    let script = format!("{begin}{script}");
    let output = command
        .args(["--mount", "sh", "-c", &script, "sh"])
        .arg(project.path(""))
        .env("XTASK", env!("CARGO_BIN_EXE_xtask"))
        .output()
        .unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    let (out, said) = (text(output.stdout), text(output.stderr));
    assert!(output.status.success(), "{said}");
    (out, said)
}
