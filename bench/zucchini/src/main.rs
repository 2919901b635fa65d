//! Zucchini as a process of its own: `bench-zucchini diff OLD NEW PATCH`, `bench-zucchini patch OLD PATCH OUT`.
//!
//! Its patches are not compressed: the benchmark gives them to `xz`, as Chromium does to an archiver.

use std::error::Error;
use std::fs;
use std::process::ExitCode;

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<(), Box<dyn Error>> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["diff", old, new, patch] => fs::write(patch, zucchini::generate(&fs::read(old)?, &fs::read(new)?)?)?,
        ["patch", old, patch, out] => fs::write(out, zucchini::apply(&fs::read(old)?, &fs::read(patch)?)?)?,
        _ => return Err("usage: bench-zucchini diff OLD NEW PATCH | patch OLD PATCH OUT".into()),
    }
    Ok(())
}
