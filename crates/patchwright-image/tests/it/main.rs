//! Images and objects made by hand or by a fuzzer's means: what compilers here cannot make, and what nobody should.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod hostile;
mod hot;
mod hot_objects;
mod pe;
mod prepare;
mod rules;
mod synthetic;
