//! Reads one text character by character: quotes, escapes and words. `variables` reads what
//! follows a `$`.

use std::collections::BTreeSet;
use std::iter::Peekable;
use std::str::Chars;

use super::words::{HeredocRules, Lookup, Trouble};

/// These limits keep hostile text from costing more than its length.
const DEEPEST: usize = 64;
const LONGEST: usize = 64 * 1024;

pub(super) const TOO_DEEP: &str = "expansions are nested too deeply";

pub(super) struct Rules {
    pub(super) escape: char,
    pub(super) heredocs: Option<HeredocRules>,
}

#[derive(Default)]
pub(super) struct Piece {
    pub(super) text: String,
    pub(super) words: Vec<String>,
    word: String,
    in_word: bool,
    pub(super) hangs_on: Option<String>,
}

impl Piece {
    fn hang(&mut self, on: Option<String>) {
        if self.hangs_on.is_none() {
            self.hangs_on = on;
        }
    }

    fn word_char(&mut self, c: char) {
        if !c.is_whitespace() {
            self.raw_char(c);
        } else if self.in_word && !self.word.is_empty() {
            self.words.push(std::mem::take(&mut self.word));
            self.in_word = false;
        }
    }

    fn raw_char(&mut self, c: char) {
        self.word.push(c);
        self.in_word = true;
    }

    fn raw_text(&mut self, text: &str) {
        self.word.push_str(text);
        self.in_word = true;
    }

    fn ended(mut self) -> Self {
        if !self.word.is_empty() {
            self.words.push(std::mem::take(&mut self.word));
        }
        self
    }
}

pub(super) struct Lexer<'t, 'e> {
    pub(super) rules: Rules,
    pub(super) chars: Peekable<Chars<'t>>,
    pub(super) env: &'e dyn Lookup,
    pub(super) used: BTreeSet<String>,
    raw_escapes: bool,
    depth: usize,
}

impl<'t, 'e> Lexer<'t, 'e> {
    pub(super) fn new(text: &'t str, rules: Rules, env: &'e dyn Lookup) -> Self {
        let mut chars = text.chars().peekable();
        // Go's scanner drops a byte order mark at the start of what it reads.
        chars.next_if_eq(&'\u{feff}');
        Self {
            rules,
            chars,
            env,
            used: BTreeSet::new(),
            raw_escapes: false,
            depth: 0,
        }
    }

    fn keeps_quotes(&self) -> bool {
        self.rules.heredocs.is_some_and(|h| h.keep_quotes)
    }

    pub(super) fn until(
        &mut self,
        stop: Option<char>,
        raw_escapes: bool,
    ) -> Result<Piece, Trouble> {
        if self.depth >= DEEPEST {
            return Err(Trouble::Refused(TOO_DEEP.to_owned()));
        }
        self.depth += 1;
        let outer = std::mem::replace(&mut self.raw_escapes, raw_escapes);
        let piece = self.until_inner(stop);
        self.raw_escapes = outer;
        self.depth -= 1;
        piece
    }

    fn until_inner(&mut self, stop: Option<char>) -> Result<Piece, Trouble> {
        let mut piece = Piece::default();
        while let Some(&c) = self.chars.peek() {
            if Some(c) == stop {
                self.chars.next();
                return Ok(piece.ended());
            }
            match c {
                '\'' => {
                    let quoted = self.single_quoted()?;
                    piece.text.push_str(&quoted);
                    piece.raw_text(&quoted);
                }
                '"' => {
                    let (quoted, hangs_on) = self.double_quoted()?;
                    piece.text.push_str(&quoted);
                    piece.raw_text(&quoted);
                    piece.hang(hangs_on);
                }
                '$' => {
                    let (value, hangs_on) = self.dollar()?;
                    piece.text.push_str(&value);
                    value.chars().for_each(|c| piece.word_char(c));
                    piece.hang(hangs_on);
                }
                '<' if self.rules.heredocs.is_some_and(|h| h.spaces_after_arrows) => {
                    let arrows = self.arrows();
                    piece.text.push_str(&arrows);
                    piece.raw_text(&arrows);
                }
                _ => self.plain(&mut piece),
            }
            if self.rules.heredocs.is_none() && piece.text.len() > LONGEST {
                return Err(Trouble::Refused("a value grows past 64 KiB".to_owned()));
            }
        }
        match stop {
            Some(c) => Err(Trouble::Refused(format!("a `{c}` is missing"))),
            None => Ok(piece.ended()),
        }
    }

    fn plain(&mut self, piece: &mut Piece) {
        let Some(c) = self.chars.next() else { return };
        if c != self.rules.escape {
            piece.word_char(c);
            piece.text.push(c);
            return;
        }
        if self.raw_escapes {
            piece.raw_char(c);
            piece.text.push(c);
        }
        if let Some(escaped) = self.chars.next() {
            piece.raw_char(escaped);
            piece.text.push(escaped);
        }
    }

    fn single_quoted(&mut self) -> Result<String, Trouble> {
        let mut out = String::new();
        let quote = self.chars.next();
        out.extend(quote.filter(|_| self.keeps_quotes()));
        loop {
            match self.chars.next() {
                None => return Err(Trouble::Refused("a single quote is not closed".to_owned())),
                Some('\'') => {
                    out.extend(quote.filter(|_| self.keeps_quotes()));
                    return Ok(out);
                }
                Some(c) => out.push(c),
            }
        }
    }

    fn double_quoted(&mut self) -> Result<(String, Option<String>), Trouble> {
        let mut out = String::new();
        let mut hangs_on = None;
        let quote = self.chars.next();
        out.extend(quote.filter(|_| self.keeps_quotes()));
        loop {
            match self.chars.peek() {
                None => return Err(Trouble::Refused("a double quote is not closed".to_owned())),
                Some('"') => {
                    self.chars.next();
                    out.extend(quote.filter(|_| self.keeps_quotes()));
                    return Ok((out, hangs_on));
                }
                Some('$') => {
                    let (value, on) = self.dollar()?;
                    out.push_str(&value);
                    hangs_on = hangs_on.or(on);
                }
                Some(&c) if c == self.rules.escape => {
                    self.chars.next();
                    if self.raw_escapes {
                        out.push(c);
                    }
                    let escape = self.rules.escape;
                    match self.chars.peek().copied() {
                        None => {}
                        Some(next) if next == '"' || next == '$' || next == escape => {
                            self.chars.next();
                            out.push(next);
                        }
                        Some(_) => out.push(c),
                    }
                }
                Some(&c) => {
                    self.chars.next();
                    out.push(c);
                }
            }
            if self.rules.heredocs.is_none() && out.len() > LONGEST {
                return Err(Trouble::Refused("a value grows past 64 KiB".to_owned()));
            }
        }
    }

    fn arrows(&mut self) -> String {
        self.chars.next();
        if self.chars.next_if_eq(&'<').is_none() {
            return "<".to_owned();
        }
        let mut out = "<<".to_owned();
        while let Some(space) = self.chars.next_if(|c| matches!(c, '\t' | '\r' | ' ')) {
            out.push(space);
        }
        out
    }
}
