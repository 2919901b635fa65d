//! The search for covers: which stretches of the new file come from where in the old one.
//!
//! Matching goes in rounds. In the first one all references look alike; in the second those look alike whose targets
//! are the same by the covers of the first, so that the right one of several similar stretches is found. Both are
//! lengths and labels only: a body does not depend on how its covers were found.
//!
//! Memory is that of both files, both views and the index of one (five bytes for each of the old file): what a round does
//! not need is gone before its index is made.

use crate::cover::Cover;
use crate::create::CreateError;
use crate::create::matching;

use super::code::relocated;
use super::image::Layout;
use super::map::AddressMap;
use super::mix::scatter;
use super::options::Profile;
use super::view::{self, Found};

/// A file and what is known of it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Side<'a> {
    pub(super) bytes: &'a [u8],
    pub(super) layout: &'a Layout,
}

/// Finds the covers of the new file, in order and apart from each other.
///
/// `pairs` holds, for each section of the new image, the number of the old one that became it.
pub(super) fn covers(
    (old, new): (Side<'_>, Side<'_>),
    pairs: &[Option<usize>],
    profile: Profile,
) -> Result<Vec<Cover>, CreateError> {
    if profile == Profile::Quick {
        return matching::quick_covers(old.bytes, new.bytes);
    }
    let (mut old_found, mut new_found) = (references(old), references(new));
    let views = rayon::join(|| first_view(old, &old_found), || first_view(new, &new_found));
    let mut covers = matching::covers(&views.0, &views.1)?;
    if profile == Profile::Small && !old_found.references.is_empty() {
        let there = AddressMap::new(old.layout, new.layout, pairs, &covers);
        let views = {
            let holds = view::holds((old.bytes, old.layout), (new.bytes, new.layout), &there, &covers);
            let new_holds: Vec<_> = pairs.iter().map(|pair| pair.and_then(|pair| holds[pair])).collect();
            view::add_words(old.bytes, old.layout, &holds, &mut old_found);
            view::add_words(new.bytes, new.layout, &new_holds, &mut new_found);
            second_views((old, &old_found), (new, &new_found), pairs, &there, &covers, views)
        };
        drop((old_found, new_found, there));
        let found = matching::covers(&views.0, &views.1)?;
        covers = matching::fill_gaps(&views.0, &views.1, found, &covers)?;
    }
    Ok(covers)
}

/// No more than `limit` covers: those of more than a length, and of that length the first.
///
/// A cover costs about the same whatever its length and saves what is as long as it: the longest are the best.
pub(super) fn at_most(limit: usize, mut covers: Vec<Cover>) -> Vec<Cover> {
    if covers.len() <= limit {
        return covers;
    }
    let mut lens: Vec<u64> = covers.iter().map(|cover| cover.len).collect();
    let (_, least, _) = lens.select_nth_unstable_by(limit.saturating_sub(1), |a, b| b.cmp(a));
    let least = *least;
    let mut room = limit - covers.iter().filter(|cover| cover.len > least).count();
    covers.retain(|cover| {
        let fits = cover.len == least && room > 0;
        room -= usize::from(fits);
        cover.len > least || fits
    });
    covers
}

fn references(side: Side<'_>) -> Found {
    view::references(side.bytes, side.layout, &relocated(side.bytes, side.layout))
}

/// A file with all its references alike.
fn first_view(side: Side<'_>, found: &Found) -> Vec<u8> {
    let mut view = side.bytes.to_vec();
    view::label(&mut view, found, &|_| 0);
    view::as_differences(side.bytes, side.layout, found, &mut view);
    view
}

/// Both files with each reference named by where its target is in the new image, if covers say so. In the room of the
/// views of the first round.
fn second_views(
    (old, old_found): (Side<'_>, &Found),
    (new, new_found): (Side<'_>, &Found),
    pairs: &[Option<usize>],
    there: &AddressMap,
    covers: &[Cover],
    mut views: (Vec<u8>, Vec<u8>),
) -> (Vec<u8>, Vec<u8>) {
    let swapped: Vec<Cover> = covers.iter().map(|cover| cover.swapped()).collect();
    let back = AddressMap::new(new.layout, old.layout, &turn(pairs, old.layout.sections.len()), &swapped);
    let name = |address: u32, covered: bool| if covered { scatter(address, 5) | 1 } else { 0 };
    let old_label = |target: u32| {
        let (found, covered) = there.find(target);
        name(found, covered)
    };
    let new_label = |target: u32| name(target, back.find(target).1);
    let name_all = |view: &mut [u8], bytes: &[u8], found: &Found, label: &dyn Fn(u32) -> u32| {
        view.copy_from_slice(bytes);
        view::label(view, found, label);
    };
    rayon::join(
        || name_all(&mut views.0, old.bytes, old_found, &old_label),
        || name_all(&mut views.1, new.bytes, new_found, &new_label),
    );
    views
}

/// For each old section the new one that it became.
fn turn(pairs: &[Option<usize>], old_count: usize) -> Vec<Option<usize>> {
    let mut turned = vec![None; old_count];
    for (new, old) in pairs.iter().enumerate() {
        if let Some(slot) = old.and_then(|old| turned.get_mut(old)) {
            *slot = Some(new);
        }
    }
    turned
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_too_many_covers_the_longest_are_kept() {
        let check = |limit: usize, lens: &[u64], expected: &[u64]| {
            let cover = |(number, len): (u64, &u64)| Cover { old_offset: 0, new_offset: number * 100, len: *len };
            let kept = at_most(limit, (0..).zip(lens).map(cover).collect());
            assert_eq!(kept.iter().map(|cover| cover.len).collect::<Vec<_>>(), expected, "{limit} of {lens:?}");
        };
        check(4, &[3, 1, 2], &[3, 1, 2]);
        check(2, &[3, 1, 2], &[3, 2]);
        check(3, &[5, 5, 7, 5, 9], &[5, 7, 9]);
        check(1, &[5, 5], &[5]);
        check(0, &[5, 5], &[]);
    }
}
