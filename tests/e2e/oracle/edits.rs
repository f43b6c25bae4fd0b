//! Random edits of a Dockerfile. Some change what is built, some only the text.

use super::grow;
use super::recipe::{NONCE, Recipe};
use super::tree::Tree;
use super::write::{self, STAGE_NAMES, Writer};
use crate::support::random::Random;

/// Makes one edit. Returns its kind, or `None` if the edit does not fit.
pub fn edit(random: &mut Random, recipe: &mut Recipe, tree: &Tree) -> Option<&'static str> {
    match random.below(100) {
        0..8 => comment(random, recipe),
        8..12 => blank(random, recipe),
        12..20 => spacing(random, recipe),
        20..25 => continuation(random, recipe),
        25..29 => keyword(random, recipe),
        29..42 => added(random, recipe, tree),
        42..51 => removed(random, recipe),
        51..57 => swapped(random, recipe),
        57..75 => word(random, recipe),
        75..81 => stage_added(random, recipe, tree),
        81..83 => stage_removed(random, recipe),
        83..85 => stages_swapped(random, recipe),
        85..88 => renamed(random, recipe),
        88..91 => from(random, recipe),
        _ => head(random, recipe, tree),
    }
}

/// A random place among the instructions of a stage.
fn some_line(random: &mut Random, recipe: &Recipe) -> Option<(usize, usize)> {
    let stage = random.place(recipe.stages.len());
    let lines = recipe.stages[stage].lines.len();
    (lines > 0).then(|| (stage, random.place(lines)))
}

/// The first line of an instruction. Further lines are heredocs or continuations.
fn some_instruction<'r>(
    random: &mut Random,
    recipe: &'r mut Recipe,
) -> Option<(&'r mut String, String, String)> {
    let (stage, at) = some_line(random, recipe)?;
    let line = &mut recipe.stages[stage].lines[at];
    if line.starts_with('#') || line.trim().is_empty() {
        return None;
    }
    let (first, rest) = match line.split_once('\n') {
        Some((first, rest)) => (first.to_owned(), format!("\n{rest}")),
        None => (line.clone(), String::new()),
    };
    Some((line, first, rest))
}

fn insert(random: &mut Random, recipe: &mut Recipe, line: String) {
    let stage = random.place(recipe.stages.len() + 1);
    let lines = match stage.checked_sub(1) {
        None => &mut recipe.head,
        Some(stage) => &mut recipe.stages[stage].lines,
    };
    let at = random.place(lines.len() + 1);
    lines.insert(at, line);
}

fn comment(random: &mut Random, recipe: &mut Recipe) -> Option<&'static str> {
    let comment = format!("# comment {}", random.below(1000));
    insert(random, recipe, comment);
    Some("comment")
}

fn blank(random: &mut Random, recipe: &mut Recipe) -> Option<&'static str> {
    let line = random.one_of(&["", "  ", "\t"]).to_owned();
    insert(random, recipe, line);
    Some("blank line")
}

/// The positions of blanks in a line.
fn blanks(line: &str) -> Vec<usize> {
    line.match_indices(' ').map(|(at, _)| at).collect()
}

fn spacing(random: &mut Random, recipe: &mut Recipe) -> Option<&'static str> {
    let kind = random.below(4);
    let (line, first, rest) = some_instruction(random, recipe)?;
    let at = random.one_of(&blanks(&first));
    *line = match kind {
        0 => format!("  {first}{rest}"),
        1 if rest.is_empty() => format!("{first}  "),
        2 => format!("{}\t{}{rest}", &first[..at], &first[at..]),
        _ => format!("{} {}{rest}", &first[..at], &first[at..]),
    };
    Some("spacing")
}

fn continuation(random: &mut Random, recipe: &mut Recipe) -> Option<&'static str> {
    let escape = recipe.escape;
    let indent = random.one_of(&["", "  ", "    # inside\n  "]);
    let (line, first, rest) = some_instruction(random, recipe)?;
    let at = random.one_of(&blanks(&first));
    *line = format!(
        "{} {escape}\n{indent}{}{rest}",
        &first[..at],
        &first[at + 1..]
    );
    Some("continuation")
}

