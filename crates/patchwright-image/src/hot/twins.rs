//! Which function or datum of the old program is which of the new one.
//!
//! Names decide, from the most exact way to read them to the least; a pair is only made where each side has one
//! candidate. Numbers that compilers append to tell local names apart shift with every edit, so the last way but one
//! reads names without them, and local data that remain are told apart by who refers to them. What stays without a twin
//! is new, which is never wrong, only more.

use std::collections::{BTreeMap, BTreeSet};

/// What pairing knows of a function or datum.
pub(super) struct Item<'a> {
    pub(super) names: &'a [String],
    pub(super) file: Option<&'a str>,
}

/// For each new item its old twin.
pub(super) type Twins = Vec<Option<usize>>;

/// Of old and of new items, the names of the functions that refer to each.
pub(super) type Users<'a> = (&'a [BTreeSet<String>], &'a [BTreeSet<String>]);

/// Pairs items by their names. `users` tells names of functions that refer to an item, where that is known.
pub(super) fn pair(old: &[Item<'_>], new: &[Item<'_>], users: Option<Users<'_>>) -> Twins {
    let mut twins: Twins = vec![None; new.len()];
    let mut taken = vec![false; old.len()];
    type Key = fn(&str, Option<&str>) -> Option<String>;
    let ways: [Key; 5] = [
        |name, file| Some(format!("{}\0{name}", file.unwrap_or_default())),
        |name, _| Some(name.to_owned()),
        |name, file| Some(format!("{}\0{}", file.unwrap_or_default(), without_numbers(name)?)),
        |name, _| without_numbers(name),
        |name, _| without_hash(name),
    ];
    for way in ways {
        round(old, new, &mut twins, &mut taken, |_, item| {
            item.names.iter().filter_map(|name| way(name, item.file)).collect()
        });
    }
    if let Some((old_users, new_users)) = users {
        round(old, new, &mut twins, &mut taken, |(is_old, index), item| {
            let users = if is_old { old_users.get(index) } else { new_users.get(index) };
            let users: Vec<&str> = users.into_iter().flatten().map(String::as_str).collect();
            let names = item.names.iter().filter(|_| !users.is_empty()).filter_map(|name| without_numbers(name));
            names.map(|name| format!("{name}\0{}", users.join("\0"))).collect()
        });
    }
    twins
}

/// Pairs what shares a key that nothing else has, of what is left.
fn round(
    old: &[Item<'_>],
    new: &[Item<'_>],
    twins: &mut Twins,
    taken: &mut [bool],
    keys: impl Fn((bool, usize), &Item<'_>) -> Vec<String>,
) {
    let mut by_key: BTreeMap<String, (Vec<usize>, Vec<usize>)> = BTreeMap::new();
    for (index, item) in old.iter().enumerate().filter(|(index, _)| !taken[*index]) {
        for key in keys((true, index), item) {
            by_key.entry(key).or_default().0.push(index);
        }
    }
    for (index, item) in new.iter().enumerate().filter(|(index, _)| twins[*index].is_none()) {
        for key in keys((false, index), item) {
            by_key.entry(key).or_default().1.push(index);
        }
    }
    for (olds, news) in by_key.values() {
        if let (&[old], &[new]) = (olds.as_slice(), news.as_slice())
            && twins[new].is_none()
            && !taken[old]
        {
            twins[new] = Some(old);
            taken[old] = true;
        }
    }
}

/// A name without the numbers between dots and after `$` that tell local names apart, if it has any.
pub(super) fn without_numbers(name: &str) -> Option<String> {
    let is_number = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    let mut parts = name.split('.');
    let mut stripped = parts.next().unwrap_or_default().to_owned();
    let mut any = false;
    for part in parts {
        stripped.push('.');
        if is_number(part) {
            any = true;
        } else {
            stripped.push_str(part);
        }
    }
    any.then_some(stripped)
}

/// A mangled Rust name without the hash at its end, if it has one.
fn without_hash(name: &str) -> Option<String> {
    let at = name.rfind("17h")?;
    let hash = name.get(at + 3..at + 19)?;
    let rest = name.get(at + 19..)?;
    (hash.bytes().all(|byte| byte.is_ascii_hexdigit()) && rest.starts_with('E'))
        .then(|| format!("{}{rest}", &name[..at]))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Items written as `name` or `file:name`, several names with `=`.
    fn check(old: &str, new: &str, expect: &[Option<usize>]) {
        let parse = |text: &str| -> Vec<(Vec<String>, Option<String>)> {
            text.split_whitespace()
                .map(|item| {
                    let (file, names) = item.split_once(':').map_or((None, item), |(file, names)| (Some(file), names));
                    (names.split('=').map(str::to_owned).collect(), file.map(str::to_owned))
                })
                .collect()
        };
        let (old, new) = (parse(old), parse(new));
        fn items(list: &[(Vec<String>, Option<String>)]) -> Vec<Item<'_>> {
            list.iter().map(|(names, file)| Item { names, file: file.as_deref() }).collect()
        }
        assert_eq!(pair(&items(&old), &items(&new), None), expect);
    }

    #[test]
    fn names_pair_where_they_are_unique() {
        check("a b", "b a c", &[Some(1), Some(0), None]);
        check("x.c:f y.c:f", "y.c:f x.c:f", &[Some(1), Some(0)]);
        check("x.c:f y.c:f", "z.c:f", &[None]);
        check("x.c:f", "renamed.c:f", &[Some(0)]);
        check("a=b", "b", &[Some(0)]);
        check("m.c:calls.0 m.c:calls.1", "m.c:calls.0 m.c:calls.1", &[Some(0), Some(1)]);
        check("m.c:calls.3", "m.c:calls.5", &[Some(0)]);
        check("m.c:calls.3 m.c:calls.4", "m.c:calls.5 m.c:calls.6", &[None, None]);
        check("f.isra.0", "f.isra.1", &[Some(0)]);
        check("f.isra.0", "f.constprop.0", &[None]);
        check("_ZN1a1f17h0123456789abcdefE", "_ZN1a1f17hfedcba9876543210E", &[Some(0)]);
    }

    #[test]
    fn local_data_are_told_apart_by_their_users() {
        let names = [vec!["n.1".to_owned()], vec!["n.2".to_owned()]];
        let renamed = [vec!["n.3".to_owned()], vec!["n.4".to_owned()]];
        let item = |names| Item { names, file: Some("m.c") };
        let (f, g) = (BTreeSet::from(["f".to_owned()]), BTreeSet::from(["g".to_owned()]));
        let old = [item(names[0].as_slice()), item(names[1].as_slice())];
        let new = [item(renamed[0].as_slice()), item(renamed[1].as_slice())];
        let users = ([f.clone(), g.clone()], [g, f.clone()]);
        assert_eq!(pair(&old, &new, Some((&users.0, &users.1))), [Some(1), Some(0)]);
        let same = [f.clone(), f];
        assert_eq!(pair(&old, &new, Some((&same, &same))), [None, None]);
    }
}
