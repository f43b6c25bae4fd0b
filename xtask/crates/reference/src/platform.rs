//! Platforms in containerd's normal form, and the build arguments that a platform gives: TARGETARCH
//! and the like.
//!
//! ```
//! use reference::platform::{normal, serves};
//! assert_eq!(normal("linux/aarch64/v8").as_deref(), Some("linux/arm64"));
//! assert!(serves("linux/arm/v6", "linux/arm/v7"));
//! ```

/// `os`, `arch` and `variant` in containerd's normal form.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Platform {
    os: String,
    arch: String,
    variant: String,
}

impl Platform {
    /// Reads `linux/arm64/v8` or `arm64`. `None` if the text has another form.
    pub fn read(text: &str) -> Option<Self> {
        let text = text.to_lowercase();
        let text = match text.as_str() {
            arch if ARCHITECTURES.contains(&arch) => format!("linux/{arch}"),
            _ => text,
        };
        let mut parts = text.split('/');
        let (os, arch) = (parts.next()?, parts.next()?);
        let variant = parts.next().unwrap_or_default();
        let clean = |part: &str| {
            part.bytes()
                .all(|b| b.is_ascii_alphanumeric() || b"_-".contains(&b))
        };
        if parts.next().is_some()
            || os.is_empty()
            || arch.is_empty()
            || ![os, arch, variant].into_iter().all(clean)
        {
            return None;
        }
        let os = if os == "macos" { "darwin" } else { os };
        let (arch, variant) = normal_parts(arch, variant);
        Some(Self {
            os: os.to_owned(),
            arch: arch.to_owned(),
            variant: variant.to_owned(),
        })
    }

    /// The platform as text: `linux/arm64`, `linux/arm/v7`.
    pub fn spelled(&self) -> String {
        let Self { os, arch, variant } = self;
        match variant.as_str() {
            "" => format!("{os}/{arch}"),
            _ => format!("{os}/{arch}/{variant}"),
        }
    }

    /// Whether containers of this platform run Windows.
    pub fn is_windows(&self) -> bool {
        self.os == "windows"
    }

    /// The arguments with this prefix (`TARGET` or `BUILD`) and their values.
    pub fn arguments(&self, prefix: &str) -> [(String, String); 4] {
        let Self { os, arch, variant } = self;
        [
            (format!("{prefix}PLATFORM"), self.spelled()),
            (format!("{prefix}OS"), os.clone()),
            (format!("{prefix}ARCH"), arch.clone()),
            (format!("{prefix}VARIANT"), variant.clone()),
        ]
    }
}

/// A platform in containerd's normal form: `linux/arm64` for `linux/aarch64/v8`.
pub fn normal(text: &str) -> Option<String> {
    Platform::read(text).map(|platform| platform.spelled())
}

/// Whether BuildKit takes an image of the platform `have` when it looks for one of `wanted`. A
/// processor also runs images for its predecessors (containerd's `platforms.Only`).
pub fn serves(have: &str, wanted: &str) -> bool {
    match (Platform::read(have), Platform::read(wanted)) {
        (Some(have), Some(wanted)) => wanted.takes(&have),
        _ => have == wanted,
    }
}

impl Platform {
    fn takes(&self, have: &Self) -> bool {
        let is_older = || have.level().is_some_and(|have| Some(have) <= self.level());
        have.os == self.os
            && match (have.arch.as_str(), self.arch.as_str()) {
                (have_arch, arch) if have_arch == arch => {
                    have.variant == self.variant || is_older()
                }
                ("386", "amd64") => true,
                ("arm", "arm64") => is_older(),
                _ => false,
            }
    }

    /// The variant as a number. Predecessors have a lower one.
    fn level(&self) -> Option<u8> {
        match (self.arch.as_str(), self.variant.as_str()) {
            ("amd64", "") => Some(1),
            ("arm64", "") => Some(8),
            (_, variant) => variant.strip_prefix('v')?.parse().ok(),
        }
    }
}

fn normal_parts<'a>(arch: &'a str, variant: &'a str) -> (&'a str, &'a str) {
    match (arch, variant) {
        ("i386", _) => ("386", ""),
        ("x86_64" | "x86-64" | "amd64", "v1") => ("amd64", ""),
        ("x86_64" | "x86-64", variant) => ("amd64", variant),
        ("aarch64" | "arm64", "8" | "v8") => ("arm64", ""),
        ("aarch64", variant) => ("arm64", variant),
        ("armhf", _) | ("arm", "" | "7") => ("arm", "v7"),
        ("armel", _) | ("arm", "6") => ("arm", "v6"),
        ("arm", "5") => ("arm", "v5"),
        ("arm", "8") => ("arm", "v8"),
        other => other,
    }
}

/// The architectures that name a whole platform, for a builder that runs Linux.
const ARCHITECTURES: [&str; 16] = [
    "386", "aarch64", "amd64", "arm", "arm64", "armel", "armhf", "i386", "loong64", "mips64",
    "mips64le", "ppc64le", "riscv64", "s390x", "x86-64", "x86_64",
];

/// The build arguments that hold a platform, its parts, or the target's name.
pub const NAMES: [&str; 11] = [
    "TARGETPLATFORM",
    "TARGETOS",
    "TARGETOSVERSION",
    "TARGETARCH",
    "TARGETVARIANT",
    "TARGETSTAGE",
    "BUILDPLATFORM",
    "BUILDOS",
    "BUILDOSVERSION",
    "BUILDARCH",
    "BUILDVARIANT",
];

#[cfg(test)]
mod tests {
    use super::serves;

    #[test]
    fn a_processor_takes_what_was_made_for_its_forerunners() {
        for (have, wanted) in [
            ("linux/amd64", "linux/amd64"),
            ("linux/x86_64", "linux/amd64"),
            ("linux/amd64", "linux/amd64/v3"),
            ("linux/386", "linux/amd64"),
            ("linux/arm64/v8", "linux/arm64"),
            ("linux/arm/v6", "linux/arm/v7"),
            ("linux/arm", "linux/arm64"),
        ] {
            assert!(serves(have, wanted), "{have} for {wanted}");
        }
        for (have, wanted) in [
            ("linux/amd64", "linux/arm64"),
            ("linux/amd64/v3", "linux/amd64"),
            ("linux/amd64", "linux/386"),
            ("linux/arm/v7", "linux/arm/v6"),
            ("linux/arm64", "linux/arm/v7"),
            ("windows/amd64", "linux/amd64"),
            ("linux/s390x", "linux/ppc64le"),
        ] {
            assert!(!serves(have, wanted), "{have} for {wanted}");
        }
    }
}
