use std::time::{Duration, SystemTime};

use camino::{Utf8Path, Utf8PathBuf};

use super::*;
use crate::page::testing::RunBuilder;
use crate::report::event::StepEnd;
use crate::report::kept::{KeptEvent, KeptOutcome, RunName};

/// When the runs of these tests begin, in milliseconds since 1970.
const BEGAN: u64 = 1_000_000_000_000;

/// A state folder that is empty.
struct Folder {
    folder: tempfile::TempDir,
}

impl Folder {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        Self { folder }
    }

    fn path(&self) -> &Utf8Path {
        Utf8Path::from_path(self.folder.path()).unwrap()
    }

    /// Writes a log as the last words of a stage that ended then.
    fn log(&self, name: &str, content: &str, ended_ms: u64) -> Utf8PathBuf {
        let path = self.path().join(name);
        std::fs::write(&path, content).unwrap();
        let at = SystemTime::UNIX_EPOCH + Duration::from_millis(BEGAN + ended_ms);
        let file = std::fs::File::options().write(true).open(&path).unwrap();
        file.set_modified(at).unwrap();
        path
    }

    fn page(&self, runs: &[PastRun], before: Option<&PastRun>) -> String {
        let state = State::in_folder(self.path().to_owned());
        let call = Call::default();
        let run = runs.last().unwrap();
        page(&state, ("build-graph.toml", &call), runs, run, before)
    }
}

/// A hundred stages with twenty steps each, and logs that are long and must be escaped.
fn large(folder: &Folder) -> Vec<KeptEvent> {
    let mut run = RunBuilder::new(4);
    let line = "<a href=\"x\"> & some more words of a compiler that likes to talk\n".repeat(4000);
    for at in 0..100_u64 {
        let name = format!("stage-{at:03}");
        let parent = format!("stage-{:03}", at.saturating_sub(4));
        let parents: &[&str] = if at < 4 { &[] } else { &[&parent] };
        let (from, to) = (at / 4 * 10_000, at / 4 * 10_000 + 9_000 + at);
        let log = folder.log(&format!("{name}.log"), &line, to);
        run = run.stands_on(&name, parents).logging(&log);
        let is_fresh = at % 10 == 9 && at != 99;
        for step in (0..20).filter(|_| !is_fresh) {
            let began = from + step * 400;
            let text = format!("[{step}/20] RUN make part-{step} && make install DESTDIR=/opt");
            let end = if step % 5 == 0 {
                StepEnd::Cached
            } else {
                StepEnd::Ran
            };
            run = run.step(&name, &text, began, began + 300 + at, end);
        }
        run = match at {
            99 => run.failed(&name, from, to),
            _ if is_fresh => run.fresh(&name, 1000 + at),
            _ => run.because(&name, from, to, ("input", &format!("src/file-{at}.rs"))),
        };
    }
    run.events()
}

fn past(events: Vec<KeptEvent>) -> PastRun {
    PastRun::of(RunName::new(BEGAN / 1000, 1, false), events).unwrap()
}

/// The values of all figures in a piece of the page.
fn values(piece: &str) -> Vec<u64> {
    let values = piece.split("<data value=\"").skip(1);
    values
        .map(|rest| rest.split('"').next().unwrap().parse().unwrap())
        .collect()
}

/// What lies between two texts, without what is before the first.
fn between<'t>(text: &'t str, from: &str, to: &str) -> &'t str {
    let (_, rest) = text.split_once(from).unwrap_or_else(|| panic!("no {from}"));
    rest.split_once(to).unwrap_or_else(|| panic!("no {to}")).0
}

/// The figure behind a word in a list of figures.
fn figure(list: &str, word: &str) -> u64 {
    values(between(list, &format!("<dt>{word}</dt>"), "</dd>"))[0]
}

