//! What this project itself is worked on with: engines for tests, measurements, the demo.

pub mod bench;
pub mod demo;
pub mod testbed;
