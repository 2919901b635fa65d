//! One delta: made, and followed before it is shipped.

use patchwright_formats::pa19::{self, CreateOptions, IfNew, OldInput, Pa19Error, PatchCode, flags};

use super::plan::WhyWhole;
use super::settings::LargeWindow;

/// Old and new versions of a file that becomes a delta have at most so many bytes together: it is made in memory.
pub const MOST_BYTES: u64 = 1 << 31;
/// Beyond this, old and new file together need the large window.
const SMALL_WINDOW: usize = 8 << 20;
/// The large window.
const LARGE_WINDOW: usize = 32 << 20;

/// What came of a file that should become a delta.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Made {
    /// It did.
    Delta(Delta),
    /// It goes whole.
    Whole(WhyWhole),
}

/// A delta.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delta {
    /// All of it, for the cabinet.
    pub patch: Vec<u8>,
    /// Its header as a patch of its own, for the tables.
    pub header: Vec<u8>,
    /// What its author should know.
    pub warnings: Vec<String>,
}

/// The option bits for a file.
fn options(olds: &[OldInput<'_>], new: &[u8], window: LargeWindow) -> CreateOptions {
    // What is retained would be lost in a whole file, so the delta is made at any size.
    let retains = olds.iter().any(|old| !old.regions.retain.is_empty());
    let largest = olds.iter().map(|old| old.bytes.len()).max().unwrap_or(0).saturating_add(new.len());
    let large = match window {
        LargeWindow::Always => true,
        LargeWindow::WhereNeeded => largest > SMALL_WINDOW,
        LargeWindow::Never => false,
    };
    let bit = |wanted: bool, bit| if wanted { bit } else { 0 };
    CreateOptions {
        flags: bit(!retains, flags::FAIL_IF_BIGGER) | bit(large, flags::USE_LZX_LARGE),
        ..CreateOptions::default()
    }
}

/// Makes the delta from `olds` to `new`.
///
/// # Errors
/// Ranges that cannot be, with the code of the patch API. A delta that is not worth its while is no error.
pub fn make(olds: &[OldInput<'_>], new: &[u8], window: LargeWindow) -> Result<Made, Pa19Error> {
    let options = options(olds, new, window);
    let created = match pa19::create(olds, new, &options) {
        Ok(created) => created,
        Err(error) if error.code == PatchCode::BiggerThanCompressed => return Ok(Made::Whole(WhyWhole::DeltaBigger)),
        Err(error) => return Err(error),
    };
    let header = pa19::extract_header(&created.patch)?;
    let mut warnings: Vec<String> = created.warnings.iter().map(ToString::to_string).collect();
    let window = if options.flags & flags::USE_LZX_LARGE == 0 { SMALL_WINDOW } else { LARGE_WINDOW };
    if olds.iter().any(|old| old.bytes.len().saturating_add(new.len()) > window) {
        warnings.push(format!(
            "old and new file are more than {} MiB together: Windows applies the delta, Wine does not",
            window >> 20
        ));
    }
    Ok(Made::Delta(Delta { patch: created.patch, header, warnings }))
}

/// Whether a delta that was made before, and kept, is one from `olds` to `new`.
pub fn is_sound(delta: &[u8], olds: &[OldInput<'_>], new: &[u8]) -> bool {
    prove(delta, olds, new).is_ok()
}

/// Follows a delta from each old version as users have it: with other bytes in its ignored and retained ranges.
///
/// The result must be the new version, and have the user's bytes where they are retained.
///
/// # Errors
/// One sentence that says which old version fails, and how.
pub fn prove(delta: &[u8], olds: &[OldInput<'_>], new: &[u8]) -> Result<(), String> {
    for (number, old) in olds.iter().enumerate() {
        for user in [old.bytes.to_vec(), altered(old)] {
            let failed = |what: String| format!("old version {}: {what}", number + 1);
            let applied = pa19::apply(delta, &user, IfNew::Copy).map_err(|error| failed(error.to_string()))?;
            let expected = expected(&user, old, new).ok_or_else(|| failed("a range is outside".to_owned()))?;
            if applied.new != expected {
                return Err(failed("the delta makes something else of it than the new version".to_owned()));
            }
        }
    }
    Ok(())
}

/// The old version with all bits of its ignored and retained ranges turned round.
fn altered(old: &OldInput<'_>) -> Vec<u8> {
    let mut bytes = old.bytes.to_vec();
    for range in old.regions.old_blanks() {
        let from = usize::try_from(range.offset).unwrap_or(usize::MAX);
        let to = range.end().and_then(|end| usize::try_from(end).ok()).unwrap_or(usize::MAX);
        if let Some(range) = bytes.get_mut(from..to) {
            range.iter_mut().for_each(|byte| *byte = !*byte);
        }
    }
    bytes
}

/// The new version with the user's bytes where they are retained.
fn expected(user: &[u8], old: &OldInput<'_>, new: &[u8]) -> Option<Vec<u8>> {
    let mut expected = new.to_vec();
    for range in &old.regions.retain {
        let place = |offset: u64| {
            let from = usize::try_from(offset).ok()?;
            Some(from..from.checked_add(usize::try_from(range.len).ok()?)?)
        };
        expected.get_mut(place(range.new_offset)?)?.copy_from_slice(user.get(place(range.old_offset)?)?);
    }
    Some(expected)
}

#[cfg(test)]
mod tests {
    use patchwright_formats::{ByteRange, Regions, RetainRange};

    use super::*;

    fn noise(seed: u64, len: usize) -> Vec<u8> {
        let mut state = seed;
        let step = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            state.to_be_bytes()[0]
        };
        std::iter::repeat_with(step).take(len).collect()
    }

    #[test]
    fn a_delta_is_made_only_if_it_pays_or_must() {
        let (old, other) = (noise(1, 5000), noise(2, 5000));
        let mut new = old.clone();
        new[100..108].copy_from_slice(b"thefix!!");
        let none = Regions::default();
        let stamp = Regions { ignore: vec![], retain: vec![RetainRange { old_offset: 9, len: 4, new_offset: 12 }] };
        for (old, regions, delta) in [(&old, &none, true), (&other, &none, false), (&other, &stamp, true)] {
            let olds = [OldInput { bytes: old, regions }];
            let made = make(&olds, &new, LargeWindow::WhereNeeded).unwrap();
            match made {
                Made::Delta(made) => {
                    assert!(delta);
                    assert!(is_sound(&made.patch, &olds, &new));
                    assert!(made.header.len() < made.patch.len());
                }
                Made::Whole(why) => assert!(!delta && why == WhyWhole::DeltaBigger),
            }
        }
    }

    #[test]
    fn a_proof_finds_what_is_wrong() {
        let old = noise(1, 5000);
        let mut new = old.clone();
        new[3000..3004].copy_from_slice(b"done");
        let regions = Regions {
            ignore: vec![ByteRange::new(50, 8)],
            retain: vec![RetainRange { old_offset: 90, len: 16, new_offset: 200 }],
        };
        let olds = [OldInput { bytes: &old, regions: &regions }];
        let Made::Delta(made) = make(&olds, &new, LargeWindow::WhereNeeded).unwrap() else { panic!() };
        assert_eq!(prove(&made.patch, &olds, &new), Ok(()));
        // Another new version, other ranges, another old version, a damaged delta.
        let mut other = new.clone();
        other[4000] ^= 1;
        assert!(prove(&made.patch, &olds, &other).is_err());
        let wider = Regions { ignore: vec![ByteRange::new(50, 9)], ..regions.clone() };
        assert!(prove(&made.patch, &[OldInput { bytes: &old, regions: &wider }], &new).is_err());
        assert!(prove(&made.patch, &[OldInput { bytes: &other, regions: &regions }], &new).is_err());
        let mut damaged = made.patch.clone();
        damaged[60] ^= 0x10;
        assert!(!is_sound(&damaged, &olds, &new));
    }
}
