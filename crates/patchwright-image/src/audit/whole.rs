//! What is true of an image as a whole: who compiled it, and what it allows.

use super::Objection;
use crate::image::Image;
use crate::rule::Rule;

/// The findings on an image that no single function is to blame for: `HP-A19` and `HP-A20`.
pub fn findings(image: &Image<'_>) -> Vec<Objection> {
    let mut found: Vec<_> = mixed(image).into_iter().collect();
    let policies = image.facts.policies.iter();
    found.extend(policies.map(|policy| Objection { rule: Rule::A20, found: policy.clone() }));
    found
}

/// Objects with and without the mark of hot patching, the toolchain's own left aside.
fn mixed(image: &Image<'_>) -> Option<Objection> {
    let own = || image.modules.iter().filter(|module| module.origin.is_none() && module.functions > 0);
    let with = own().filter(|module| module.hot_patch == Some(true)).count();
    let without: Vec<_> = own().filter(|module| module.hot_patch == Some(false)).collect();
    let first = without.first().filter(|_| with > 0)?;
    let all = with + without.len();
    let found = format!("{with} of {all} objects were compiled for hot patching; {} was not", first.name);
    Some(Objection { rule: Rule::A19, found })
}
