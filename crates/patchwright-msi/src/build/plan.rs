//! What goes into a patch: which files, whole or as a delta, under which numbers, and which pairs of images they are for.
//!
//! A *pair* is a target image and the upgraded image that it becomes. A cabinet belongs to a family and serves all of its
//! pairs, so a file is in it once, and has the same number in every pair. Whether a *pair* names the file is another
//! question: it does if the file differs between its two images.
//!
//! The plan is made of tables and of what is known about contents, their length and hash; nothing is read here.

use std::collections::{BTreeMap, BTreeSet};

use patchwright_formats::Regions;

use crate::pcp::Pcp;

pub use super::planner::plan;

/// What a file is, as far as the plan goes: equal contents are equal files.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Content {
    /// Its length in bytes.
    pub len: u64,
    /// A strong hash.
    pub hash: [u8; 32],
}

/// A file of an image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ImageFile {
    /// `File.Sequence`
    pub sequence: i32,
    /// What it is; `None` where it is missing and the target says that this is no fault.
    pub content: Option<Content>,
}

/// The files of an image by their keys.
pub type ImageFiles = BTreeMap<String, ImageFile>;

/// What the plan must know of the images.
#[derive(Clone, Debug, Default)]
pub struct Images {
    /// The files of the upgraded images, by name of the image.
    pub upgraded: BTreeMap<String, ImageFiles>,
    /// The files of the target images, by name of the image.
    pub targets: BTreeMap<String, ImageFiles>,
    /// The contents of `ExternalFiles`, row by row.
    pub external: Vec<Option<Content>>,
    /// The highest `File.Sequence` and `Media.LastSequence` of all images.
    pub highest_sequence: i32,
    /// The highest `Media.DiskId` of all images.
    pub highest_disk_id: i32,
}

/// A target image and what it becomes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pair {
    /// Name of the target image.
    pub target: String,
    /// Name of the upgraded image.
    pub upgraded: String,
    /// Index of the family in the plan.
    pub family: usize,
}

impl Pair {
    /// The name of the pair's main transform; that of the other has a `#` before it.
    pub fn transform(&self) -> String {
        format!("{}To{}", self.target, self.upgraded)
    }
}

/// A file to be read.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Source {
    /// Of an upgraded image: its name, key of the file.
    Upgraded(String, String),
    /// Of a target image: its name, key of the file.
    Target(String, String),
    /// The file of a row of `ExternalFiles`, by the number of the row.
    External(usize),
}

/// An old version of a file, with all that is known about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Old {
    /// Where it is; the same bytes may be in several places.
    pub sources: Vec<Source>,
    /// What it is.
    pub content: Content,
    /// Its ignored and retained ranges.
    pub regions: Regions,
}

/// Why a file goes whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WhyWhole {
    /// `IncludeWholeFilesOnly`
    WholeFilesOnly,
    /// `UpgradedFiles_OptionalData.IncludeWholeFile`
    Asked,
    /// This target image does not have it.
    NewFor(String),
    /// There is nothing in it, which a delta cannot say in a way that all appliers understand.
    Empty,
    /// The file compressed is no larger than its delta.
    DeltaBigger,
    /// Old and new versions together are more than a delta can be made of.
    TooLarge,
}

/// How a file goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kind {
    /// As it is.
    Whole(WhyWhole),
    /// As a delta from any of these.
    Delta(Vec<Old>),
}

/// A file in a cabinet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// Its key, which is its name in the cabinet.
    pub ftk: String,
    /// Its number.
    pub sequence: i32,
    /// Where its new version is.
    pub new: Source,
    /// What that is.
    pub content: Content,
    /// How it goes.
    pub kind: Kind,
    /// The pairs that name it, by index.
    pub pairs: BTreeSet<usize>,
    /// Upgraded images for whose pairs the user may go on when it cannot be patched.
    pub non_vital: BTreeSet<String>,
}

/// A family and its cabinet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Family {
    /// Its name.
    pub name: String,
    /// `Media.DiskId`
    pub disk_id: i32,
    /// `Media.Source`
    pub source_property: String,
    /// The number of the first file.
    pub first_sequence: i32,
    /// `Media.DiskPrompt`
    pub disk_prompt: Option<String>,
    /// `Media.VolumeLabel`
    pub volume_label: Option<String>,
    /// What is in the cabinet, in ascending order of numbers.
    pub members: Vec<Member>,
}

impl Family {
    /// The name of the cabinet's stream.
    pub fn cabinet(&self) -> String {
        format!("PCW_CAB_{}", self.name)
    }

    /// `Media.LastSequence`: one more than the last number, as PATCHWIZ has it.
    pub fn last_sequence(&self) -> i32 {
        let count = i32::try_from(self.members.len()).unwrap_or(i32::MAX);
        self.first_sequence.saturating_add(count)
    }
}

/// What goes into a patch.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Plan {
    /// The families, in ascending order of numbers.
    pub families: Vec<Family>,
    /// The pairs, in the order in which their transforms are tried.
    pub pairs: Vec<Pair>,
}

impl Plan {
    /// The members that a pair names.
    pub fn members_of(&self, pair: usize) -> impl Iterator<Item = &Member> {
        self.families.iter().flat_map(|family| &family.members).filter(move |member| member.pairs.contains(&pair))
    }

    /// Whether a pair would replace this file but is told not to.
    pub fn is_ignored(pcp: &Pcp, pair: &Pair, ftk: &str) -> bool {
        pcp.ignored_files.iter().filter(|row| row.upgraded == "*" || row.upgraded == pair.upgraded).any(|row| match row
            .ftk
            .strip_suffix('*')
        {
            Some(beginning) => ftk.starts_with(beginning),
            None => row.ftk == ftk,
        })
    }
}
