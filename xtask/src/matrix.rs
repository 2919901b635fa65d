//! `check`, `prepare`, and the drivers `cc` and `cl`, over all combinations of compilers and flags. The default test run builds a
//! representative part only. The same for kills of the tool while it patches a process.

use crate::Result;
use crate::args::Args;
use crate::run::{cargo, show};
use crate::setup::{Group, ensure};

pub(crate) fn run(args: Args) -> Result {
    args.free(0)?;
    ensure(Group::Test)?;
    let test = ["test", "--locked", "--package", "patchwright", "--test", "it", "check_matrix"];
    show(cargo().args(test).env("PATCHWRIGHT_MATRIX", "full"))?;
    let prepare = ["test", "--locked", "--package", "patchwright", "--test", "it", "prepare::"];
    show(cargo().args(prepare).env("PATCHWRIGHT_MATRIX", "full"))?;
    let drivers = [
        "test",
        "--locked",
        "--package",
        "patchwright-cli",
        "--test",
        "it",
        "--",
        "every_compiler",
        "on_every_machine",
    ];
    show(cargo().args(drivers).env("PATCHWRIGHT_MATRIX", "full"))
}

/// Kills the tool that patches a process, at every step and at any time. The default test run does it at some.
pub(crate) fn killed(args: Args) -> Result {
    args.free(0)?;
    ensure(Group::Test)?;
    let test = ["test", "--locked", "--package", "patchwright-live", "--test", "it", "killed::"];
    show(cargo().args(test).env("PATCHWRIGHT_KILLS", "full"))
}
