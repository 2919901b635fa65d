//! Which old versions go to the new one by way of another old one.
//!
//! Versions of a program lie on a line: what the newest old version still lacks, all older ones lack too. So an older one
//! is led to a newer one, and goes on by that one's delta, wherever this takes fewer bytes. The length of its own delta
//! says how far a version is from the new one; only a version that is nearer can be gone by, so no way leads back.

use patchwright_formats::manifest::{MAX_BETWEEN_LEN, MAX_STEPS};

use crate::error::Result;
use crate::options::{DiffOptions, Profile};

use super::body::Body;

/// How many nearer versions are tried, the farthest of them first: each trial costs as much as a delta of its own.
const TRIALS: usize = 2;

/// A delta that is no longer than this is not worth a way round.
const SHORT: u64 = 2048;

/// The delta of one old version.
pub(super) struct Planned {
    pub(super) body: Body,
    /// The old version that it leads to, by its place among them; the new one without it.
    pub(super) via: Option<usize>,
}

/// Replaces deltas by shorter ones to other old versions.
///
/// `lens` are the lengths of the old versions, `direct` their deltas to the new one; `link(from, to)` makes the one from
/// an old version to another, both with their blanks.
///
/// # Errors
///
/// What `link` says.
pub(super) fn plan(
    lens: &[u64],
    direct: Vec<Body>,
    options: &DiffOptions,
    link: impl Fn(usize, usize) -> Result<Body>,
) -> Result<Vec<Planned>> {
    let costs: Vec<u64> = direct.iter().map(Body::len_bytes).collect();
    let mut planned: Vec<Planned> = direct.into_iter().map(|body| Planned { body, via: None }).collect();
    // Who applies quickly takes no way round, and who makes quickly does not look for one.
    if options.profile != Profile::Small {
        return Ok(planned);
    }
    let mut order: Vec<usize> = (0..planned.len()).collect();
    order.sort_by_key(|index| (costs.get(*index).copied(), *index));
    let mut steps = vec![1usize; planned.len()];
    for (rank, &from) in order.iter().enumerate() {
        if costs[from] <= SHORT {
            continue;
        }
        let usable = |to: &&usize| steps[**to] < MAX_STEPS && lens[**to] <= MAX_BETWEEN_LEN;
        let nearer: Vec<usize> = order[..rank].iter().rev().filter(usable).take(TRIALS).copied().collect();
        for to in nearer {
            let body = link(from, to)?;
            if body.len_bytes() < most(costs[from]) && body.len_bytes() < planned[from].body.len_bytes() {
                planned[from] = Planned { body, via: Some(to) };
                steps[from] = steps[to] + 1;
            }
        }
    }
    Ok(planned)
}

/// What a delta to another old version may cost at most: a way round takes longer to apply, so it has to pay.
fn most(direct: u64) -> u64 {
    direct - direct / 16
}
