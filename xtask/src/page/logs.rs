//! The logs of a run's stages, cut so that all of them fit on one page.

use std::io::{Read as _, Seek as _, SeekFrom};
use std::time::{Duration, SystemTime};

use camino::Utf8Path;

use super::guard::LineGuard;
use super::past_run::{PastRun, StageTurn};
use crate::outside::state;
use crate::shown;

/// How many bytes of logs the page has.
const ROOM: usize = 350_000;
/// How many bytes of one log are shown at most.
const MOST: usize = 60_000;
/// A log was last written within this time of its stage's end.
const SLACK: Duration = Duration::from_secs(5);

/// What is shown of a log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ShownLog {
    /// Its text.
    Text {
        /// The first lines, or all of them.
        head: String,
        /// How many bytes are left out.
        omitted: u64,
        /// The last lines; empty if none are left out.
        tail: String,
    },
    /// A later run has written its own log in the same place.
    Replaced,
    /// It cannot be read.
    Gone,
}

/// The logs of all turns that have one, in their order.
pub fn logs(run: &PastRun) -> Vec<(&StageTurn, ShownLog)> {
    let turns: Vec<&StageTurn> = run.turns.iter().filter(|turn| turn.log.is_some()).collect();
    let room = (ROOM / turns.len().max(1)).min(MOST);
    let of = |turn: &&StageTurn| {
        let path = Utf8Path::new(turn.log.as_deref().unwrap_or_default());
        let ended_ms = run.began_ms.saturating_add(turn.ended_ms);
        read(path, run.began_ms, ended_ms, room)
    };
    turns.iter().map(|turn| (*turn, of(turn))).collect()
}

fn read(path: &Utf8Path, from_ms: u64, to_ms: u64, room: usize) -> ShownLog {
    let Ok(mut file) = state::open(path) else {
        return ShownLog::Gone;
    };
    let Ok(meta) = file.metadata() else {
        return ShownLog::Gone;
    };
    let moment = |ms| SystemTime::UNIX_EPOCH + Duration::from_millis(ms);
    let is_of_run = meta
        .modified()
        .is_ok_and(|at| at + SLACK >= moment(from_ms) && at <= moment(to_ms) + SLACK);
    if !is_of_run {
        return ShownLog::Replaced;
    }
    let length = meta.len();
    let part = |file: &mut std::fs::File, from: u64, most: usize| {
        let mut bytes = Vec::new();
        file.seek(SeekFrom::Start(from)).ok()?;
        file.take(most as u64).read_to_end(&mut bytes).ok()?;
        Some(bytes)
    };
    let whole = length <= room as u64;
    // The end says more than the beginning.
    let (first, last) = (room / 3, room - room / 3);
    let Some(head) = part(&mut file, 0, if whole { room } else { first }) else {
        return ShownLog::Gone;
    };
    if whole {
        return ShownLog::Text {
            head: text(&head, room),
            omitted: 0,
            tail: String::new(),
        };
    }
    let Some(tail) = part(&mut file, length - last as u64, last) else {
        return ShownLog::Gone;
    };
    // Only whole lines, unless there is none.
    let head_end = head.iter().rposition(|byte| *byte == b'\n');
    let head = &head[..head_end.map_or(head.len(), |at| at + 1)];
    let tail_start = tail.iter().position(|byte| *byte == b'\n');
    let tail = &tail[tail_start.map_or(0, |at| at + 1)..];
    ShownLog::Text {
        head: text(head, first),
        omitted: length - (head.len() + tail.len()) as u64,
        tail: text(tail, last),
    }
}

/// Bytes as text that is safe to show, of at most this many bytes once it is escaped.
fn text(bytes: &[u8], room: usize) -> String {
    let mut text = String::new();
    let mut used = 0;
    let mut guard = LineGuard::of(&String::from_utf8_lossy(bytes));
    for line in bytes.split_inclusive(|byte| *byte == b'\n') {
        let line = line.strip_suffix(b"\n").unwrap_or(line);
        let line = guard.line(shown::text(&spaced(line)));
        used += line.chars().map(escaped).sum::<usize>() + 1;
        if used > 2 * room {
            return text + "…\n";
        }
        text += &line;
        text.push('\n');
    }
    text
}

/// How many bytes a character has on the page.
const fn escaped(letter: char) -> usize {
    match letter {
        '<' | '>' => 4,
        '&' => 5,
        '"' => 6,
        other => other.len_utf8(),
    }
}

/// Without the escapes of colours, and with spaces in place of tabs.
fn spaced(line: &[u8]) -> Vec<u8> {
    let mut clean = Vec::with_capacity(line.len());
    let mut rest = line;
    while let Some((first, behind)) = rest.split_first() {
        rest = behind;
        match first {
            b'\t' => clean.extend_from_slice(b"    "),
            b'\r' => {}
            0x1b if behind.first() == Some(&b'[') => {
                let end = behind[1..]
                    .iter()
                    .position(|byte| (0x40..=0x7e).contains(byte));
                rest = end.map_or(&[], |end| &behind[end + 2..]);
            }
            byte => clean.push(*byte),
        }
    }
    clean
}

#[cfg(test)]
mod tests {
    use super::*;

    fn log(content: &[u8], room: usize) -> ShownLog {
        let folder = tempfile::tempdir().unwrap();
        let path = Utf8Path::from_path(folder.path()).unwrap().join("a.log");
        std::fs::write(&path, content).unwrap();
        let now = SystemTime::now()
            .duration_since(SystemTime::UNIX_EPOCH)
            .unwrap();
        let now = u64::try_from(now.as_millis()).unwrap();
        assert_eq!(
            read(&path, now - 90_000, now - 80_000, room),
            ShownLog::Replaced
        );
        assert_eq!(
            read(&path, now + 80_000, now + 90_000, room),
            ShownLog::Replaced
        );
        read(&path, now - 1000, now, room)
    }

    #[test]
    fn of_a_long_log_the_first_and_last_lines_are_shown_and_the_rest_is_counted() {
        let lines: Vec<String> = (0..1000).map(|at| format!("line {at}\n")).collect();
        let whole = lines.concat();
        let ShownLog::Text {
            head,
            omitted,
            tail,
        } = log(whole.as_bytes(), 900)
        else {
            panic!("it is read");
        };
        assert!(head.starts_with("line 0\n") && head.len() <= 300);
        assert!(tail.ends_with("line 999\n") && tail.len() <= 600);
        assert_eq!(
            head.len() + tail.len() + usize::try_from(omitted).unwrap(),
            whole.len()
        );
        assert!(whole.contains(&head) && whole.contains(&tail));
    }

    #[test]
    fn colours_are_left_out_and_what_must_be_escaped_has_no_more_room() {
        let shown = |content: &[u8], room| match log(content, room) {
            ShownLog::Text { head, .. } => head,
            other => panic!("{other:?}"),
        };
        assert_eq!(
            shown(b"\x1b[31mred\x1b[0m\tx\r\n\x07", 100),
            "red    x\n\\u{7}\n"
        );
        assert_eq!(
            shown(&b"<<<<\n".repeat(20), 100),
            "<<<<\n".repeat(11) + "…\n"
        );
    }

    #[test]
    fn a_log_that_is_not_there_is_gone() {
        let nowhere = Utf8Path::new("/nonexistent/a.log");
        assert_eq!(read(nowhere, 0, u64::MAX, 100), ShownLog::Gone);
    }
}
