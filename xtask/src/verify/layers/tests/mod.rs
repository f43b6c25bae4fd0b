mod gnu;
mod hostile;
mod reading;
mod sources;
mod speed;
pub mod support;
mod view;
