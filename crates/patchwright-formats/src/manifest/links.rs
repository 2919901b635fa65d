//! Deltas that do not lead to the new file at once, but to a file between.
//!
//! A patch for several old versions is smaller when an older one is first made a newer one, by a small delta, and goes
//! on by that one's own. What stands between is a file as the patch sees it, ignored and retained bytes blank; its hash is
//! compared before anything goes on from it. Specification: `docs/formats/manifest.md`.

use super::{Hash, body_index};
use crate::container::Kind;
use crate::error::FormatError;
use crate::wire::{Reader, put_varint};

/// Most deltas on the way from one old file to the new one.
pub const MAX_STEPS: usize = 4;
/// Longest file between: it is kept in memory.
pub const MAX_BETWEEN_LEN: u64 = i32::MAX as u64;
/// A blob, a length, a hash, a blob.
const MIN_LINK_LEN: usize = 35;

/// A delta that leads to a file between.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Link {
    /// Index of the `COLD` blob.
    pub body: usize,
    /// The file that it makes.
    pub makes: Between,
    /// Index of the `COLD` blob of the delta that goes on from there.
    pub next: usize,
}

/// A file that stands between an old version and the new one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Between {
    /// Length in bytes, at most [`MAX_BETWEEN_LEN`].
    pub size: u64,
    /// BLAKE3 of all bytes.
    pub hash: Hash,
}

/// The deltas that lead from an old file to the new one, in order, and what each of them makes; `None` is the new file.
///
/// `body` is the first of them. The way ends after [`MAX_STEPS`], which a manifest that was read never exceeds.
pub fn way(links: &[Link], body: usize) -> Vec<(usize, Option<Between>)> {
    let mut steps = Vec::new();
    let mut at = body;
    while let Ok(found) = links.binary_search_by_key(&at, |link| link.body) {
        let Some(link) = links.get(found).filter(|_| steps.len() + 1 < MAX_STEPS) else { break };
        steps.push((at, Some(link.makes)));
        at = link.next;
    }
    steps.push((at, None));
    steps
}

pub(super) fn put(out: &mut Vec<u8>, links: &[Link]) {
    put_varint(out, links.len() as u64);
    for link in links {
        put_varint(out, link.body as u64);
        put_varint(out, link.makes.size);
        out.extend_from_slice(&link.makes.hash);
        put_varint(out, link.next as u64);
    }
}

pub(super) fn read(reader: &mut Reader<'_>, blobs: &[Kind]) -> Result<Vec<Link>, FormatError> {
    let count = reader.count("links", MIN_LINK_LEN)?;
    if count == 0 {
        return Err(reader.malformed("a manifest of version 2 without a link"));
    }
    let mut links: Vec<Link> = Vec::new();
    for _ in 0..count {
        let body = body_index(reader, blobs)?;
        if links.last().is_some_and(|before| before.body >= body) {
            return Err(reader.malformed(format!("the link of blob {body} is out of order")));
        }
        let size = reader.varint_to("length of a file between", MAX_BETWEEN_LEN)?;
        let makes = Between { size, hash: reader.array()? };
        links.push(Link { body, makes, next: body_index(reader, blobs)? });
    }
    match links.iter().find(|link| has_no_end(&links, link.body)) {
        Some(link) => {
            Err(reader.malformed(format!("more than {MAX_STEPS} deltas follow one another from blob {}", link.body)))
        }
        None => Ok(links),
    }
}

/// Whether the way from a delta is longer than it may be; so is one that leads back to itself.
fn has_no_end(links: &[Link], body: usize) -> bool {
    let end = way(links, body).last().map_or(body, |(last, _)| *last);
    links.binary_search_by_key(&end, |link| link.body).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn links(pairs: &[(usize, usize)]) -> Vec<Link> {
        let link = |(body, next): &(usize, usize)| Link {
            body: *body,
            makes: Between { size: 7 + *body as u64, hash: [1; 32] },
            next: *next,
        };
        pairs.iter().map(link).collect()
    }

    #[test]
    fn ways_follow_the_links_to_the_new_file() {
        let check = |pairs: &[(usize, usize)], from: usize, expect: &[usize]| {
            let steps = way(&links(pairs), from);
            assert_eq!(steps.iter().map(|(body, _)| *body).collect::<Vec<_>>(), expect, "{pairs:?} from {from}");
            let (last, between) = steps.split_last().unwrap();
            assert!(last.1.is_none() && between.iter().all(|(body, makes)| makes.unwrap().size == 7 + *body as u64));
        };
        check(&[], 3, &[3]);
        check(&[(1, 0)], 0, &[0]);
        check(&[(1, 0)], 1, &[1, 0]);
        check(&[(0, 5), (5, 2), (7, 5)], 7, &[7, 5, 2]);
        check(&[(0, 5), (5, 2), (7, 5)], 0, &[0, 5, 2]);
    }

    #[test]
    fn links_that_do_not_hang_together_are_refused() {
        let blobs = [Kind::COLD, Kind::COLD, Kind::COLD, Kind::COLD, Kind::COLD, Kind::COLD, Kind::MANIFEST];
        let check = |pairs: &[(usize, usize)], expect: &str| {
            let mut bytes = Vec::new();
            put(&mut bytes, &links(pairs));
            let mut reader = Reader::new("manifest", &bytes);
            match read(&mut reader, &blobs) {
                Ok(read) => assert_eq!((read, expect), (links(pairs), ""), "{pairs:?}"),
                Err(error) => assert!(!expect.is_empty() && error.to_string().contains(expect), "{pairs:?}: {error}"),
            }
        };
        check(&[(1, 0)], "");
        check(&[(1, 0), (2, 1), (3, 2)], "");
        check(&[], "without a link");
        check(&[(1, 0), (2, 1), (3, 2), (4, 3)], "more than 4 deltas follow one another from blob 4");
        check(&[(1, 1)], "more than 4 deltas");
        check(&[(1, 2), (2, 1)], "more than 4 deltas");
        check(&[(2, 1), (1, 0)], "out of order");
        check(&[(1, 0), (1, 2)], "out of order");
        check(&[(6, 0)], "is not a delta body");
        check(&[(1, 6)], "is not a delta body");
        let mut long = links(&[(1, 0)]);
        long[0].makes.size = MAX_BETWEEN_LEN + 1;
        let mut bytes = Vec::new();
        put(&mut bytes, &long);
        assert!(read(&mut Reader::new("manifest", &bytes), &blobs).is_err());
    }
}
