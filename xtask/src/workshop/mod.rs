//! Tools for work on this project itself: engines for tests, measurements, the demo.

pub mod bench;
pub mod demo;
pub mod testbed;
