//! Private references: the names by which this program keeps an image in an engine, and by which it
//! proves that the image is there.

/// The host part of private references. BuildKit asks a context's registry before it takes the
/// engine's own image; on this one it is refused at once, without a name look-up, and no registry
/// can answer with another image.
pub const PREFIX: &str = "localhost:1/xtask/";

/// What the private references of one state begin with: whose they are is in their names. Those of
/// records from before this was so have no state in them, and stay what they are.
pub fn of_state(state: &str) -> String {
    format!("{PREFIX}{state}/")
}

/// The private reference of a stage's image: by state and key (in hexadecimal digits), so that nothing but a build of this
/// very key in this state ever moves it.
pub fn reference(state: &str, stage: &str, key: &str) -> String {
    let state = of_state(state);
    format!("{state}{stage}:{}", &key[..32])
}

/// The private reference of an external image that the engine holds: by its id.
pub fn base(image: &str) -> String {
    let id = image.rsplit(':').next().unwrap_or(image);
    format!("{PREFIX}base/{}:held", &id[..id.len().min(32)])
}
