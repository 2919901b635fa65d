//! Tests that cannot run on this machine say so where `xtask test` can see it.

use std::env;
use std::fs::OpenOptions;
use std::io::Write;

/// Says that a group of tests, or one of it, cannot run here.
pub(crate) fn skip(group: &str, reason: &str) {
    eprintln!("skipped: {group}: {reason}");
    if let Some(path) = env::var_os("PATCHWRIGHT_SKIPS") {
        let mut skips = OpenOptions::new().create(true).append(true).open(path).unwrap();
        writeln!(skips, "skipped: {group}: {reason}").unwrap();
    }
}