fn keyword(random: &mut Random, recipe: &mut Recipe) -> Option<&'static str> {
    let (line, first, rest) = some_instruction(random, recipe)?;
    let (keyword, arguments) = first.trim_start().split_once(' ')?;
    *line = format!("{} {arguments}{rest}", keyword.to_lowercase());
    Some("keyword's case")
}

fn added(random: &mut Random, recipe: &mut Recipe, tree: &Tree) -> Option<&'static str> {
    let stage = random.place(recipe.stages.len());
    let (earlier, rest) = recipe.stages.split_at_mut(stage);
    let stage = &mut rest[0];
    let at = random.place(stage.lines.len() + 1);
    let mut writer = Writer {
        random,
        tree,
        earlier,
        shell: stage.shell,
        declared: write::declared(&stage.lines[..at]),
    };
    stage.lines.insert(at, writer.instruction());
    Some("instruction added")
}

fn removed(random: &mut Random, recipe: &mut Recipe) -> Option<&'static str> {
    let (stage, at) = some_line(random, recipe)?;
    recipe.stages[stage].lines.remove(at);
    Some("instruction removed")
}

fn swapped(random: &mut Random, recipe: &mut Recipe) -> Option<&'static str> {
    let (stage, at) = some_line(random, recipe)?;
    let lines = &mut recipe.stages[stage].lines;
    if at + 1 == lines.len() {
        return None;
    }
    lines.swap(at, at + 1);
    Some("instructions swapped")
}

/// Changes one letter or digit behind the keyword and the flags, mostly in the last word. The nonce
/// stays.
fn word(random: &mut Random, recipe: &mut Recipe) -> Option<&'static str> {
    let with = random.one_of(b"ab12xs");
    let (chosen, often) = (random.next(), random.percent(60));
    let (stage, at) = some_line(random, recipe)?;
    let line = &mut recipe.stages[stage].lines[at];
    let kind = if line.contains("<<") {
        "heredoc edited"
    } else {
        "instruction edited"
    };
    let flags = line.split_inclusive(' ').skip(1);
    let flags = flags.take_while(|word| word.starts_with("--"));
    let start = line.find(' ')? + 1 + flags.map(str::len).sum::<usize>();
    let last = line.rfind([' ', ',']).unwrap_or(start).max(start);
    let start = if often { last } else { start };
    if line.starts_with("HEALTHCHECK") || line.trim_start().starts_with('#') {
        return None;
    }
    let bytes = line.as_bytes();
    let is_free = |at: &usize| {
        let inside_nonce = *at > 0 && bytes[at - 1..].starts_with(NONCE.as_bytes());
        bytes[*at].is_ascii_alphanumeric() && !inside_nonce && bytes[*at] != with
    };
    let free: Vec<usize> = (start..bytes.len()).filter(is_free).collect();
    if free.is_empty() {
        return None;
    }
    let at = free[usize::try_from(chosen % free.len() as u64).unwrap()];
    line.replace_range(at..=at, char::from(with).to_string().as_str());
    Some(kind)
}

fn stage_added(random: &mut Random, recipe: &mut Recipe, tree: &Tree) -> Option<&'static str> {
    let at = random.place(recipe.stages.len() + 1);
    let new = write::stage(random, tree, &recipe.stages[..at], false);
    let taken = recipe.names();
    if new.name.as_ref().is_some_and(|name| taken.contains(name)) {
        return None;
    }
    recipe.stages.insert(at, new);
    Some("stage added")
}

fn stage_removed(random: &mut Random, recipe: &mut Recipe) -> Option<&'static str> {
    if recipe.stages.len() < 2 {
        return None;
    }
    let at = random.place(recipe.stages.len());
    recipe.stages.remove(at);
    Some("stage removed")
}

fn stages_swapped(random: &mut Random, recipe: &mut Recipe) -> Option<&'static str> {
    if recipe.stages.len() < 2 {
        return None;
    }
    let at = random.place(recipe.stages.len() - 1);
    recipe.stages.swap(at, at + 1);
    Some("stages swapped")
}