#[test]
fn a_page_of_a_hundred_stages_with_long_logs_is_smaller_than_a_megabyte() {
    let folder = Folder::new();
    let run = past(large(&folder));
    let before = past(large(&folder));
    let page = folder.page(std::slice::from_ref(&run), Some(&before));
    assert!(page.len() < 1_000_000, "{}", page.len());
    assert!(
        page.len() > 500_000,
        "the logs are not in it: {}",
        page.len()
    );
    assert!(page.contains("left out here; the whole log is"));
}

#[test]
fn the_figures_of_the_page_are_the_sums_of_the_events() {
    let folder = Folder::new();
    let events = large(&folder);
    let (mut built, mut failed, mut fresh, mut busy, mut saved) = (0, 0, 0, 0, 0);
    let (mut ran, mut ran_ms, mut cached) = (0, 0, 0);
    let mut elapsed = 0;
    for event in &events {
        match event {
            KeptEvent::StageFinished(stage) => {
                busy += stage.ended_ms - stage.started_ms;
                match stage.outcome {
                    KeptOutcome::Built => built += 1,
                    KeptOutcome::Failed => failed += 1,
                    other => panic!("{other:?}"),
                }
            }
            KeptEvent::Fresh { stages } => {
                fresh += stages.len() as u64;
                saved += stages.iter().map(|stage| stage.saved_ms).sum::<u64>();
            }
            KeptEvent::StepFinished(step) if step.end == StepEnd::Ran => {
                ran += 1;
                ran_ms += step.ended_ms - step.started_ms;
            }
            KeptEvent::StepFinished(_) => cached += 1,
            KeptEvent::Finished { elapsed_ms, .. } => elapsed = *elapsed_ms,
            _ => {}
        }
    }
    let runs = [past(large(&folder)), past(events)];
    let page = folder.page(&runs, None);
    let figures = between(&page, "id=\"figures\">", "</dl>");
    let told = [
        "built",
        "failed",
        "fresh",
        "took",
        "build time of all stages",
        "saved by skips",
    ];
    let told = told.map(|word| figure(figures, word));
    assert_eq!(told, [built, failed, fresh, elapsed, busy, saved]);
    assert_eq!((built, failed, fresh), (90, 1, 9));

    let steps = between(&page, "id=\"step-figures\">", "</dl>");
    let told = ["steps that ran", "their time", "cached steps"].map(|word| figure(steps, word));
    assert_eq!(told, [ran, ran_ms, cached]);

    // The rows of the table of stages add up to the same. Each has a time and a saving; a fresh stage
    // has no beginning, and a failed one no size.
    let stages = between(&page, "id=\"stages\">", "</table>");
    let rows = stages.split("<tr>").skip(2).map(|row| {
        let values = values(row);
        let has_begun = !row.contains("badge fresh");
        (values[usize::from(has_begun)], values[values.len() - 1])
    });
    let rows: Vec<(u64, u64)> = rows.collect();
    assert_eq!(rows.len(), 100);
    assert_eq!(rows.iter().map(|row| row.0).sum::<u64>(), busy);
    assert_eq!(rows.iter().map(|row| row.1).sum::<u64>(), saved);

    // Over both runs.
    assert_eq!(
        values(between(&page, "id=\"saved\">", "</span>")),
        [2 * saved]
    );
    assert_eq!(
        values(between(&page, "id=\"taken\">", "</span>")),
        [2 * elapsed]
    );
    let of_runs = between(&page, "id=\"savings\">", "</table>");
    assert_eq!(values(of_runs)[..2], [2 * fresh, 200]);

    // What is idle and what is taken is all that there was.
    let idle = values(between(&page, "id=\"idle\">", "</p>"))[0];
    let first_to_last = elapsed;
    assert_eq!(idle + busy, 4 * first_to_last);

    // Every stage has a cause of its own; that of the longest one, which failed, is first.
    let causes = between(&page, "id=\"causes\">", "</table>");
    let first = causes.split("<tr>").nth(2).unwrap();
    assert!(first.contains("src/main.rs"), "{first}");
    assert_eq!(values(first), [2, 2, 2 * 9099]);
}

