//! Two publishes of one project at the same time.

use std::time::Duration;

use super::{World, moves_tag, outcomes};
use crate::Project;
use crate::support::gate::{Effect, Fault};
use crate::support::process::Process;

#[test]
fn the_second_of_two_publishes_waits_and_moves_nothing() {
    let Some(world) = World::new("") else { return };
    world.gate.fail(Fault::when(moves_tag, Effect::Hold));
    let first = world.project.start(&["publish", "--json"]);
    assert!(world.gate.wait_until_held(Duration::from_secs(60)));
    let asked = world.gate.requests().len();
    let mut second = world.project.start(&["publish", "--json"]);
    let id = i32::try_from(second.id()).unwrap();
    let process = Process::of(id).unwrap();
    // It says for whom it waits.
    let mut said = String::new();
    let stderr = second.stderr.as_mut().unwrap();
    let mut reader = std::io::BufReader::new(stderr);
    std::io::BufRead::read_line(&mut reader, &mut said).unwrap();
    assert!(said.contains("waiting for"), "{said}");
    assert!(process.lives());
    assert_eq!(world.gate.requests().len(), asked);
    drop(reader);
    world.gate.release();
    let answers = [first, second].map(|child| {
        let ran = Project::finish(child).ends(0);
        serde_json::from_str::<serde_json::Value>(&ran.stdout).unwrap()
    });
    assert_eq!(outcomes(&answers[0]), ["moved"; 3]);
    assert_eq!(outcomes(&answers[1]), ["already"; 3]);
    assert_eq!(answers[0]["release"], answers[1]["release"]);
    world.assert_published(&answers[0]["release"]);
    let moved = world.gate.requests();
    assert_eq!(moved.iter().filter(|seen| moves_tag(seen)).count(), 3);
}
