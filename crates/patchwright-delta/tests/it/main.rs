//! The engine as its callers see it: bytes in, bytes out.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
#![allow(clippy::cast_possible_truncation, reason = "the numbers are those of the test")]

mod garbage;
mod golden;
mod hostile;
mod images;
mod inputs;
mod native;
mod round_trip;
mod versions;
