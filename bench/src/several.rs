//! Three old versions and one new one: three patches of each tool, and one patch of ours.

use std::fs;
use std::path::Path;

use crate::measure::{Job, measure};
use crate::report::{Case, Trial};
use crate::tools::{Files, Tool};
use crate::{Options, Result, run_fresh, same, trials};

/// Pairs with the same new file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Family {
    pub(crate) name: &'static str,
    /// The oldest old version first.
    pub(crate) pairs: [&'static str; 3],
}

const FAMILIES: [Family; 2] = [
    Family { name: "ruff, ELF x86-64", pairs: ["m02", "m01", "d03"] },
    Family { name: "Qt6Core.dll, PE x64", pairs: ["m04", "m03", "d10"] },
];

/// Who makes three patches.
const TOOLS: [&str; 3] = ["small", "zucchini+xz", "hdiffz"];

/// What became of a family.
pub(crate) struct Measured {
    pub(crate) family: Family,
    /// By tool, the lengths of its three patches.
    pub(crate) apart: Vec<(&'static str, Result<[u64; 3]>)>,
    /// The length of one patch for all three.
    pub(crate) together: Result<u64>,
}

/// The pairs that have rows in the tables, and the families that all pairs of are there. A pair `m..` is there for its
/// family alone, if that is whole.
pub(crate) fn plan(pairs: &[String]) -> (Vec<String>, Vec<Family>) {
    let has = |pair: &&str| pairs.iter().any(|there| there == pair);
    let families: Vec<Family> = FAMILIES.into_iter().filter(|family| family.pairs.iter().all(&has)).collect();
    let counted = |pair: &str| pair.starts_with('m') && families.iter().any(|family| family.pairs.contains(&pair));
    (pairs.iter().filter(|pair| !counted(pair)).cloned().collect(), families)
}

/// Measures a family; pairs in the tables are not measured twice.
pub(crate) fn measured(family: Family, options: &Options, cases: &[Case]) -> Measured {
    let tools: Vec<Tool> = options.tools.iter().filter(|tool| TOOLS.contains(&tool.name)).cloned().collect();
    let mut by_pair: Vec<Vec<Result<u64>>> = Vec::new();
    for pair in family.pairs {
        by_pair.push(match cases.iter().find(|case| case.pair == pair) {
            Some(case) => {
                let of = |tool: &Tool| options.tools.iter().position(|other| other.name == tool.name);
                let trial = |tool| of(tool).and_then(|number| case.trials.get(number));
                tools.iter().map(|tool| trial(tool).map_or(Err("not measured".into()), patch_len)).collect()
            }
            None => trials(&tools, &|tool| options.files(pair, tool)).iter().map(patch_len).collect(),
        });
    }
    let column = |number: usize| -> Result<[u64; 3]> {
        let lens: Result<Vec<u64>> = by_pair.iter().map(|row| row[number].clone()).collect();
        lens?.try_into().map_err(|_| "a pair is missing".into())
    };
    let apart = tools.iter().enumerate().map(|(number, tool)| (tool.name, column(number))).collect();
    Measured { family, apart, together: together(family, options) }
}

fn patch_len(trial: &Trial) -> Result<u64> {
    match trial {
        Trial::Done { patch_len, .. } => Ok(*patch_len),
        Trial::Failed(reason) => Err(reason.clone()),
    }
}

/// Makes one patch from all old versions and applies it to each.
fn together(family: Family, options: &Options) -> Result<u64> {
    let small = options.tools.iter().find(|tool| tool.name == "small").ok_or("not measured")?;
    let all = family.pairs.map(|pair| options.files(pair, "several"));
    let first = &all[0];
    let [create] = small.create(first)?.try_into().map_err(|_| "one step makes a patch")?;
    let create = with_olds(create, &all)?;
    run_fresh(&first.patch, || measure(&create))?;
    let patch_len = fs::metadata(&first.patch).map_err(|error| error.to_string())?.len();
    for files in &all {
        run_fresh(&files.out, || small.apply(files)?.iter().try_fold(Default::default(), |_, job| measure(job)))?;
        if !same(&files.new, &files.out)? {
            return Err("the result is not the new file".into());
        }
    }
    eprintln!("{}: {patch_len} bytes in one patch", family.name);
    Ok(patch_len)
}

/// The job, with all old files in the place of the first one's.
fn with_olds(mut job: Job, all: &[Files; 3]) -> Result<Job> {
    let is_old = |word: &std::ffi::OsString| Path::new(word) == all[0].old;
    let place = job.words.iter().position(is_old).ok_or("a command line without an old file")?;
    job.words.splice(place..=place, all.iter().map(|files| files.old.clone().into()));
    Ok(job)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_family_is_measured_when_all_of_it_is_there() {
        let check = |pairs: &[&str], rows: &[&str], families: &[&str]| {
            let pairs: Vec<String> = pairs.iter().map(ToString::to_string).collect();
            let (found, planned) = plan(&pairs);
            assert_eq!(found, rows, "{pairs:?}");
            let names: Vec<&str> = planned.iter().map(|family| family.pairs[0]).collect();
            assert_eq!(names, families, "{pairs:?}");
        };
        check(&["d01", "d10", "m03", "m04"], &["d01", "d10"], &["m04"]);
        check(&["d01", "d10", "m03"], &["d01", "d10", "m03"], &[]);
        check(&["d03", "d10", "m01", "m02", "m03", "m04"], &["d03", "d10"], &["m02", "m04"]);
    }
}
