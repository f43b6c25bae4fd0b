//! The page of `report` in a real browser.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use camino::Utf8Path;
use serde_json::{Value, json};
use xtask::freshness::verdict::{Change, Changed, Reason};
use xtask::outside::state::State;
use xtask::report::Reporter as _;
use xtask::report::event::{Event, Finished, Outcome, StageFinished, StepEnd, StepFinished};
use xtask::report::excerpt::Excerpt;
use xtask::report::kept::Keeper;

use super::support::browser::Browser;
use super::{Project, host, project, unique, with_base};

/// Tab, Enter and Escape, as `WebDriver` writes them.
const TAB: char = '\u{E004}';
const ENTER: char = '\u{E007}';

/// Keeps a run of this many stages in the project's state: each is built on one before, with steps
/// and a log, and the last one fails.
fn keep_run(project: &Project, stages: usize, began_ms: u64) {
    let graph = project.path("build-graph.toml");
    // The state of a project is moved, so the path of its graph names its folder.
    let folder = project.path("state").join(folder_of(&graph));
    std::fs::create_dir_all(folder.join("logs")).unwrap();
    let folder = Utf8Path::from_path(&folder).unwrap();
    let mut keeper = Keeper::of(&State::in_folder(folder.to_owned())).began_at(began_ms);
    let now = Instant::now();
    let name = |at: usize| format!("stage-{at}");
    let parents = |at: usize| (at >= 3).then(|| name(at - 3)).into_iter().collect();
    keeper.take(
        &Event::Started {
            stages,
            jobs: 3,
            graph: Arc::new((0..stages).map(|at| (name(at), parents(at))).collect()),
        },
        now,
    );
    for at in 0..stages {
        let (from, to) = (
            at as u64 / 3 * 4000,
            at as u64 / 3 * 4000 + 3500 + at as u64,
        );
        let log = folder.join("logs").join(format!("{}.log", name(at)));
        let lines: Vec<String> = (0..200)
            .map(|line| format!("line {line} of {at}"))
            .collect();
        std::fs::write(&log, lines.join("\n") + "\nneedle <b>in</b> the hay\n").unwrap();
        // It was last written when its stage ended.
        let ended = UNIX_EPOCH + Duration::from_millis(began_ms + to);
        let file = std::fs::File::options().write(true).open(&log).unwrap();
        file.set_modified(ended).unwrap();
        let change = Change {
            what: Changed::Prepare,
            name: format!("src/{at}.rs"),
            before: None,
            after: None,
            left_out: false,
        };
        keeper.take(
            &Event::StageStarted {
                stage: name(at),
                reason: Reason::of(vec![change]),
                at_ms: from,
                expected_ms: None,
                builder: None,
                weight: None,
            },
            now,
        );
        for step in 0..4 {
            let finished = StepFinished {
                stage: name(at),
                step: format!("[{step}/4] RUN make {step} '</script><script>alert(1)</script>'"),
                started_ms: from + step * 800,
                ended_ms: from + step * 800 + 700,
                end: if step == 0 {
                    StepEnd::Cached
                } else {
                    StepEnd::Ran
                },
            };
            keeper.take(&Event::StepFinished(finished), now);
        }
        let is_last = at + 1 == stages;
        keeper.take(
            &Event::StageFinished(StageFinished {
                stage: name(at),
                outcome: if is_last {
                    Outcome::Failed
                } else {
                    Outcome::Built
                },
                started_ms: from,
                ended_ms: to,
                image: None,
                size: Some(1_000_000 * at as u64),
                error: is_last.then(|| "no luck".to_owned()),
                step: None,
                excerpt: Excerpt::default(),
                log: Some(log.into_string()),
                saved_ms: 0,
            }),
            now,
        );
    }
    let outcome = (0..stages).map(|at| (name(at), Outcome::Built));
    keeper.take(
        &Event::Finished(Finished {
            outcome: outcome.collect(),
            elapsed_ms: stages as u64 / 3 * 4000 + 4000,
            ..Finished::default()
        }),
        now,
    );
    keeper.end(now);
}

/// The name of the state folder of a graph when `XTASK_STATE` is set.
fn folder_of(graph: &std::path::Path) -> String {
    let id = blake3::hash(graph.canonicalize().unwrap().to_str().unwrap().as_bytes());
    format!("graph-{}", &id.to_hex()[..12])
}

fn page(project: &Project, more: &[&str]) -> PathBuf {
    let ran = project.run(&[&["report"], more].concat()).ends(0);
    PathBuf::from(ran.stdout.trim_end())
}

/// No part of the page is wider than the page.
#[track_caller]
fn fits(browser: &Browser) {
    let script =
        "const root = document.scrollingElement; return [root.scrollWidth, root.clientWidth]";
    let widths = browser.run(script);
    assert!(widths[0].as_u64() <= widths[1].as_u64(), "{widths}");
}

