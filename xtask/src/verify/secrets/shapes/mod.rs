//! The shapes, by their issuers.
//!
//! Every entry says why the secret matters, where its shape is described, and how to repair a leak.
//! The lengths were compared with the rules of gitleaks and trufflehog, which are tried on real
//! leaks. If an issuer documents the shape, the issuer's word counts.

mod clouds;
mod files;
mod forges;
mod general;
mod jwt;
mod keys;
mod models;
mod pairs;
mod pem;
mod services;
mod url;

use super::shape::Shape;

pub use url::password;

/// All shapes.
pub fn all() -> impl Iterator<Item = &'static Shape> {
    keys::SHAPES
        .iter()
        .chain(forges::SHAPES)
        .chain(clouds::SHAPES)
        .chain(models::SHAPES)
        .chain(services::SHAPES)
        .chain(general::SHAPES)
        .chain(files::SHAPES)
}

/// The shape with this name.
pub fn shape(id: &str) -> Option<&'static Shape> {
    all().find(|shape| shape.id == id)
}