#[test]
fn the_page_has_what_was_verified_and_what_images_weigh() {
    use crate::verify::finding::AnswerOutcome;
    use crate::verify::noted::Noted;
    use crate::verify::record::{RecordSubject, VerifyRecord, VerifyRecords, statement};
    use serde_json::json;

    let folder = Folder::new();
    let state = State::in_folder(folder.path().to_owned());
    let finding = json!({
        "severity": "warn", "rule": "setuid", "stage": "a", "image": "sha256:1", "layer": null,
        "line": null, "path": "bin/su", "from": "own", "message": "it is <setuid>",
        "remedy": "chmod", "waived": { "why": "needed", "until": "2026-12-31" },
    });
    let predicate = json!({
        "verifiedAt": "2026-11-30T08:00:00Z",
        "findings": [finding],
        "probes": [{ "service": "web", "kind": "http", "outcome": "failed", "message": "404" }],
        "tools": [{ "name": "hadolint", "outcome": "not_checked", "why": "it is absent" }],
    });
    let subjects = || {
        let (name, digest) = ("a".to_owned(), format!("sha256:{:064}", 1));
        vec![RecordSubject { name, digest }]
    };
    let not_passed = VerifyRecords::of(&state, &["a"], "stack").unwrap();
    not_passed.keep_answer(subjects(), &predicate).unwrap();
    let records = VerifyRecords::of(&state, &["a"], "all").unwrap();
    let passed =
        json!({ "verifiedAt": "2026-11-29T08:00:00Z", "findings": [finding], "probes": [] });
    let record = VerifyRecord {
        asked: records.asked(&json!({})),
        stack: None,
        ends: Some("2026-12-31".to_owned()),
        statement: statement(subjects(), &passed),
    };
    records.save(&record).unwrap();
    let noted = Noted {
        image: "sha256:1".to_owned(),
        policy: String::new(),
        parts: "all".to_owned(),
        stack: None,
        at: "2026-11-30T08:00:00Z".to_owned(),
        ends: None,
        outcome: AnswerOutcome::Failed,
    };
    noted.save(&state, "a").unwrap();
    let kept = json!({
        "image": "sha256:1", "at": "2026-11-29T08:00:00Z",
        "platforms": { "linux/amd64": {
            "floor": 0, "plain": 5000,
            "folders": { "": { "bytes": 4000, "files": 3 }, "usr": { "bytes": 4000, "files": 3 } },
            "layers": [{ "digest": "sha256:2", "plain": 5000, "from": "own", "line": 7, "instruction": "RUN <make>" }],
        } },
    });
    let kept: crate::verify::size::KeptSizes = serde_json::from_value(kept).unwrap();
    kept.save(&state, "a").unwrap();
    // A verification of stages that this graph does not have.
    let other = VerifyRecords::of(&state, &["b"], "all").unwrap();
    let of_other = vec![RecordSubject {
        name: "b".to_owned(),
        digest: format!("sha256:{:064}", 2),
    }];
    other.keep_answer(of_other, &predicate).unwrap();

    let page = folder.page(&[RunBuilder::new(1).built("a", 0, 10).run()], None);
    for text in [
        "Verification 1, at 2026-11-30T08:00:00Z: failed",
        "Verification 2, at 2026-11-29T08:00:00Z: passed",
        ", which holds until 2026-12-31.",
        "it is &lt;setuid&gt;",
        "needed (until 2026-12-31)",
        "404",
        "hadolint: not checked, it is absent",
        "a, linux/amd64: layers and folders",
        "RUN &lt;make&gt;",
        "<code>/usr</code>",
        "an earlier image",
    ] {
        assert!(page.contains(text), "{text}: {page}");
    }
    assert!(!page.contains("Verification 3"));
    let sizes = between(&page, "id=\"sizes\">", "</table>");
    assert_eq!(values(sizes), [5000, 1]);
}

const HOSTILE: &str = "</script><script>alert(1)</script><img src=x onerror='alert(2)'>\"&\u{2028}";

