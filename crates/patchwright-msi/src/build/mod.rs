//! Patch creation properties and images to a patch: what goes into it, and each of its parts.
//!
//! In order: [`settings`] reads what the author asks, [`plan`](mod@plan) decides which files go whole or as deltas and under which
//! numbers, with the [`ranges`] of every old version; [`delta`] makes and proves one delta, [`cabinet`] packs a family.
//!
//! Files are read by the caller, who knows paths and threads.

pub mod cabinet;
pub mod delta;
pub mod pair;
pub mod plan;
mod planner;
pub mod ranges;
pub mod refresh;
pub mod root;
pub mod settings;
