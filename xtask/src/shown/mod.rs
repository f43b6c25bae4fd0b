//! Text from outside, made fit to show to people and in JSON.

pub mod actions;

use std::sync::LazyLock;

/// How a person calls this program: `cargo xtask` in a workspace that compiles it, else by the name
/// under which it was installed.
pub fn program() -> &'static str {
    static PROGRAM: LazyLock<String> = LazyLock::new(|| {
        let path = std::env::current_exe().unwrap_or_default();
        // Cargo's own folders for what it compiles.
        let folder = path.parent().and_then(|folder| folder.file_name());
        let is_compiled = folder.is_some_and(|name| name == "debug" || name == "release");
        let name = path.file_name().and_then(|name| name.to_str());
        match name.filter(|_| !is_compiled && std::env::var_os("CARGO").is_none()) {
            Some(name) => name.to_owned(),
            None => "cargo xtask".to_owned(),
        }
    });
    &PROGRAM
}

/// Bytes as text for people and JSON. Escapes what is not UTF-8, and what a terminal would act on.
pub fn text(bytes: &[u8]) -> String {
    let mut text = String::new();
    for chunk in bytes.utf8_chunks() {
        for c in chunk.valid().chars() {
            match c {
                '\0' => text.push(':'),
                c if c.is_control() => text.extend(c.escape_default()),
                c => text.push(c),
            }
        }
        for byte in chunk.invalid() {
            text.push_str(&format!("\\x{byte:02x}"));
        }
    }
    text
}

/// The beginning of a name, for a sentence about it. A wrong name may be as long as the file.
pub fn short(text: &str) -> String {
    match text.char_indices().nth(100) {
        Some((end, _)) => format!("{}…", text[..end].escape_debug()),
        None => text.escape_debug().to_string(),
    }
}
