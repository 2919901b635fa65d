//! The verbs on real files, through the public interface alone.

#![allow(missing_docs, clippy::cast_possible_truncation, clippy::unwrap_used)]

mod attributes;
mod chains;
mod check;
mod check_matrix;
mod diff_tree;
mod file;
mod folder;
mod golden;
mod hostile;
mod live;
mod memory;
mod msp;
mod prepare;
mod skips;
mod tree;
mod wine;
