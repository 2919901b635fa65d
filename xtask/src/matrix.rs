//! `check` over all combinations of compilers and flags. The default test run builds two of each compiler only.

use crate::Result;
use crate::args::Args;
use crate::run::{cargo, show};
use crate::setup::{Group, ensure};

pub(crate) fn run(args: Args) -> Result {
    args.free(0)?;
    ensure(Group::Test)?;
    let test = ["test", "--locked", "--package", "patchwright", "--test", "it", "check_matrix"];
    show(cargo().args(test).env("PATCHWRIGHT_MATRIX", "full"))
}
