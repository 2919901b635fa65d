//! Real processes, and a tool that is killed while it patches them.

#![allow(missing_docs, clippy::unwrap_used)]

mod killed;
mod program;
