//! What a body may cost: to make, to keep, to apply.

/// What a body is made for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Profile {
    /// As small as can be: two rounds of matching, and mixed models in [`create()`](super::create()).
    #[default]
    Small,
    /// The same predictions in byte streams through Zstandard: made with one round of matching, and applied at a speed
    /// near that of copying; about twice the size of [`Profile::Small`] where little changed.
    Fast,
    /// As [`Profile::Fast`], with an index of blocks in place of a suffix array: made in seconds.
    Quick,
}

impl Profile {
    /// Every profile, the one with the smallest bodies first.
    pub const ALL: [Self; 3] = [Self::Small, Self::Fast, Self::Quick];

    /// A short plain name, as on the command line and in reports.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Small => "small",
            Self::Fast => "fast",
            Self::Quick => "quick",
        }
    }
}

/// What [`create()`](super::create()) is asked for. The same options and files give the same body.
///
/// Threads are those of the current rayon pool; the body does not depend on them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Options {
    /// What the body is made for.
    pub profile: Profile,
    /// How much memory the search for covers may count on, in bytes, the files themselves not counted. An option and
    /// not a fact about the machine, so that the body is the same on all.
    pub max_memory_bytes: u64,
}

impl Default for Options {
    fn default() -> Self {
        Self { profile: Profile::Small, max_memory_bytes: 4 << 30 }
    }
}