#[test]
fn no_name_no_step_and_no_log_becomes_a_part_of_the_page() {
    let folder = Folder::new();
    let log = folder.log(
        "a.log",
        &format!("{HOSTILE}\n</pre></details><script>\n"),
        100,
    );
    let hostile = || {
        let run = RunBuilder::new(1)
            .stands_on(HOSTILE, &[HOSTILE, "b"])
            .stands_on("b", &[])
            .logging(&log)
            .notice(HOSTILE)
            .because("b", 0, 50, ("input", HOSTILE))
            .step(HOSTILE, HOSTILE, 50, 90, StepEnd::Failed)
            .failed(HOSTILE, 50, 100);
        past(run.events())
    };
    let page = folder.page(&[hostile()], Some(&hostile()));
    assert_eq!(page.matches("<script").count(), 1);
    assert_eq!(page.matches("</script").count(), 1);
    assert_eq!(page.matches("<img").count(), 0);
    assert!(page.matches("&lt;script&gt;alert(1)").count() > 8);
    // Nothing can end an attribute.
    for tag in page
        .split('<')
        .skip(1)
        .filter_map(|rest| rest.split('>').next())
    {
        assert!(tag.matches('"').count() % 2 == 0, "{tag}");
        let outside_values: String = tag.split('"').step_by(2).collect();
        assert!(!outside_values.contains("onerror"), "{tag}");
    }
    let trace = trace(&hostile()).to_string();
    let read: serde_json::Value = serde_json::from_str(&trace).unwrap();
    assert_eq!(read["traceEvents"][1]["name"], "b");
}

#[test]
fn the_page_names_nothing_outside_itself_and_no_id_twice() {
    let folder = Folder::new();
    let runs = [past(large(&folder))];
    let page = folder.page(&runs, Some(&runs[0]));
    let tags = page
        .split('<')
        .skip(1)
        .filter_map(|rest| rest.split('>').next());
    let tags: Vec<&str> = tags.collect();
    let attribute = |name: &str| {
        let begin = format!(" {name}=\"");
        let found = tags.iter().filter_map(move |tag| {
            let (_, rest) = tag.split_once(&begin)?;
            Some(rest.split('"').next().unwrap())
        });
        found.map(str::to_owned).collect::<Vec<String>>()
    };
    assert_eq!(attribute("src"), [""; 0]);
    assert_eq!(attribute("style"), [""; 0]);
    let mut ids = attribute("id");
    let links = attribute("href");
    assert!(links.len() > 8);
    for link in links {
        let id = link.strip_prefix('#').unwrap();
        assert!(ids.iter().any(|own| own == id), "{link}");
    }
    for labels in attribute("aria-labelledby").iter().chain(&attribute("for")) {
        assert!(ids.contains(labels), "{labels}");
    }
    ids.sort();
    let all = ids.len();
    ids.dedup();
    assert_eq!(ids.len(), all);
}

#[test]
fn a_run_that_broke_and_one_in_which_all_was_fresh_have_pages_too() {
    let folder = Folder::new();
    let mut events = RunBuilder::new(1).built("a", 0, 10).events();
    events.pop();
    let page_of_broken = folder.page(&[past(events)], None);
    assert!(page_of_broken.contains("A fault ended this build"));
    let fresh = RunBuilder::new(1).fresh("a", 10).run();
    let page = folder.page(&[fresh], None);
    assert!(page.contains("nothing to draw") && page.contains("No builder ran a step"));
    assert!(page.contains(&Call::default().command("verify --policy-only")));
}

#[test]
fn times_that_no_run_has_are_believed_no_further() {
    let folder = Folder::new();
    let run = RunBuilder::new(usize::MAX)
        .step("a", "s", u64::MAX, 0, StepEnd::Ran)
        .weighing("a", u64::MAX, 0, usize::MAX)
        .built("b", 0, u64::MAX)
        .run();
    let runs = [run];
    assert!(folder.page(&runs, Some(&runs[0])).contains("</html>"));
    assert!(trace(&runs[0]).is_object());
}