/// Renames a stage, in all places that name it.
fn renamed(random: &mut Random, recipe: &mut Recipe) -> Option<&'static str> {
    let at = random.place(recipe.stages.len());
    let old = recipe.stages[at].name.clone()?;
    let new = random.one_of(&STAGE_NAMES).to_owned();
    if recipe.names().contains(&new) {
        return None;
    }
    let (before, after) = (format!("--from={old} "), format!("--from={new} "));
    for stage in &mut recipe.stages {
        if stage.from == old {
            stage.from.clone_from(&new);
        }
        for line in &mut stage.lines {
            *line = line.replace(&before, &after);
        }
    }
    recipe.stages[at].name = Some(new);
    Some("stage renamed")
}

fn from(random: &mut Random, recipe: &mut Recipe) -> Option<&'static str> {
    let at = random.place(recipe.stages.len());
    let mut choices = vec!["scratch".to_owned(), "${B:-scratch}".to_owned()];
    choices.extend(
        recipe.stages[..at]
            .iter()
            .filter_map(|stage| stage.name.clone()),
    );
    let choice = choices.swap_remove(random.place(choices.len()));
    recipe.stages[at].from = choice;
    Some("FROM changed")
}

fn head(random: &mut Random, recipe: &mut Recipe, tree: &Tree) -> Option<&'static str> {
    let length = recipe.head.len();
    let new = write::head_line(random, tree);
    match random.below(3) {
        0 if length > 0 => {
            recipe.head.remove(random.place(length));
        }
        1 if length > 0 => recipe.head[random.place(length)] = new,
        _ => recipe.head.push(new),
    }
    Some("global argument")
}

/// A build argument for a case, mostly one that the Dockerfile declares.
pub fn argument(random: &mut Random, recipe: &Recipe, tree: &Tree) -> (String, String) {
    // The default of one place is a new value at all others.
    let mut several = several_defaults(recipe);
    if !several.is_empty() && random.percent(40) {
        return several.swap_remove(random.place(several.len()));
    }
    let stages = recipe.stages.iter().map(|stage| &stage.lines);
    let lines = std::iter::once(&recipe.head).chain(stages);
    // An edit may have broken a line behind ARG. The rest is not a name that the graph file
    // accepts.
    let is_name = |name: &String| {
        name.starts_with(|first: char| first.is_ascii_alphabetic())
            && name.bytes().all(|byte| byte.is_ascii_alphanumeric())
    };
    let names = lines.flat_map(|lines| write::declared(lines));
    let mut names: Vec<String> = names.filter(is_name).collect();
    if names.is_empty() || random.percent(25) {
        names = ["A", "C", "E", "P", "U", "Z"].map(str::to_owned).to_vec();
    }
    let name = names.swap_remove(random.place(names.len()));
    let path = grow::known_path(random, tree).filter(|_| name == "P");
    let base = (name == "B").then(|| "scratch".to_owned());
    let value = random.one_of(&["one", "two", "x1", "a", "", "src"]);
    let value = path.or(base).unwrap_or_else(|| value.to_owned());
    (name, value)
}

/// The plain defaults of all names that have more than one.
fn several_defaults(recipe: &Recipe) -> Vec<(String, String)> {
    let stages = recipe.stages.iter().map(|stage| &stage.lines);
    let lines = std::iter::once(&recipe.head).chain(stages).flatten();
    let declared = lines.filter_map(|line| line.strip_prefix("ARG ")?.split_once('='));
    let is_plain = |text: &str| text.bytes().all(|byte| byte.is_ascii_alphanumeric());
    let plain = declared.filter(|(name, value)| is_plain(name) && is_plain(value));
    let mut all: Vec<(String, String)> = plain
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect();
    all.sort();
    all.dedup();
    let times = |name: &str| all.iter().filter(|(other, _)| other == name).count();
    let several = all.iter().filter(|(name, _)| times(name) > 1);
    several.cloned().collect()
}
