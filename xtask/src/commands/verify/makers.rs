//! Who made the layers of an image, in a form that may be shown.

use crate::verify::layers::{LayeredImage, shown};
use crate::verify::policy::Subject;
use crate::verify::secrets;
use crate::verify::size::Maker;

/// The makers of an image's layers, lowest first.
pub(super) fn of(subject: &Subject<'_>) -> Vec<Maker> {
    let makers = subject.made.iter().enumerate().map(|(at, made)| Maker {
        from: made.from,
        line: made.line,
        instruction: instruction(subject.image, at),
    });
    makers.collect()
}

/// The instruction that made a layer. Of an instruction that holds a secret, only the first word is
/// shown.
fn instruction(image: &LayeredImage, layer: usize) -> String {
    let Some(step) = image.instruction(layer) else {
        return String::new();
    };
    let text = step.created_by.trim_end_matches("# buildkit").trim();
    let text = match text.strip_prefix("/bin/sh -c ") {
        Some(command) => match command.strip_prefix("#(nop)") {
            Some(other) => other.trim().to_owned(),
            None => format!("RUN {command}"),
        },
        None => text.replacen("RUN /bin/sh -c ", "RUN ", 1),
    };
    if secrets::in_text("", &step.created_by).is_empty() {
        shown(text.as_bytes())
    } else {
        let word = text.split_whitespace().next().unwrap_or_default();
        format!("{} …", shown(word.as_bytes()))
    }
}
