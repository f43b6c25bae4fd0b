//! Shapes that belong to no single issuer.

use super::{jwt, url};
use crate::verify::secrets::shape::{Find, Proof, Shape};

/// The shapes of this group.
pub static SHAPES: &[Shape] = &[
    Shape {
        id: "jwt",
        what: "a long-lived token (JWT)",
        why: "acts as its subject until it expires, if ever",
        source: "RFC 7519: three parts, a signature as long as the algorithm says, and claims of a \
                 credential: a Kubernetes service account, the role service_role, or 90 days and more \
                 between iat and exp",
        repair: "delete the service account's secret, or change the key that signed it",
        proof: Proof::Likeness,
        find: Find::Code {
            anchors: &["eyJhbGciOi", "eyJ0eXAiOi", "eyJraWQiOi"],
            at: jwt::long_lived,
        },
    },
    Shape {
        id: "url-password",
        what: "a password in a URL",
        why: "logs in to that database, broker, proxy or registry",
        source: "RFC 3986, section 3.2.1: user:password@host. The password must look random and the \
                 host must be no example",
        repair: "change the password; give it as a build secret or in the environment at run time",
        proof: Proof::Likeness,
        find: Find::Code {
            anchors: &["://"],
            at: url::with_password,
        },
    },
];
