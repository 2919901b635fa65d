//! Real processes, and a tool that is killed while it patches them.

mod killed;
mod program;
