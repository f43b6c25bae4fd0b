//! Whether external images are there for the platforms that a stage takes them for.
//!
//! BuildKit looks for a platform in an index only. If an image has no index, BuildKit takes the
//! image for whatever platform it is, and labels the result with the platform that was asked for
//! (tried with Docker 26.1.5). Decides what is refused for that reason and what is only reported.
//! Callers bring the platforms of an image.

use crate::fault::{Fault, Result};
use crate::freshness::stage_inputs::Taken;
use crate::graphfile::lock::Base;
use crate::graphfile::spec::Stage;
use dockerfile::BaseKind;

/// The platforms of a locked image, if its entry has all of them.
pub fn of_entry(base: &Base) -> Option<Vec<String>> {
    let is_told = base.is_whole() && !base.platforms.is_empty();
    is_told.then(|| base.platforms.keys().cloned().collect())
}

/// The platforms that a place takes an image for and that none of `has` serves.
pub fn missing<'t>(taken: &'t Taken, has: &[String]) -> Vec<&'t str> {
    let wanted = taken.platforms.iter().map(String::as_str);
    let is_there = |wanted: &str| {
        has.iter()
            .any(|has| reference::platform::serves(has, wanted))
    };
    // A lock leaves out a platform that an index has twice, for example for two versions of
    // Windows.
    let is_told = |wanted: &&str| !wanted.starts_with("windows/");
    wanted
        .filter(|wanted| is_told(wanted) && !is_there(wanted))
        .collect()
}

/// Refuses a FROM on an image that lacks a platform. Returns a note on each other use of such an
/// image. `whole` is the stage that `stage` is a part of, else the same. `has` gives the platforms of
/// an image, if they are known.
pub fn check<'t>(
    (stage, whole): (&Stage, &Stage),
    takes: impl IntoIterator<Item = &'t Taken>,
    mut has: impl FnMut(&Taken) -> Result<Option<Vec<String>>>,
) -> Result<Vec<String>> {
    let mut notes = Vec::new();
    for taken in takes {
        let Some(has) = has(taken)? else { continue };
        let missing = missing(taken, &has);
        if missing.is_empty() {
            continue;
        }
        let (told, remedy) = told((stage, whole), taken, &missing, &has);
        if taken.kind == BaseKind::From {
            return Err(Fault::usage(format!("{told}: {remedy}")));
        }
        notes.push(format!(
            "stage `{}`: {told}: BuildKit refuses that, or takes files of another platform",
            whole.name
        ));
    }
    Ok(notes)
}

