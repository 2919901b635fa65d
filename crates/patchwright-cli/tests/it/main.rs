//! Runs the real binary: flags, streams and exit codes as people and scripts see them.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod apply;
mod check;
mod contract;
mod diff;
mod guide;
mod harness;
mod inspect;
mod live;
mod pa19;
mod pcp;
mod revert;
mod status;
mod verify;
