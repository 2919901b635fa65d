//! `rustc` behind `cc`: nightly has a flag, stable has none and gets its objects prepared at the link.

use std::ffi::OsString;

use super::build::{Build, MapFlag};
use super::options::DriverOptions;
use super::plan::Plan;
use crate::Result;

/// Plans a command of `rustc`, whose arguments begin at `at`.
pub(crate) fn rustc(words: &[OsString], at: usize, options: DriverOptions) -> Result<Build> {
    Ok(Build {
        driver: "cc",
        compiler: None,
        command: words.to_vec(),
        added_at: at,
        chatty: false,
        map_flag: MapFlag::None,
        plan: Plan::default(),
        linked: None,
        hide: &[],
        set: Vec::new(),
        options,
        scratch: None,
    })
}
