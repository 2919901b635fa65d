//! How far the walks over an image go where the format sets no bound.
//!
//! Tables of a sound image do not overlap, so that walks over all of them see every byte once or twice. Those of a hostile
//! one can be the same bytes, thousands of times over. A walk that has seen four times the length of the file ends.

const TIMES: usize = 4;

/// The bytes that a walk may still look at.
#[derive(Clone, Copy, Debug)]
pub(super) struct Budget(usize);

impl Budget {
    /// For one walk over an image of `len` bytes.
    pub(super) fn new(len: usize) -> Self {
        Self(len.saturating_mul(TIMES))
    }

    pub(super) fn left(self) -> usize {
        self.0
    }

    /// Takes `len` bytes, or nothing and answers `false` where fewer are left.
    pub(super) fn spend(&mut self, len: usize) -> bool {
        let left = self.0.checked_sub(len);
        self.0 = left.unwrap_or(self.0);
        left.is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_spent_is_gone_and_no_more_than_there_is() {
        let mut budget = Budget::new(2);
        for (len, expect, left) in [(5, true, 3), (4, false, 3), (3, true, 0), (0, true, 0), (1, false, 0)] {
            assert_eq!((budget.spend(len), budget.left()), (expect, left));
        }
        assert_eq!(Budget::new(usize::MAX).left(), usize::MAX);
    }
}
