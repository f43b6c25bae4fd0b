//! Lines on a terminal that are drawn again and again, below lines that stay.
//!
//! Uses a few escape sequences that every terminal has. The cursor rests below the last line. So
//! what the terminal itself echoes there (`^C`) is on a line of its own, and goes with the next
//! drawing. At the end of a full line the echo would open another line, which would not be counted.

use std::fmt::Write as _;
use std::io::Write;

/// The part of a terminal that is drawn again, below the lines that stay.
#[derive(Debug)]
pub(super) struct Screen<W: Write> {
    terminal: W,
    /// Lines that stay, and are not written yet.
    waiting: String,
    /// How many lines are drawn now.
    drawn: usize,
}

/// How large a terminal is.
#[derive(Debug, Clone, Copy)]
pub(super) struct ScreenSize {
    pub(super) rows: usize,
    pub(super) columns: usize,
}

impl ScreenSize {
    /// The size of the terminal that stderr is; 24 rows and 80 columns if it is unknown.
    pub(super) fn of_stderr() -> Self {
        let size = rustix::termios::tcgetwinsize(std::io::stderr());
        let known = |number: u16, otherwise| match number {
            0 => otherwise,
            number => usize::from(number),
        };
        let (rows, columns) = size.map_or((0, 0), |size| (size.ws_row, size.ws_col));
        Self {
            rows: known(rows, 24),
            columns: known(columns, 80),
        }
    }
}

impl<W: Write> Screen<W> {
    pub(super) const fn on(terminal: W) -> Self {
        Self {
            terminal,
            waiting: String::new(),
            drawn: 0,
        }
    }

    /// Adds a line that stays.
    pub(super) fn print(&mut self, line: &str) {
        self.waiting.push_str(line);
        self.waiting.push('\n');
    }

    /// Replaces the drawn lines with `lines`, below the lines that stay.
    pub(super) fn draw(&mut self, lines: &[ScreenLine], size: ScreenSize) {
        if self.waiting.is_empty() && lines.is_empty() && self.drawn == 0 {
            return;
        }
        let mut text = String::new();
        if self.drawn > 0 {
            // Moves up; then to the first column, and clears from there on.
            let _ = write!(text, "\x1b[{}A", self.drawn);
        }
        text.push_str("\r\x1b[J");
        text.push_str(&std::mem::take(&mut self.waiting));
        // One row stays free for the cursor.
        let shown = &lines[..lines.len().min(size.rows.saturating_sub(1))];
        if !shown.is_empty() {
            // Without line wrap, so that a line that is wider than it seems does not become two.
            text.push_str("\x1b[?7l");
            for line in shown {
                line.write(&mut text, size.columns);
                text.push('\n');
            }
            text.push_str("\x1b[?7h");
        }
        self.drawn = shown.len();
        // Drawing goes on if the terminal is gone.
        let _ = self.terminal.write_all(text.as_bytes());
        let _ = self.terminal.flush();
    }
}

/// A drawn line: a bold part between two others.
#[derive(Debug, Default)]
pub(super) struct ScreenLine {
    pub(super) before: String,
    pub(super) bold: String,
    pub(super) after: String,
}

impl ScreenLine {
    fn write(&self, text: &mut String, columns: usize) {
        let mut room = columns.saturating_sub(1);
        let mut part = |text: &mut String, part: &str| {
            for c in part.chars().filter(|c| !c.is_control()).take(room) {
                text.push(c);
                room -= 1;
            }
        };
        part(text, &self.before);
        let is_plain = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        if is_plain {
            part(text, &self.bold);
        } else {
            text.push_str("\x1b[1m");
            part(text, &self.bold);
            text.push_str("\x1b[0m");
        }
        part(text, &self.after);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SIZE: ScreenSize = ScreenSize {
        rows: 3,
        columns: 10,
    };

    fn line(text: &str) -> ScreenLine {
        ScreenLine {
            after: text.to_owned(),
            ..ScreenLine::default()
        }
    }

    fn drawn(screen: &mut Screen<Vec<u8>>, lines: &[ScreenLine]) -> String {
        screen.draw(lines, SIZE);
        let text = String::from_utf8(std::mem::take(&mut screen.terminal)).unwrap();
        text.replace("\x1b[1m\x1b[0m", "")
    }

    #[test]
    fn what_is_drawn_goes_with_the_next_drawing_and_what_is_printed_stays() {
        let mut screen = Screen::on(Vec::new());
        assert_eq!(drawn(&mut screen, &[]), "");
        let two = [line("a"), line("b")];
        assert_eq!(drawn(&mut screen, &two), "\r\x1b[J\x1b[?7la\nb\n\x1b[?7h");
        screen.print("stays");
        assert_eq!(drawn(&mut screen, &[]), "\x1b[2A\r\x1b[Jstays\n");
        assert_eq!(drawn(&mut screen, &[]), "");
    }

    #[test]
    fn no_line_is_wider_than_the_terminal_and_not_more_are_drawn_than_it_has() {
        let mut screen = Screen::on(Vec::new());
        let lines = [line("a step with\na long name"), line("b"), line("c")];
        let text = drawn(&mut screen, &lines);
        assert_eq!(text, "\r\x1b[J\x1b[?7la step wi\nb\n\x1b[?7h");
    }
}
