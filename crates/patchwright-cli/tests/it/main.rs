//! Runs the real binary: flags, streams and exit codes as people and scripts see them.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod apply;
mod build_systems;
mod cc;
mod cc_rust;
mod check;
mod cl;
mod contract;
mod diff;
mod guide;
mod harness;
mod inspect;
mod live;
mod msp_build;
mod msp_inspect;
mod pa19;
mod pcp;
mod prepare;
mod revert;
mod sarif;
#[path = "../../../patchwright/tests/it/skips.rs"]
mod skips;
mod status;
mod verify;
