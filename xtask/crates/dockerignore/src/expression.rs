//! Reads the regular expressions that Moby makes of ignore patterns, as Go's compiler reads them.
//!
//! This is the part of Go's `regexp/syntax` that such an expression can use, including syntax that
//! a pattern smuggles in with a backslash or inside brackets. `machine` runs an expression.

use std::cell::OnceCell;

use super::charset::{self, Set};

/// One step of an expression. It is followed by the next step of the list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// One character of the set.
    Take(Set),
    /// Any number of characters of the set.
    Repeat(Set),
    /// The given number of next steps may be left out.
    Maybe(usize),
    /// The text's start.
    Start,
    /// The text's end.
    End,
    /// A word begins or ends here (`\b`, `true`), or does not (`\B`, `false`).
    Boundary(bool),
}

/// Go refuses expressions that would become larger than about 3 million instructions.
const MOST_STEPS: usize = 1 << 20;

/// Reads an expression into its alternatives, any of which may match. `None` if Go's compiler
/// refuses it.
///
/// One-letter Unicode groups (`\pL`) are refused as well: Go knows them, but their tables
/// are not worth carrying for something that no ignore file has.
pub fn parse(expression: &[char]) -> Option<Vec<Vec<Step>>> {
    let mut reader = Reader {
        text: expression,
        at: 0,
        last_name_end: OnceCell::new(),
    };
    let mut alternatives = Vec::new();
    let mut steps = Vec::new();
    // The start of the last element, which a `{2}` would repeat.
    let mut last = None;
    let mut repeated = false;
    while let Some(c) = reader.next() {
        if c == '|' {
            alternatives.push(std::mem::take(&mut steps));
            (last, repeated) = (None, false);
            continue;
        }
        if c == '{'
            && let Some((low, high)) = reader.count()
        {
            // Go refuses to repeat a repetition.
            repeat(&mut steps, last.filter(|_| !repeated)?, low, high)?;
            repeated = true;
            continue;
        }
        let from = steps.len();
        repeated = reader.element(c, &mut steps)?;
        if steps.len() > from {
            // A `{2}` behind quoted text repeats only its last character.
            last = Some(if repeated { from } else { steps.len() - 1 });
        }
    }
    alternatives.push(steps);
    Some(alternatives)
}

/// Repeats the element at `from`, which is the last one, `low` to `high` times. `None` for `high`
/// means any number from `low` on.
fn repeat(steps: &mut Vec<Step>, from: usize, low: usize, high: Option<usize>) -> Option<()> {
    if low > 1000 || high.is_some_and(|high| high > 1000 || high < low) {
        return None;
    }
    let element = steps.split_off(from.min(steps.len()));
    let [Step::Take(set)] = element.as_slice() else {
        // An element that may read nothing, or always reads nothing, stays the same when repeated.
        // If `low` is zero, an assertion may be left out, so it has no effect.
        let may_be_nothing = matches!(element.as_slice(), [Step::Repeat(_)] | [Step::Maybe(_), ..]);
        let keep = if may_be_nothing {
            high != Some(0)
        } else {
            low > 0
        };
        steps.extend(element.into_iter().filter(|_| keep));
        return Some(());
    };
    steps.extend(std::iter::repeat_n(Step::Take(set.clone()), low));
    match high {
        None => steps.push(Step::Repeat(set.clone())),
        Some(high) => {
            let maybe = [Step::Maybe(2), Step::Take(set.clone())];
            steps.extend(std::iter::repeat_n(maybe, high - low).flatten());
        }
    }
    (steps.len() <= MOST_STEPS).then_some(())
}

struct Reader<'a> {
    text: &'a [char],
    at: usize,
    /// The position of the last `:]`. Without it, each `[:` could search the whole text in vain.
    last_name_end: OnceCell<Option<usize>>,
}

impl<'a> Reader<'a> {
    fn peek(&self) -> Option<char> {
        self.text.get(self.at).copied()
    }

    fn next(&mut self) -> Option<char> {
        let c = self.peek()?;
        self.at += 1;
        Some(c)
    }

    fn next_if(&mut self, wanted: char) -> bool {
        let found = self.peek() == Some(wanted);
        self.at += usize::from(found);
        found
    }

    /// Reads one element that begins with `c`, with its star. Returns whether it has a star.
    fn element(&mut self, c: char, steps: &mut Vec<Step>) -> Option<bool> {
        if let Some(step) = self.assertion(c) {
            steps.push(step);
        } else if c == '(' {
            // The only group that Moby writes is `(.*/)?`.
            self.at += ".*/)?".len();
            steps.extend([
                Step::Maybe(3),
                Step::Repeat(Set::not('\n')),
                Step::Take(Set::of('/')),
            ]);
            return Some(true);
        } else if c == '\\' && self.next_if('Q') {
            steps.extend(self.quoted().map(|c| Step::Take(Set::of(c))));
        } else {
            let set = self.set(c)?;
            let star = self.next_if('*');
            steps.push(if star {
                Step::Repeat(set)
            } else {
                Step::Take(set)
            });
            return Some(star);
        }
        Some(false)
    }

