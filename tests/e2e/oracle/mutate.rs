//! The first state of a case, and one random mutation of a state: a change that a person can make
//! between two builds.

use std::collections::BTreeMap;

use super::edits;
use super::grow;
use super::state::{Place, Returns, State};
use super::tree::{Node, Tree};
use super::write;
use crate::support::random::Random;

/// One mutation of a state.
pub struct Mutation {
    pub kind: &'static str,
    /// A description for messages.
    pub note: String,
    /// A path that was renamed, and its new path, both below the context.
    pub renamed: Option<(Vec<u8>, Vec<u8>)>,
    /// The state after the mutation.
    pub state: State,
}

pub fn first(random: &mut Random) -> State {
    let mut tree = State {
        tree: Tree::default(),
        place: random.one_of(&[Place::Root, Place::Nested, Place::Outside]),
        recipe: write::recipe(random, &Tree::default()),
        returns: Returns::No,
        made: random.percent(20).then_some(0),
        own: None,
        beside: None,
        args: BTreeMap::new(),
        target: None,
        clock: 0,
        one_time: random.percent(50),
    };
    grow::tree(random, &mut tree);
    let mut state = tree;
    state.recipe = write::recipe(random, &state.tree);
    match random.below(10) {
        0..5 => state.own = Some(grow::ignore_file(random, &state.tree)),
        5..7 => state.beside = Some(grow::ignore_file(random, &state.tree)),
        _ => {}
    }
    for _ in 0..random.below(3) {
        let (name, value) = edits::argument(random, &state.recipe, &state.tree);
        state.args.insert(name, value);
    }
    if random.percent(15) {
        state.target = some_target(random, &state);
    }
    state
}

/// Makes one mutation that really changes the state.
pub fn mutate(random: &mut Random, before: &State) -> Mutation {
    loop {
        let mut state = before.clone();
        let done = match random.below(100) {
            _ if state.made.is_some() && random.percent(15) => {
                state.made = Some(random.below(3).try_into().unwrap());
                Some(("made by another", format!("{:?}", state.made), None))
            }
            0..46 => in_tree(random, &mut state),
            46..58 => in_ignore(random, &mut state).map(|kind| (kind, String::new(), None)),
            58..87 => {
                let kind = edits::edit(random, &mut state.recipe, &before.tree);
                kind.map(|kind| (kind, String::new(), None))
            }
            87..89 => Some((in_line_ends(random, &mut state), String::new(), None)),
            89..95 => Some(in_arguments(random, &mut state)),
            _ => {
                state.target = some_target(random, &state);
                Some(("target", format!("{:?}", state.target), None))
            }
        };
        if may_be_refused(before, &state) && random.percent(75) {
            continue;
        }
        if let Some((kind, note, renamed)) = done
            && !state.is_same(before)
        {
            return Mutation {
                kind,
                note,
                renamed,
                state,
            };
        }
    }
}

/// Whether an instruction may lose a source that it names. That causes nearly all of BuildKit's
/// refusals, and they say nothing about keys.
fn may_be_refused(before: &State, after: &State) -> bool {
    let text = after.recipe.text("");
    let words = text.split([' ', '"', ',', '=', '\n']);
    let named = words.map(|word| word.trim_matches(['/', '.']));
    let lines = |state: &State| state.beside.clone().or(state.own.clone());
    let (old, new) = (lines(before).unwrap_or_default(), lines(after));
    let new = new.unwrap_or_default();
    let new: Vec<&str> = new
        .iter()
        .filter(|line| !old.contains(line) && !line.starts_with('!'))
        .map(|line| line.trim_matches([' ', '/', '*', '.']))
        .collect();
    let is_left_out = |path: &str| {
        let inside = |line: &&str| {
            path.split('/').any(|name| name == *line || line.is_empty())
                || path == *line
                || path.starts_with(&format!("{line}/"))
        };
        new.iter().any(inside)
    };
    named
        .filter(|word| before.tree.0.contains_key(word.as_bytes()))
        .any(|word| !after.tree.0.contains_key(word.as_bytes()) || is_left_out(word))
}

fn some_target(random: &mut Random, state: &State) -> Option<String> {
    let mut choices = vec![None, None];
    for name in state.recipe.names() {
        choices.extend([Some(name.to_uppercase()), Some(name)]);
    }
    choices[random.place(choices.len())].clone()
}

fn in_line_ends(random: &mut Random, state: &mut State) -> &'static str {
    let line = random.place(1000);
    let (returns, kind) = match random.below(5) {
        0 => (Returns::All, "CR LF everywhere"),
        1 | 2 => (Returns::One(line), "CR LF"),
        3 => (Returns::Alone(line), "CR alone"),
        _ => (Returns::No, "no CR"),
    };
    state.returns = returns;
    kind
}

