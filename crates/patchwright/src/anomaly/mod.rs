//! Tests that try to break the promise that a target is the old version or the new one, whatever dies on the way.
//!
//! | module | what |
//! |---|---|
//! | [`fault`] | a disk that fails or dies at the n-th call |
//! | [`memory`] | a disk in memory that loses power: what was not synced may be gone |
//! | [`file`] | both, on single files |
//! | [`tree`] | both, on folders |

mod fault;
mod file;
mod memory;
mod tree;