    fn assertion(&mut self, c: char) -> Option<Step> {
        match c {
            '^' => return Some(Step::Start),
            '$' => return Some(Step::End),
            '\\' => {}
            _ => return None,
        }
        let step = match self.peek()? {
            'A' => Step::Start,
            'z' => Step::End,
            'b' => Step::Boundary(true),
            'B' => Step::Boundary(false),
            _ => return None,
        };
        self.at += 1;
        Some(step)
    }

    /// The characters of `\Q…\E` behind the `\Q`: literal up to `\E`, or up to the end of the text.
    fn quoted(&mut self) -> impl Iterator<Item = char> + use<'a> {
        let rest = &self.text[self.at..];
        let end = rest.windows(2).position(|pair| pair == ['\\', 'E']);
        self.at += end.map_or(rest.len(), |end| end + 2);
        rest[..end.unwrap_or(rest.len())].iter().copied()
    }

    /// `2}`, `2,}` or `2,3}` after a `{`. With any other text, the brace is a plain character.
    fn count(&mut self) -> Option<(usize, Option<usize>)> {
        // Only digits and commas may precede the closing brace.
        let inside = |c: &char| c.is_ascii_digit() || *c == ',';
        let length = self.text[self.at..].iter().take_while(|c| inside(c));
        let end = length.count();
        if self.text.get(self.at + end) != Some(&'}') {
            return None;
        }
        let inside: String = self.text[self.at..self.at + end].iter().collect();
        let number = |text: &str| {
            let plain = text.chars().all(|c| c.is_ascii_digit());
            let plain = plain && !text.is_empty() && (text == "0" || !text.starts_with('0'));
            plain.then(|| text.parse().unwrap_or(usize::MAX))
        };
        let count = match inside.split_once(',') {
            None => number(&inside).map(|exact| (exact, Some(exact))),
            Some((low, "")) => number(low).map(|low| (low, None)),
            Some((low, high)) => number(low).zip(number(high).map(Some)),
        }?;
        self.at += end + 1;
        Some(count)
    }

    fn set(&mut self, c: char) -> Option<Set> {
        match c {
            '[' => self.class(),
            '.' => Some(Set::not('\n')),
            '\\' => match self.perl() {
                Some(set) => Some(set),
                None => self.escaped().map(Set::of),
            },
            c => Some(Set::of(c)),
        }
    }

    /// Reads a class after its `[`.
    fn class(&mut self) -> Option<Set> {
        let negated = self.next_if('^');
        let mut ranges = Vec::new();
        let mut first = true;
        while first || self.peek() != Some(']') {
            first = false;
            if self.peek() == Some('[')
                && self.text.get(self.at + 1) == Some(&':')
                && let Some(end) = self.named_end()
            {
                ranges.extend(charset::named(&self.text[self.at + 2..end])?);
                self.at = end + 2;
                continue;
            }
            if self.next_if('\\') {
                if let Some(set) = self.perl() {
                    if set.negated {
                        ranges.extend(set.complemented());
                    } else {
                        ranges.extend_from_slice(&set.ranges);
                    }
                    continue;
                }
                self.at -= 1;
            }
            let low = self.class_char()?;
            let mut high = low;
            if self.peek() == Some('-') && self.text.get(self.at + 1).is_some_and(|c| *c != ']') {
                self.at += 1;
                high = self.class_char()?;
                if high < low {
                    return None;
                }
            }
            ranges.push((low, high));
        }
        self.at += 1;
        Some(Set::new(negated, ranges))
    }

    fn class_char(&mut self) -> Option<char> {
        match self.next()? {
            '\\' => self.escaped(),
            c => Some(c),
        }
    }

    /// The position of the `:]` that ends the name which begins here. Go searches the whole text
    /// for it.
    fn named_end(&self) -> Option<usize> {
        let from = self.at + 2;
        let last = *self
            .last_name_end
            .get_or_init(|| self.text.windows(2).rposition(|pair| pair == [':', ']']));
        last.filter(|last| *last >= from)?;
        let found = self.text[from..]
            .windows(2)
            .position(|pair| pair == [':', ']']);
        found.map(|at| from + at)
    }

    /// Reads a set like `\d` after the backslash.
    fn perl(&mut self) -> Option<Set> {
        let set = charset::perl(self.peek()?)?;
        self.at += 1;
        Some(set)
    }

    /// Reads a character after its backslash. Punctuation stands for itself. Go knows no other
    /// letters and digits than these.
    fn escaped(&mut self) -> Option<char> {
        let c = self.next()?;
        match c {
            'a' => Some('\x07'),
            'f' => Some('\x0c'),
            'n' => Some('\n'),
            'r' => Some('\r'),
            't' => Some('\t'),
            'v' => Some('\x0b'),
            '0'..='7' => self.octal(c),
            'x' => {
                let high = self.next()?.to_digit(16)?;
                let low = self.next()?.to_digit(16)?;
                char::from_u32(high * 16 + low)
            }
            c if c.is_ascii() && !c.is_ascii_alphanumeric() => Some(c),
            _ => None,
        }
    }

    fn octal(&mut self, first: char) -> Option<char> {
        let mut value = first.to_digit(8)?;
        for digit in 1..3 {
            match self.peek().and_then(|c| c.to_digit(8)) {
                Some(next) => {
                    value = value * 8 + next;
                    self.at += 1;
                }
                // A single digit other than zero would refer to a group.
                None if digit == 1 && first != '0' => return None,
                None => break,
            }
        }
        char::from_u32(value)
    }
}
