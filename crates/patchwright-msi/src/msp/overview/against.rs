//! Which transforms of a patch apply to a product, and why the others do not.
//!
//! As Windows Installer does it: the patch must list the product; then the transforms are taken in their order, each compared
//! with what those before it have made of the product, and left out where it does not match.

use std::io::{Read, Seek};

use crate::database::Database;
use crate::msp::{Msp, PatchSummary};
use crate::transform::info::{Mismatch, Product, TransformInfo};
use crate::transform::{Known, apply};

/// What a patch does to a product.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Against {
    /// The product; what is missing or malformed in it is in `faults`.
    pub product: Product,
    /// What the database lacks to be a product.
    pub faults: Vec<String>,
    /// Whether the patch lists its product code. If not, the installer looks no further.
    pub listed: bool,
    /// Whether the patch applies: it lists the product, and a transform that changes it does. One that only keeps book (`#…`)
    /// is not enough: it matches what the patch leads to.
    pub applies: bool,
    /// The version that the product has afterwards.
    pub version_after: String,
    /// Each transform that the patch lists, in order.
    pub transforms: Vec<Verdict>,
}

/// Whether a transform applies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// Name of the transform.
    pub name: String,
    /// Whether it matches the product, as those before it have left it.
    pub matches: bool,
    /// What does not match.
    pub mismatches: Vec<Mismatch>,
    /// What goes wrong when it is applied, or why it cannot be read.
    pub faults: Vec<String>,
}

impl Verdict {
    fn changes_the_product(&self) -> bool {
        self.matches && self.faults.is_empty() && !self.name.starts_with('#')
    }
}

/// Applies what applies, in memory.
pub(super) fn against<F: Read + Seek>(msp: &mut Msp<F>, summary: &PatchSummary, base: &Database) -> Against {
    let mut faults = Vec::new();
    let product = Product::of(base).unwrap_or_else(|objections| {
        faults.extend(objections.0.iter().map(ToString::to_string));
        Product::default()
    });
    let listed = summary.product_codes.iter().any(|code| code.eq_ignore_ascii_case(&product.code));
    let mut state = base.clone();
    let mut now = product.clone();
    let mut transforms = Vec::new();
    for name in &summary.transforms {
        let verdict = verdict(msp, name, &mut state, &now);
        if verdict.matches {
            now = Product::of(&state).unwrap_or(now);
        }
        transforms.push(verdict);
    }
    Against {
        applies: listed && transforms.iter().any(Verdict::changes_the_product),
        listed,
        product,
        faults,
        version_after: now.version,
        transforms,
    }
}

fn verdict<F: Read + Seek>(msp: &mut Msp<F>, name: &str, state: &mut Database, now: &Product) -> Verdict {
    let mut verdict = Verdict { name: name.to_owned(), matches: false, mismatches: Vec::new(), faults: Vec::new() };
    // The summary information says whether the tables are to be read: those of another product may well not be those here.
    let info = match msp.transform(name, Known::Standard) {
        Ok(transform) => TransformInfo::read(&transform.summary),
        Err(error) => {
            verdict.faults.push(error.to_string());
            return verdict;
        }
    };
    let info = match info {
        Ok(info) => info,
        Err(objections) => {
            verdict.faults.extend(objections.0.iter().map(ToString::to_string));
            return verdict;
        }
    };
    verdict.mismatches = info.mismatches(now);
    if !verdict.mismatches.is_empty() {
        return verdict;
    }
    verdict.matches = true;
    let transform = match msp.transform(name, Known::Database(state)) {
        Ok(transform) => transform,
        Err(error) => {
            verdict.faults.push(error.to_string());
            return verdict;
        }
    };
    match apply(&transform, state, info.suppressed) {
        Ok(database) => *state = database,
        Err(objections) => verdict.faults.extend(objections.0.iter().map(ToString::to_string)),
    }
    verdict
}
