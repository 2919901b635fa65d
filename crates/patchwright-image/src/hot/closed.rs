//! The closed set: functions that differ, with their cold parts and owners.

use std::collections::{BTreeMap, BTreeSet};

use super::build::Included;
use super::likeness::{Comparison, Likeness};
use super::program::{Func, Program};
use super::{Case, HotObjection};
use crate::starts::origin::is_runtime_name;

/// The function that a cold part belongs to, by name.
pub(super) fn owner_of(name: &str) -> Option<&str> {
    name.find(".cold").map(|at| &name[..at])
}

pub(super) type ClosedSet = (BTreeMap<usize, Included>, Vec<String>, Vec<(usize, String)>);

/// The functions that differ, their cold parts and owners; those that differ in line numbers alone; and old parts that
/// the new build does not have.
pub(super) fn closed_set(comparison: &Comparison<'_, '_>, objections: &mut Vec<HotObjection>) -> ClosedSet {
    let (old, new) = (&comparison.old.program, &comparison.new.program);
    let mut included: BTreeMap<usize, Included> = BTreeMap::new();
    let mut line_only = Vec::new();
    let mut by_old: BTreeMap<usize, Vec<(usize, bool)>> = BTreeMap::new();
    for (old_index, new_index) in same_names(comparison) {
        let name = || new.functions[new_index].names.first().cloned().unwrap_or_default();
        if new.functions[new_index].names.iter().any(|name| is_runtime_name(name)) {
            continue;
        }
        let changed = match comparison.functions(old_index, new_index) {
            Likeness::Same => false,
            Likeness::Lines => {
                line_only.push(name());
                false
            }
            Likeness::Different(why) => {
                let entry = included.entry(new_index).or_insert_with(|| Included { why, olds: Vec::new() });
                entry.olds.push(old_index);
                if new.functions[new_index].indirect || old.functions[old_index].indirect {
                    let reason = "it chooses a function when the program starts (IFUNC), and has chosen".to_owned();
                    objections.push(HotObjection { subject: name(), case: Case::Ifunc, reason });
                }
                true
            }
        };
        by_old.entry(old_index).or_default().push((new_index, changed));
    }
    for (old_index, news) in &by_old {
        if news.len() > 1 && news.iter().any(|(_, changed)| *changed) {
            let names = |index: &usize| new.functions[*index].names.join(", ");
            let list: Vec<String> = news.iter().map(|(index, _)| names(index)).collect();
            let reason = format!("{} share one code in the old build and no longer do", list.join(" and "));
            let subject = old.functions[*old_index].names.first().cloned().unwrap_or_default();
            objections.push(HotObjection { subject, case: Case::Folded, reason });
        }
    }
    let parts = unite_parts(comparison, &mut included);
    (included, line_only, parts)
}

/// Pairs of functions that share a name, twins among them.
fn same_names(comparison: &Comparison<'_, '_>) -> BTreeSet<(usize, usize)> {
    let (old, new) = (&comparison.old.program, &comparison.new.program);
    let mut pairs: BTreeSet<(usize, usize)> =
        comparison.functions.iter().enumerate().filter_map(|(new, old)| Some(((*old)?, new))).collect();
    // Other names of a function are other ways to reach it. Local names may be there many times.
    let mut by_name: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
    for (index, func) in old.functions.iter().enumerate() {
        func.names.iter().for_each(|name| by_name.entry(name).or_default().push(index));
    }
    for (index, func) in
        new.functions.iter().enumerate().filter(|(_, func)| func.names.len() > 1 || func.file.is_none())
    {
        for name in &func.names {
            if let Some([old_index]) = by_name.get(name.as_str()).map(Vec::as_slice) {
                pairs.insert((*old_index, index));
            }
        }
    }
    pairs
}

/// A function and its cold part are one: if one is in the set, so is the other.
fn unite_parts(comparison: &Comparison<'_, '_>, included: &mut BTreeMap<usize, Included>) -> Vec<(usize, String)> {
    fn parts(program: &Program<'_>) -> Vec<(usize, usize)> {
        let mut owners: BTreeMap<(&str, Option<&str>), usize> = BTreeMap::new();
        for (index, func) in program.functions.iter().enumerate() {
            func.names.iter().for_each(|name| {
                owners.insert((name, func.file.as_deref()), index);
                owners.entry((name, None)).or_insert(index);
            });
        }
        let owner = |func: &Func| {
            let name = func.names.iter().find_map(|name| owner_of(name))?;
            owners.get(&(name, func.file.as_deref())).or_else(|| owners.get(&(name, None))).copied()
        };
        program.functions.iter().enumerate().filter_map(|(index, func)| Some((index, owner(func)?))).collect()
    }
    let (old, new) = (&comparison.old.program, &comparison.new.program);
    let new_parts = parts(new);
    loop {
        let before = included.len();
        for (part, owner) in &new_parts {
            for (one, other) in [(part, owner), (owner, part)] {
                if included.contains_key(one) && !included.contains_key(other) {
                    let names = (&new.functions[*one].names, &new.functions[*other].names);
                    let name = names.0.first().cloned().unwrap_or_default();
                    let olds = comparison.functions[*other].into_iter().collect();
                    included.insert(*other, Included { why: format!("it is one with {name}, which changed"), olds });
                }
            }
        }
        if included.len() == before {
            break;
        }
    }
    let replaced: BTreeSet<usize> = included.values().flat_map(|included| included.olds.iter().copied()).collect();
    let mut gone = Vec::new();
    for (part, owner) in parts(old) {
        if replaced.contains(&owner) && !replaced.contains(&part) {
            let name = old.functions[owner].names.first().cloned().unwrap_or_default();
            gone.push((part, format!("it is a part of {name}, which changed")));
        }
    }
    gone
}