fn in_arguments(random: &mut Random, state: &mut State) -> Done {
    let names: Vec<String> = state.args.keys().cloned().collect();
    if !names.is_empty() && random.percent(25) {
        let name = &names[random.place(names.len())];
        state.args.remove(name);
        return ("argument removed", name.clone(), None);
    }
    let (name, value) = edits::argument(random, &state.recipe, &state.tree);
    let note = format!("{name}={value}");
    let old = state.args.insert(name, value);
    let kind = if old.is_some() {
        "argument's value"
    } else {
        "argument added"
    };
    (kind, note, None)
}

fn in_ignore(random: &mut Random, state: &mut State) -> Option<&'static str> {
    let beside = random.percent(if state.beside.is_some() { 85 } else { 15 });
    let lines = if beside {
        &mut state.beside
    } else {
        &mut state.own
    };
    if lines.is_none() {
        *lines = Some(vec![grow::ignore_line(random, &state.tree)]);
        return Some("ignore file added");
    }
    if random.percent(6) {
        *lines = None;
        return Some("ignore file removed");
    }
    let lines = lines.as_mut()?;
    let at = random.place(lines.len() + 1);
    match random.below(10) {
        0..4 => {
            lines.insert(at, grow::ignore_line(random, &state.tree));
            Some("ignore line added")
        }
        4 => {
            let nothing = random.one_of(&["# another comment", "", "   "]);
            lines.insert(at, nothing.to_owned());
            Some("ignore comment")
        }
        5..7 if at < lines.len() => {
            lines.remove(at);
            Some("ignore line removed")
        }
        7 if at + 1 < lines.len() => {
            lines.swap(at, at + 1);
            Some("ignore lines swapped")
        }
        _ if at < lines.len() => {
            lines[at] = grow::ignore_line(random, &state.tree);
            Some("ignore line edited")
        }
        _ => None,
    }
}

type Done = (&'static str, String, Option<(Vec<u8>, Vec<u8>)>);

fn in_tree(random: &mut Random, state: &mut State) -> Option<Done> {
    let chance = random.below(100);
    if (36..52).contains(&chance) || state.tree.0.is_empty() {
        return Some(add(random, state));
    }
    let paths: Vec<&Vec<u8>> = state.tree.0.keys().collect();
    let path = paths[random.place(paths.len())].clone();
    let shown = path.escape_ascii().to_string();
    match chance {
        60..76 => return away(random, state, &path),
        76..84 => {
            state.tree.cut(&path);
            return Some(("removed", shown, None));
        }
        84..92 => {
            let node = random_node(random, state);
            state.tree.cut(&path);
            state.tree.put(&path, node);
            return Some(("replaced", shown, None));
        }
        _ => {}
    }
    let stamp = state.tick();
    let tree = state.tree.clone();
    let kind = match state.tree.0.get_mut(&path)? {
        Node::File {
            content,
            stamp: time,
            ..
        } if chance < 22 => {
            *content = grow::content(random);
            *time = stamp;
            "content"
        }
        Node::File { stamp: time, .. } if chance < 27 => {
            *time = stamp;
            "touched"
        }
        // BuildKit is sent every state completely, so it sees this though the file's time stays.
        Node::File { note, .. } if chance < 31 => {
            *note = [None, Some(1), Some(2)][random.place(3)];
            "attribute"
        }
        Node::File { mode, .. } | Node::Fifo { mode } => {
            *mode = grow::mode(random);
            "mode"
        }
        Node::Folder => return None,
        Node::Link(target) => {
            *target = grow::link_target(random, &tree);
            "link"
        }
    };
    Some((kind, shown, None))
}

fn random_node(random: &mut Random, state: &mut State) -> Node {
    match random.below(10) {
        0..5 => grow::file(random, state),
        5..7 => Node::Folder,
        7..9 => grow::link(random, &state.tree),
        _ => Node::Fifo {
            mode: grow::mode(random),
        },
    }
}

fn add(random: &mut Random, state: &mut State) -> Done {
    let path = grow::free_path(random, &state.tree);
    let node = random_node(random, state);
    let kind = match node {
        Node::File { .. } => "file added",
        Node::Folder => "folder added",
        Node::Link(_) => "link added",
        Node::Fifo { .. } => "fifo added",
    };
    state.tree.put(&path, node);
    (kind, path.escape_ascii().to_string(), None)
}

/// Gives an entry another name or another folder.
fn away(random: &mut Random, state: &mut State, path: &[u8]) -> Option<Done> {
    let folder = path
        .rsplitn(2, |byte| *byte == b'/')
        .nth(1)
        .unwrap_or_default();
    let name = &path[if folder.is_empty() {
        0
    } else {
        folder.len() + 1
    }..];
    let (kind, to) = if random.percent(50) {
        ("renamed", grow::join(folder, &grow::name(random)))
    } else {
        let folders = state.tree.folders();
        (
            "moved",
            grow::join(&folders[random.place(folders.len())], name),
        )
    };
    let is_inside = to.starts_with(path) && matches!(to.get(path.len()), None | Some(b'/'));
    if is_inside || state.tree.0.contains_key(&to) {
        return None;
    }
    state.tree.rename(path, &to);
    let note = format!("{} -> {}", path.escape_ascii(), to.escape_ascii());
    Some((kind, note, Some((path.to_vec(), to))))
}
