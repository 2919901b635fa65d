//! Where the bytes of deltas went: counted while they are made, since nothing can tell it from them afterwards.

use std::io;

use patchwright_delta::native::Spending;
use patchwright_formats::account::{self, BodyAccount, MAX_NAME_LEN, SectionAccount};
use patchwright_formats::{Kind, ReadAt};
use patchwright_image::{SectionPlace, section_places};

use crate::error::{Error, Result};

use super::{PatchWriter, Path};

/// Deltas up to this length have no account: nobody asks why they are large, and it would make them larger.
const WORTH_TELLING: u64 = 16 << 10;

/// A section that takes a smaller part of the delta than this is not told apart.
const LEAST_SHARE: u64 = 64;

/// What the bytes of a delta to `new` went to, if that is known and worth telling. Its blob is not known yet.
pub(super) fn of(spending: &Spending, new: &dyn ReadAt) -> io::Result<Option<BodyAccount>> {
    if spending.total() < WORTH_TELLING || spending.sections.is_empty() {
        return Ok(None);
    }
    let mut bytes = vec![0; usize::try_from(new.len_bytes()).map_err(io::Error::other)?];
    new.read_exact_at(&mut bytes, 0)?;
    Ok(Some(told_apart(spending, &section_places(&bytes))))
}

fn told_apart(spending: &Spending, places: &[SectionPlace]) -> BodyAccount {
    let least = spending.total() / LEAST_SHARE;
    let mut rest = SectionAccount::default();
    let mut sections = Vec::new();
    for section in &spending.sections {
        let spent = section.bytes.iter().sum::<u64>();
        if section.len == 0 || spent < least {
            rest.bytes.iter_mut().zip(section.bytes).for_each(|(sum, bytes)| *sum += bytes);
        } else {
            let name = name(places, section.offset);
            sections.push(SectionAccount { name, offset: section.offset, len: section.len, bytes: section.bytes });
        }
    }
    if rest.bytes.iter().any(|bytes| *bytes > 0) {
        sections.push(rest);
    }
    BodyAccount { body: 0, head_bytes: spending.head_bytes, other_bytes: spending.other_bytes, sections }
}

/// The name of the section at `offset`; none if it is longer than anybody reads.
fn name(places: &[SectionPlace], offset: u64) -> String {
    let found = places.iter().find(|place| place.offset == offset && place.name.len() <= MAX_NAME_LEN);
    found.map(|place| place.name.clone()).unwrap_or_default()
}

/// Appends the account of all deltas that have one.
pub(super) fn add(container: &mut PatchWriter<'_, '_>, mut accounts: Vec<BodyAccount>, patch: &Path) -> Result<()> {
    if accounts.is_empty() {
        return Ok(());
    }
    accounts.sort_unstable_by_key(|account| account.body);
    let blob = account::encode(&accounts);
    container
        .add(Kind::ACCOUNT, |out| out.write_all(&blob))
        .map(|_| ())
        .map_err(|error: io::Error| Error::io("write the patch", patch, &error))
}

#[cfg(test)]
mod tests {
    use patchwright_delta::native::SectionSpending;

    use super::*;

    #[test]
    fn small_sections_are_summed_up_and_nothing_is_lost() {
        let section = |offset, len, literals| SectionSpending { offset, len, bytes: [1, 0, 0, 0, 0, literals] };
        let spending = Spending {
            head_bytes: 1000,
            sections: vec![section(0, 0, 7), section(64, 10, 20), section(100, 50, 8000), section(200, 9, 900)],
            other_bytes: 5,
        };
        let place = |name: &str, offset| SectionPlace { name: name.into(), offset, len: 10 };
        let found = told_apart(&spending, &[place(".note", 64), place(".text", 100), place(&"x".repeat(99), 200)]);
        assert_eq!(found.total(), spending.total());
        let rows: Vec<_> =
            found.sections.iter().map(|row| (row.name.as_str(), row.offset, row.len, row.bytes[5])).collect();
        assert_eq!(rows, [(".text", 100, 50, 8000), ("", 200, 9, 900), ("", 0, 0, 27)]);
    }
}
