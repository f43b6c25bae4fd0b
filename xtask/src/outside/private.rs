//! Private references: the names by which this program keeps an image in an engine and proves that
//! it is there.

/// The host part of private references. BuildKit asks a context's registry before it takes the
/// engine's own image. This host refuses at once, without a name look-up, and no registry can
/// answer with another image.
pub const PREFIX: &str = "localhost:1/xtask/";

/// The prefix of all private references of one state, so that a name says whose it is. References
/// in older records have no state, and stay as they are.
pub fn of_state(state: &str) -> String {
    format!("{PREFIX}{state}/")
}

/// The private reference of a stage's image, from the state and the key (in hexadecimal digits). So
/// nothing but a build of this very key in this state ever moves it.
pub fn reference(state: &str, stage: &str, key: &str) -> String {
    let state = of_state(state);
    // A part of a stage has an `@` in its name, which no repository can have. No stage has a `/`.
    let stage = stage.replace('@', "/");
    format!("{state}{stage}:{}", &key[..32])
}

/// The prefix of the private references of external images, which all states share.
pub fn bases() -> String {
    format!("{PREFIX}base/")
}

/// The private reference of an external image that the engine holds: by its id.
pub fn base(image: &str) -> String {
    let id = image.rsplit(':').next().unwrap_or(image);
    format!("{}{}:held", bases(), &id[..id.len().min(32)])
}
