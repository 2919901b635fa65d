//! Which ranges belong to which file of which old tree, and whether they can be used.

use std::collections::{BTreeMap, HashSet};
use std::fmt::Display;

use patchwright_formats::region::{self, RegionObjection, drop_empty};
use patchwright_formats::{ByteRange, Regions, TreePath};

use crate::range_list::RangeArg;
use crate::regions_file::{Placed, RegionsFile};

use super::super::file::wrong_old_numbers;
use super::walk::{Exclusions, Tree};
use super::{New, Version, find};

/// The ranges of the files of one old tree, by index of the entry.
pub(super) type Placement = BTreeMap<usize, Regions>;

/// Sorts the ranges of a regions file to the old files that they belong to.
pub(super) fn place(
    file: &RegionsFile,
    exclusions: &Exclusions,
    olds: &[Tree],
    warnings: &mut Vec<String>,
    objections: &mut Vec<String>,
) -> Vec<Placement> {
    let numbers = file.ignore.iter().map(|placed| placed.ranges.old);
    objections.extend(wrong_old_numbers(numbers.chain(file.retain.iter().map(|placed| placed.ranges.old)), olds.len()));
    let mut placements = vec![Placement::new(); olds.len()];
    for placed in &file.ignore {
        let added = add("ignore", placed, exclusions, olds, &mut placements, |regions| &mut regions.ignore);
        objections.extend(added.err());
    }
    for placed in &file.retain {
        let added = add("retain", placed, exclusions, olds, &mut placements, |regions| &mut regions.retain);
        objections.extend(added.err());
    }
    for (index, (tree, placement)) in olds.iter().zip(&mut placements).enumerate() {
        for (entry, regions) in placement.iter_mut() {
            let path = &tree.entries[*entry].0;
            let dropped = drop_empty(regions);
            warnings.extend(
                dropped.iter().map(|range| format!("old tree {}: {path}: {range} is empty and left out", index + 1)),
            );
            regions.sort();
        }
        placement.retain(|_, regions| *regions != Regions::default());
    }
    placements
}

fn add<R: Copy + Display>(
    table: &str,
    placed: &Placed<R>,
    exclusions: &Exclusions,
    olds: &[Tree],
    placements: &mut [Placement],
    list: impl Fn(&mut Regions) -> &mut Vec<R>,
) -> Result<(), String> {
    let RangeArg { old, ranges } = &placed.ranges;
    let Some(path) = &placed.path else {
        let ranges: Vec<String> = ranges.iter().map(ToString::to_string).collect();
        return Err(format!("[[{table}]] {}: names no path, and folders are compared", ranges.join(",")));
    };
    let mut found = false;
    let mine = olds.iter().zip(placements).enumerate().filter(|(index, _)| old.is_none_or(|old| old == index + 1));
    for (_, (tree, placement)) in mine {
        if let Some(entry) = find(&tree.entries, |(path, _)| path, path)
            && tree.entries[entry].1.file().is_some()
        {
            found = true;
            list(placement.entry(entry).or_default()).extend(ranges);
        }
    }
    match old {
        _ if found => Ok(()),
        // Said once already, of all entries that name this number.
        Some(old) if *old > olds.len() => Ok(()),
        _ if exclusions.contain(path) => Err(format!("[[{table}]] '{path}': the path is excluded")),
        Some(old) => Err(format!("[[{table}]] '{path}': old tree {old} has no such file")),
        None => Err(format!("[[{table}]] '{path}': no old tree has such a file")),
    }
}

/// Lists everything that is wrong with the ranges, now that it is known which new file each old file leads to.
pub(super) fn check(versions: &[Version], new: &New) -> Vec<String> {
    let mut objections = Vec::new();
    for version in versions {
        objections.extend(check_without_new_file(version));
    }
    for (number, (path, file)) in new.files().enumerate() {
        let sources: Vec<(u64, &Regions)> = versions.iter().map(|version| retained_of(version, number)).collect();
        if sources.iter().any(|(_, regions)| !regions.retain.is_empty()) {
            objections.extend(region::check(&sources, file.size).iter().map(|found| format!("{path}: {found}")));
        }
    }
    objections
}

static NO_REGIONS: Regions = Regions { ignore: Vec::new(), retain: Vec::new() };

/// Length and ranges of the old file that a new file is made from, if it has bytes to retain.
fn retained_of(version: &Version, number: usize) -> (u64, &Regions) {
    match version.partner(number) {
        Some((_, file)) if !file.regions.retain.is_empty() => (file.size, &file.regions),
        _ => (0, &NO_REGIONS),
    }
}

/// Checks the files that retain nothing, and those whose retained bytes have no place to go.
fn check_without_new_file(version: &Version) -> Vec<String> {
    let owned: HashSet<usize> = version.partners.iter().flatten().copied().collect();
    let number = version.old.number;
    let mut objections = Vec::new();
    for (entry, path, file) in version.old.files() {
        let retains = !file.regions.retain.is_empty();
        if retains && owned.contains(&entry) {
            continue;
        }
        objections.extend(check_alone(number, file.size, &file.regions, path));
        if retains {
            objections.push(format!(
                "{path}: old file {number}: the retained bytes would be lost: the new version has no file at this path, and none that is recognised as this one renamed"
            ));
        }
    }
    objections
}

/// The rules that one old file must keep whatever the others do.
fn check_alone(number: usize, size: u64, regions: &Regions, path: &TreePath) -> Vec<String> {
    if *regions == NO_REGIONS {
        return Vec::new();
    }
    // An objection says which old file it is about by its place in the list.
    let mut olds = vec![(0, &NO_REGIONS); number - 1];
    olds.push((size, regions));
    let found = region::check(&olds, u64::MAX);
    let mine = found.iter().filter(|objection| !matches!(objection, RegionObjection::RetainMissing { .. }));
    mine.map(|objection| format!("{path}: {objection}")).collect()
}

/// Where a new file takes bytes from the user's old file.
pub(super) fn retained(number: usize, versions: &[Version]) -> Vec<ByteRange> {
    let regions = versions.iter().map(|version| retained_of(version, number).1);
    let first = regions.into_iter().find(|regions| !regions.retain.is_empty());
    first.map_or_else(Vec::new, |regions| regions.retain.iter().map(|range| range.new_side()).collect())
}
