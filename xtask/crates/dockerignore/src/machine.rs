//! Runs an expression over a path.
//!
//! It follows all ways through the steps at once, so the time is bounded by path times steps for
//! any pattern.

use std::cell::RefCell;

use super::charset::Set;
use super::expression::Step;
use super::gotext::decode;

/// The steps of an expression, and the bytes that a path must begin and end with. These refuse most
/// paths at once.
#[derive(Debug, Clone)]
pub struct Machine {
    steps: Vec<Step>,
    head: Vec<u8>,
    tail: Vec<u8>,
}

thread_local! {
    /// Two sets of steps, kept so that a match allocates nothing.
    static SCRATCH: RefCell<(Vec<u64>, Vec<u64>)> = const { RefCell::new((Vec::new(), Vec::new())) };
}

impl Machine {
    pub fn new(mut steps: Vec<Step>) -> Self {
        if steps.first() != Some(&Step::Start) {
            // Only the first of several alternatives is anchored to the path's start.
            steps.insert(0, Step::Repeat(Set::all()));
        }
        let literal = |step: &Step| match step {
            // U+FFFD also matches any byte that is not UTF-8.
            Step::Take(set) => set.single().filter(|c| *c != char::REPLACEMENT_CHARACTER),
            _ => None,
        };
        let after_start = steps.iter().skip_while(|step| **step == Step::Start);
        let head: String = after_start.map_while(literal).collect();
        // Steps that may be left out are not part of the tail.
        let mut groups = steps
            .iter()
            .enumerate()
            .filter_map(|(at, step)| match step {
                Step::Maybe(steps) => Some(at + steps),
                _ => None,
            });
        let sure = &steps[groups.next_back().unwrap_or(0)..];
        let mut tail = Vec::new();
        if let Some((Step::End, before)) = sure.split_last() {
            tail = before.iter().rev().map_while(literal).collect();
            tail.reverse();
        }
        let tail: String = tail.into_iter().collect();
        Self {
            steps,
            head: head.into_bytes(),
            tail: tail.into_bytes(),
        }
    }

    /// The bytes that every matching path begins with.
    pub fn head(&self) -> &[u8] {
        &self.head
    }

    /// The number of steps.
    pub fn len(&self) -> usize {
        self.steps.len()
    }

    pub fn matches(&self, path: &[u8]) -> bool {
        path.starts_with(&self.head)
            && path.ends_with(&self.tail)
            && SCRATCH.with_borrow_mut(|(now, next)| self.run(path, now, next))
    }

    fn run(&self, path: &[u8], now: &mut Vec<u64>, next: &mut Vec<u64>) -> bool {
        let words = self.steps.len() / 64 + 1;
        for set in [&mut *now, &mut *next] {
            set.clear();
            set.resize(words, 0);
        }
        insert(now, 0);
        let mut before = None;
        let mut rest = path;
        loop {
            let here = decode(rest);
            let takes = |set: &Set| here.is_some_and(|(c, _)| set.has(c));
            let mut alive = false;
            for word in 0..words {
                let mut done = 0;
                // A step that reads nothing adds later steps to the set while the loop runs.
                while now[word] & !done != 0 {
                    let bit = (now[word] & !done).trailing_zeros();
                    done |= 1 << bit;
                    let at = word * 64 + bit as usize;
                    let Some(step) = self.steps.get(at) else {
                        return true;
                    };
                    let pass = match step {
                        Step::Take(set) => {
                            if takes(set) {
                                alive = true;
                                insert(next, at + 1);
                            }
                            false
                        }
                        Step::Repeat(set) => {
                            if takes(set) {
                                alive = true;
                                insert(next, at);
                            }
                            true
                        }
                        Step::Maybe(steps) => {
                            insert(now, at + steps);
                            true
                        }
                        Step::Start => before.is_none(),
                        Step::End => here.is_none(),
                        Step::Boundary(wanted) => {
                            (is_word(before) != is_word(here.map(|(c, _)| c))) == *wanted
                        }
                    };
                    if pass {
                        insert(now, at + 1);
                    }
                }
            }
            let (Some((c, width)), true) = (here, alive) else {
                return false;
            };
            before = Some(c);
            rest = &rest[width..];
            std::mem::swap(now, next);
            next.fill(0);
        }
    }
}

fn insert(set: &mut [u64], at: usize) {
    set[at / 64] |= 1 << (at % 64);
}

fn is_word(c: Option<char>) -> bool {
    c.is_some_and(|c| c.is_ascii_alphanumeric() || c == '_')
}