#[test]
fn the_page_of_a_build_works_by_mouse_and_by_keyboard_in_the_dark_and_on_a_telephone() {
    let project = Project::new().file("build-graph.toml", "version = 1\n");
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    let began_ms = u64::try_from(now.as_millis()).unwrap() - 140_000;
    keep_run(&project, 100, began_ms - 1_000_000);
    keep_run(&project, 100, began_ms);
    let list = project.run(&["report", "--list"]).ends(0).stdout;
    let before = list.split(' ').next().unwrap();
    let itself = ["report", "--run", before, "--compare", before];
    project.run(&itself).ends(2).says("compared with itself");
    let page = page(&project, &["--compare", before]);
    assert!(std::fs::metadata(&page).unwrap().len() < 1_000_000);

    let browser = Browser::start();
    browser.open(&page);
    // By keyboard: the first stop leads past the contents.
    browser.press(TAB);
    assert_eq!(
        browser.run("return document.activeElement.textContent"),
        "Skip to the summary"
    );
    browser.press(ENTER);
    browser.wait_for("return location.hash === '#summary'");

    // The search opens the logs that have it, shows only those lines, and marks them.
    browser.type_into("#log-search", "NEEDLE <b>");
    browser.wait_for("return document.getElementById('log-found').textContent !== ''");
    let found = "return document.getElementById('log-found').textContent";
    assert_eq!(browser.run(found), "100 matching lines in 100 logs");
    let first = "const pre = document.querySelector('details.log pre');\
                 return [pre.textContent, pre.querySelector('mark').textContent, pre.parentNode.open]";
    assert_eq!(
        browser.run(first),
        json!(["needle <b>in</b> the hay\n", "needle <b>", true])
    );
    browser.type_into("#log-search", "\u{E009}a\u{E000}\u{E003}");
    browser.type_into("#log-search", "of 77");
    browser
        .wait_for("return document.getElementById('log-found').textContent.endsWith('in 1 logs')");
    let hidden = "return document.querySelectorAll('details.log[hidden]').length";
    assert_eq!(browser.run(hidden), 99);
    browser.run("const input = document.getElementById('log-search'); input.value = ''; input.dispatchEvent(new Event('input'))");
    browser.wait_for("return document.querySelectorAll('details.log[hidden]').length === 0");
    let lines =
        "return document.querySelector('details.log pre').textContent.split('\\n').length > 150";
    assert_eq!(browser.run(lines), true);

    // A log opens by keyboard, and its text is the next stop.
    let focus = "document.querySelector('details.log summary').focus(); return true";
    browser.run(focus);
    browser.press(ENTER);
    browser.wait_for("return document.querySelector('details.log').open");
    browser.press(TAB);
    assert_eq!(browser.run("return document.activeElement.tagName"), "PRE");

    // A click on a head sorts.
    browser.click("#stages ~ .wide th:nth-child(5) button");
    let times = "const table = document.querySelector('#stages ~ .wide table');\
                 return [...table.tBodies[0].rows].map((row) => Number(row.cells[4].querySelector('data').value))";
    let numbers = |value: Value| -> Vec<u64> {
        let all = value.as_array().unwrap().iter();
        all.map(|it| it.as_u64().unwrap()).collect()
    };
    let sorted = numbers(browser.run(times));
    assert!(
        sorted.len() == 100 && sorted.is_sorted_by(|a, b| a >= b),
        "{sorted:?}"
    );
    browser.click("#stages ~ .wide th:nth-child(5) button");
    assert!(numbers(browser.run(times)).is_sorted());

    // Light and dark have other colours, and nothing is too wide for a telephone.
    let ground = "return getComputedStyle(document.body).backgroundColor";
    browser.prefer("light");
    let light = browser.run(ground);
    browser.prefer("dark");
    assert_ne!(browser.run(ground), light);
    for width in [1280, 768, 360] {
        browser.resize(width);
        fits(&browser);
    }
    browser.run("document.querySelectorAll('details').forEach((it) => { it.open = true })");
    fits(&browser);
    let scrolls = "return [...document.querySelectorAll('.wide')].filter((it) => it.scrollWidth > it.clientWidth).every((it) => it.tabIndex === 0)";
    assert_eq!(browser.run(scrolls), true);

    let (console, requests) = browser.console_and_requests();
    assert_eq!(console, [""; 0]);
    assert!(!requests.is_empty(), "the page itself is one");
    for request in requests {
        assert!(
            request.starts_with("file://") && request.contains("report.html"),
            "{request}"
        );
    }
}

#[test]
fn a_real_build_has_its_steps_in_the_page_and_what_was_measured() {
    let graph = "version = 1\n[stage.base]\ncontext = \"base\"\n\
                 [stage.a]\ncontext = \"a\"\ncontexts = { parent = { stage = \"base\" } }\n";
    let project = with_base(project(&host()))
        .file("build-graph.toml", graph)
        .file(
            "a/Dockerfile",
            "FROM parent\nCOPY x /x\nRUN echo said; sleep 1\n",
        )
        .file("a/x", unique("a"));
    let ran = project.build(&[]).ends(0);
    let events = ran.events();
    let steps = events
        .iter()
        .filter(|event| event["event"] == "step_finished");
    let step = steps
        .clone()
        .find(|step| step["step"].as_str().unwrap().contains("sleep 1"));
    let step = step.unwrap();
    let number = |name: &str| step[name].as_u64().unwrap();
    let took = number("ended_ms") - number("started_ms");
    assert!(
        (1000..20_000).contains(&took) && step["end"] == "ran",
        "{step}"
    );
    let of = |event: &str| {
        events
            .iter()
            .find(|it| it["event"] == event && it["stage"] == "a")
            .unwrap()
    };
    let stage = of("stage_finished");
    assert!(
        stage["started_ms"].as_u64() <= step["started_ms"].as_u64(),
        "{stage} {step}"
    );
    assert!(
        step["ended_ms"].as_u64() <= stage["ended_ms"].as_u64(),
        "{stage} {step}"
    );

    project.run(&["verify", "--policy-only"]);
    let text = std::fs::read_to_string(page(&project, &[])).unwrap();
    assert!(text.contains(&format!("<data value=\"{took}\">")), "{text}");
    assert!(text.contains("said\n"), "{text}");
    assert!(
        text.contains("How the last verification of each stage ended"),
        "{text}"
    );
}
