//! A container of a stack.

/// A container of the stack. A service may have several.
#[derive(Debug, Clone)]
pub(super) struct Member {
    pub service: String,
    pub id: String,
}
