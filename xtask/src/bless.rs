//! Golden and generated files, rewritten from the code.
//!
//! A test that compares with a file in the repository writes that file instead when `PATCHWRIGHT_BLESS` is set. The diff is
//! what to review.

use std::process::Command;

use crate::Result;
use crate::args::Args;
use crate::run::{cargo, output, root, show};

pub(crate) fn run(args: Args) -> Result {
    args.free(0)?;
    let tests = ["test", "--workspace", "--locked", "--quiet", "--no-fail-fast"];
    show(cargo().args(tests).env("PATCHWRIGHT_BLESS", "1"))?;
    let changed = output(Command::new("git").args(["status", "--short"]).current_dir(root()))?;
    match changed.trim_end() {
        "" => println!("nothing changed"),
        changed => println!("changed, to be read with git diff:\n{changed}"),
    }
    Ok(())
}
