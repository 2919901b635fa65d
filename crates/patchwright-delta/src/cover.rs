//! Which bytes of the new file resemble which bytes of the old one.

/// `len` bytes of the new file that resemble bytes of the old one, byte by byte, with corrections.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Cover {
    /// First byte in the old file.
    pub old_offset: u64,
    /// First byte in the new file.
    pub new_offset: u64,
    /// Length in bytes, the same on both sides; never zero.
    pub len: u64,
}

impl Cover {
    /// The first offset of the old file after the cover. Covers in this crate are checked against file lengths
    /// first, so nothing is lost by saturating.
    pub(crate) fn old_end(self) -> u64 {
        self.old_offset.saturating_add(self.len)
    }

    /// The first offset of the new file after the cover.
    pub(crate) fn new_end(self) -> u64 {
        self.new_offset.saturating_add(self.len)
    }

    /// The same resemblance seen from the other side.
    pub(crate) fn swapped(self) -> Self {
        Self { old_offset: self.new_offset, new_offset: self.old_offset, len: self.len }
    }
}

/// Most covers that a [`CoverLog`] keeps by default: 24 MiB of them.
pub const LOG_CAPACITY: usize = 1 << 20;

/// Covers seen while a body is applied, in bounded memory.
///
/// When the log is full it forgets the short covers: the minimum length it keeps doubles until less than half of the
/// room is taken. What is forgotten costs size in the inverted body, never correctness.
#[derive(Clone, Debug)]
pub struct CoverLog {
    covers: Vec<Cover>,
    capacity: usize,
    min_len: u64,
}

impl Default for CoverLog {
    fn default() -> Self {
        Self::with_capacity(LOG_CAPACITY)
    }
}

impl CoverLog {
    /// A log for [`LOG_CAPACITY`] covers.
    pub fn new() -> Self {
        Self::default()
    }

    /// A log for at most `capacity` covers, at least two.
    pub fn with_capacity(capacity: usize) -> Self {
        Self { covers: Vec::new(), capacity: capacity.max(2), min_len: 1 }
    }

    /// Adds a cover, joining it to the last one when it continues that one on both sides.
    pub fn push(&mut self, cover: Cover) {
        match self.covers.last_mut() {
            Some(last) if last.old_end() == cover.old_offset && last.new_end() == cover.new_offset => {
                last.len = last.len.saturating_add(cover.len);
                return;
            }
            _ if cover.len < self.min_len => return,
            _ => {}
        }
        if self.covers.len() == self.capacity {
            self.forget_short_covers();
        }
        if cover.len >= self.min_len {
            self.covers.push(cover);
        }
    }

    fn forget_short_covers(&mut self) {
        while self.covers.len() > self.capacity / 2 {
            if self.min_len == u64::MAX {
                return self.covers.truncate(self.capacity / 2);
            }
            self.min_len = self.min_len.saturating_mul(2);
            let min_len = self.min_len;
            self.covers.retain(|cover| cover.len >= min_len);
        }
    }

    /// The covers kept, in the order in which they came.
    pub fn covers(&self) -> &[Cover] {
        &self.covers
    }

    /// The shortest cover that is still kept; 1 as long as nothing was forgotten.
    pub fn min_len(&self) -> u64 {
        self.min_len
    }

    /// What resembles what when `later` was applied to what the body of these covers made: from the first old file to
    /// the last new one. Both logs are in the order of their new files, as [`apply`](crate::apply()) tells covers.
    pub fn then(&self, later: &Self) -> Self {
        let mut both = Self::with_capacity(self.capacity);
        for cover in &later.covers {
            let first = self.covers.partition_point(|earlier| earlier.new_end() <= cover.old_offset);
            for earlier in self.covers[first..].iter().take_while(|earlier| earlier.new_offset < cover.old_end()) {
                let start = earlier.new_offset.max(cover.old_offset);
                let end = earlier.new_end().min(cover.old_end());
                both.push(Cover {
                    old_offset: earlier.old_offset + (start - earlier.new_offset),
                    new_offset: cover.new_offset + (start - cover.old_offset),
                    len: end - start,
                });
            }
        }
        both
    }

    pub(crate) fn into_covers(self) -> Vec<Cover> {
        self.covers
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_log_forgets_short_covers_first() {
        let mut log = CoverLog::with_capacity(4);
        for (i, len) in [1u64, 100, 3, 200, 5, 300].into_iter().enumerate() {
            log.push(Cover { old_offset: 1000 * i as u64, new_offset: 2000 * i as u64, len });
        }
        assert_eq!(log.covers().iter().map(|cover| cover.len).collect::<Vec<_>>(), [100, 200, 5, 300]);
        assert!(log.min_len() > 3);
    }

    #[test]
    fn a_log_of_equal_lengths_ends_and_stays_within_its_room() {
        let mut log = CoverLog::with_capacity(8);
        for i in 0..1000 {
            log.push(Cover { old_offset: 1000 * i, new_offset: 2000 * i, len: u64::MAX });
        }
        assert!(log.covers().len() <= 8);
    }

    #[test]
    fn covers_of_two_bodies_make_covers_of_both() {
        type Numbers = (u64, u64, u64);
        let log = |covers: &[Numbers]| {
            let mut log = CoverLog::new();
            covers.iter().for_each(|&(old_offset, new_offset, len)| log.push(Cover { old_offset, new_offset, len }));
            log
        };
        let check = |first: &[Numbers], later: &[Numbers], expect: &[Numbers]| {
            assert_eq!(log(first).then(&log(later)).covers(), log(expect).covers(), "{first:?} then {later:?}");
        };
        check(&[], &[(0, 0, 9)], &[]);
        check(&[(0, 0, 9)], &[], &[]);
        check(&[(100, 0, 10)], &[(0, 50, 10)], &[(100, 50, 10)]);
        check(&[(100, 0, 10)], &[(4, 50, 100)], &[(104, 50, 6)]);
        check(&[(100, 0, 10), (7, 20, 5)], &[(8, 0, 14)], &[(108, 0, 2), (7, 12, 2)]);
        check(&[(100, 0, 10)], &[(12, 0, 5)], &[]);
        check(&[(100, 0, 10)], &[(0, 0, 5), (0, 5, 5)], &[(100, 0, 5), (100, 5, 5)]);
    }

    #[test]
    fn touching_covers_are_joined() {
        let mut log = CoverLog::new();
        log.push(Cover { old_offset: 5, new_offset: 7, len: 10 });
        log.push(Cover { old_offset: 15, new_offset: 17, len: 1 });
        log.push(Cover { old_offset: 16, new_offset: 19, len: 1 });
        assert_eq!(log.covers().iter().map(|cover| cover.len).collect::<Vec<_>>(), [11, 1]);
    }
}