/// What is wrong, and what to do about it.
fn told(
    (stage, whole): (&Stage, &Stage),
    taken: &Taken,
    missing: &[&str],
    has: &[String],
) -> (String, String) {
    let does = match taken.kind {
        BaseKind::From => "builds on",
        BaseKind::CopyFrom => "copies from",
        BaseKind::MountFrom => "mounts",
    };
    let told = format!(
        "line {} of {} {does} `{}` for {}, and that image is there for {} only",
        taken.line,
        stage.dockerfile,
        taken.reference,
        missing.join(", "),
        has.join(", ")
    );
    if taken.is_chosen {
        let remedy = "change the `--platform` of that FROM, or take an image that has it";
        return (told, remedy.to_owned());
    }
    let served: Vec<&str> = if stage.is_part() {
        let is_served = |wanted: &&str| {
            let mut has = has.iter();
            has.any(|has| reference::platform::serves(has, wanted))
        };
        let wanted = whole.platforms.iter().map(String::as_str);
        wanted.filter(is_served).collect()
    } else {
        let wanted = taken.platforms.iter().map(String::as_str);
        wanted.filter(|wanted| !missing.contains(wanted)).collect()
    };
    let few = if served.is_empty() {
        has.iter().map(String::as_str).collect()
    } else {
        served
    };
    let few: Vec<String> = few.iter().map(|it| format!("\"{it}\"")).collect();
    let remedy = format!(
        "write `platforms = [{}]` for `{}`, or take an image that has it",
        few.join(", "),
        whole.name
    );
    (told, remedy)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graphfile::options::GraphOptions;
    use crate::graphfile::spec;

    fn taken(kind: BaseKind, platforms: &[&str]) -> Taken {
        Taken {
            reference: "x:1".to_owned(),
            kind,
            line: 3,
            platforms: platforms.iter().map(|&it| it.to_owned()).collect(),
            is_chosen: false,
        }
    }

    fn check_one(taken: &Taken, has: Option<&[&str]>) -> Result<Vec<String>> {
        let graph = "version = 1\n[stage.a]\ncontext = \"a\"\n";
        let spec =
            spec::read("g.toml".into(), "/".into(), graph, &GraphOptions::default()).unwrap();
        let has = has.map(|has| has.iter().map(|&it| it.to_owned()).collect());
        let stage = &spec.stages[0];
        check((stage, stage), [taken], |_| Ok(has.clone()))
    }

    #[test]
    fn a_from_on_an_image_that_lacks_a_platform_is_refused_with_the_platforms_it_has() {
        let both = taken(BaseKind::From, &["linux/amd64", "linux/arm64"]);
        let fault = check_one(&both, Some(&["linux/amd64", "linux/s390x"])).unwrap_err();
        assert_eq!(
            &*fault.message,
            "line 3 of a/Dockerfile builds on `x:1` for linux/arm64, and that image is there for \
             linux/amd64, linux/s390x only: write `platforms = [\"linux/amd64\"]` for `a`, or take an image that has it"
        );
        let none = taken(BaseKind::From, &["linux/arm64"]);
        let fault = check_one(&none, Some(&["linux/amd64"])).unwrap_err();
        assert!(fault.message.contains("`platforms = [\"linux/amd64\"]`"));
        let chosen = Taken {
            is_chosen: true,
            ..none
        };
        let fault = check_one(&chosen, Some(&["linux/amd64"])).unwrap_err();
        assert!(fault.message.contains("change the `--platform`"));
    }

    #[test]
    fn what_is_there_or_not_known_is_not_refused() {
        let arm = taken(BaseKind::From, &["linux/arm64"]);
        assert_eq!(check_one(&arm, Some(&["linux/arm/v7"])).unwrap(), [""; 0]);
        assert_eq!(check_one(&arm, None).unwrap(), [""; 0]);
        let unknown = taken(BaseKind::From, &[]);
        assert_eq!(
            check_one(&unknown, Some(&["linux/amd64"])).unwrap(),
            [""; 0]
        );
        let windows = taken(BaseKind::From, &["windows/amd64"]);
        assert_eq!(
            check_one(&windows, Some(&["linux/amd64"])).unwrap(),
            [""; 0]
        );
    }

    #[test]
    fn a_copy_from_an_image_that_lacks_a_platform_is_told() {
        for (kind, does) in [
            (
                BaseKind::CopyFrom,
                "line 3 of a/Dockerfile copies from `x:1` for linux/arm64",
            ),
            (
                BaseKind::MountFrom,
                "line 3 of a/Dockerfile mounts `x:1` for linux/arm64",
            ),
        ] {
            let notes = check_one(&taken(kind, &["linux/arm64"]), Some(&["linux/amd64"])).unwrap();
            assert!(notes[0].contains(does), "{notes:?}");
        }
    }

    #[test]
    fn an_entry_that_was_edited_or_that_tells_no_platform_tells_none() {
        let digest = format!("sha256:{}", "a".repeat(64));
        let platforms = [("linux/amd64".to_owned(), digest.clone())];
        let base = Base::new(false, digest.clone(), platforms.into());
        assert_eq!(of_entry(&base), Some(vec!["linux/amd64".to_owned()]));
        let edited = Base {
            digest: format!("sha256:{}", "b".repeat(64)),
            ..base
        };
        assert_eq!(of_entry(&edited), None);
        assert_eq!(of_entry(&Base::new(false, digest, [].into())), None);
    }
}
