//! The rules of the audit as text, for those who show them.

use patchwright_image::Rule;

/// A rule: its number, what must hold, and what to do when it does not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RuleText {
    /// `HP-A01`.
    pub id: String,
    /// What must hold.
    pub meaning: &'static str,
    /// What to do when it does not.
    pub remedy: &'static str,
}

/// Every rule, in the order of their numbers.
pub fn all() -> impl Iterator<Item = RuleText> {
    Rule::ALL.into_iter().map(|rule| RuleText { id: rule.id(), meaning: rule.meaning(), remedy: rule.remedy() })
}
