//! Finds the patterns that match a path without trying each of them, as most patterns name a path,
//! a folder or a file name outright.

use super::ignore::Pattern;
use super::pattern::Matcher;

/// Pattern numbers by key, sorted after all were added.
#[derive(Debug, Clone, Default)]
struct Ids(Vec<(Box<[u8]>, u32)>);

impl Ids {
    fn get(&self, key: &[u8]) -> impl Iterator<Item = u32> {
        let first = self.0.partition_point(|(other, _)| other[..] < *key);
        self.0[first..]
            .iter()
            .take_while(move |(other, _)| other[..] == *key)
            .map(|(_, id)| *id)
    }
}

/// Pattern numbers by the part that a path must have in order to match.
#[derive(Debug, Clone, Default)]
pub struct Index {
    /// Patterns without wildcards, by the whole path.
    exact: Ids,
    /// `folder/**`, by the folder.
    folders: Ids,
    /// `**/name`, by the path's last name, or by several last names together.
    names: Ids,
    /// The numbers of names that keys of `names` have, ascending.
    name_counts: Vec<usize>,
    /// Expressions that begin with a plain name, by that name.
    below: Ids,
    /// The other patterns, which are tried one after the other.
    others: Vec<u32>,
    /// Patterns at which Moby fails when it first tries them.
    pub broken: Vec<u32>,
}

impl Index {
    pub fn new(patterns: &[Pattern]) -> Self {
        let mut index = Self::default();
        for (id, pattern) in (0..).zip(patterns) {
            index.add(id, &pattern.matcher);
        }
        let Self {
            exact,
            folders,
            names,
            below,
            ..
        } = &mut index;
        for ids in [exact, folders, names, below] {
            ids.0.sort_unstable();
        }
        index.name_counts = index
            .names
            .0
            .iter()
            .map(|(names, _)| count_names(names))
            .collect();
        index.name_counts.sort_unstable();
        index.name_counts.dedup();
        index
    }

    fn add(&mut self, id: u32, matcher: &Matcher) {
        let (ids, key) = match matcher {
            Matcher::Exact(path) => (&mut self.exact, &path[..]),
            Matcher::Prefix(prefix) if prefix.ends_with(b"/") => {
                (&mut self.folders, &prefix[..prefix.len() - 1])
            }
            Matcher::Suffix(suffix) if suffix.starts_with(b"/") => (&mut self.names, &suffix[1..]),
            Matcher::Machine(machine) if machine.head().contains(&b'/') => {
                (&mut self.below, first_name(machine.head()))
            }
            Matcher::Broken => return self.broken.push(id),
            Matcher::Prefix(_) | Matcher::Suffix(_) | Matcher::Machine(_) | Matcher::AnyOf(_) => {
                return self.others.push(id);
            }
        };
        ids.0.push((key.into(), id));
    }

    /// Adds the numbers of the patterns that match the path itself, in no order.
    pub fn matching(&self, patterns: &[Pattern], path: &[u8], found: &mut Vec<u32>) {
        found.extend(self.exact.get(path));
        if !self.folders.0.is_empty() {
            for (at, _) in path.iter().enumerate().filter(|(_, byte)| **byte == b'/') {
                found.extend(self.folders.get(&path[..at]));
            }
        }
        for count in &self.name_counts {
            found.extend(
                last_names(path, *count)
                    .into_iter()
                    .flat_map(|names| self.names.get(names)),
            );
        }
        let tried = self
            .others
            .iter()
            .copied()
            .chain(self.below.get(first_name(path)));
        found.extend(tried.filter(|id| patterns[*id as usize].matcher.matches(path)));
    }
}

fn first_name(path: &[u8]) -> &[u8] {
    path.split(|byte| *byte == b'/').next().unwrap_or(path)
}

fn count_names(path: &[u8]) -> usize {
    path.split(|byte| *byte == b'/').count()
}

/// The last `count` names of the path.
fn last_names(path: &[u8], count: usize) -> Option<&[u8]> {
    if count_names(path) < count {
        return None;
    }
    let slashes = path
        .iter()
        .enumerate()
        .rev()
        .filter(|(_, byte)| **byte == b'/');
    Some(
        slashes
            .map(|(at, _)| at)
            .nth(count - 1)
            .map_or(path, |at| &path[at + 1..]),
    )
}
