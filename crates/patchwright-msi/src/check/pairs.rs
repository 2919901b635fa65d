//! Old images with the new ones that they become, as far as both can be opened.

use crate::image::{Image, ImageFile, Images, Opened};
use crate::pcp::{Pcp, TargetImage, UpgradedImage};

/// A row of `TargetImages` and what it refers to.
pub(super) struct Pair<'a> {
    pub(super) target: &'a TargetImage,
    pub(super) upgraded: &'a UpgradedImage,
    pub(super) old: &'a Opened,
    pub(super) new: &'a Opened,
}

/// All of them, by target.
pub(super) struct Pairs<'a>(pub(super) Vec<Pair<'a>>);

impl<'a> Pairs<'a> {
    pub(super) fn of(pcp: &'a Pcp, images: &'a Images) -> Self {
        let pair = |target: &'a TargetImage| {
            let upgraded = pcp.upgraded.iter().find(|row| row.upgraded == target.upgraded)?;
            let (old, new) = (images.target(&target.target)?, images.upgraded(&upgraded.upgraded)?);
            Some(Pair { target, upgraded, old, new })
        };
        Self(pcp.targets.iter().filter_map(pair).collect())
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Pair<'a>> {
        self.0.iter()
    }
}

impl<'a> Pair<'a> {
    /// Names of the two, for a message.
    pub(super) fn names(&self) -> String {
        format!("{} to {}", self.target.target, self.upgraded.upgraded)
    }

    /// Files that both have.
    pub(super) fn common(&self) -> impl Iterator<Item = (&'a ImageFile, &'a ImageFile)> {
        let (old, new): (&Image, &Image) = (&self.old.image, &self.new.image);
        old.files.iter().filter_map(|file| Some((file, new.file(&file.key)?)))
    }

    /// Files that the new one alone has.
    pub(super) fn added(&self) -> impl Iterator<Item = &'a ImageFile> {
        let (old, new): (&Image, &Image) = (&self.old.image, &self.new.image);
        new.files.iter().filter(|file| old.file(&file.key).is_none())
    }

    /// Whether a file that both have differs; unknown where one cannot be read.
    pub(super) fn differs(&self, key: &str) -> Option<bool> {
        let (old, new) = (self.old.len(key).ok()?, self.new.len(key).ok()?);
        Some(old != new || self.old.facts(key).ok()?.hash != self.new.facts(key).ok()?.hash)
    }
}

/// The new images of a family that can be opened.
pub(super) fn of_family<'a>(pcp: &'a Pcp, images: &'a Images, family: &str) -> Vec<(&'a str, &'a Opened)> {
    let rows = pcp.upgraded.iter().filter(|row| row.family == family);
    rows.filter_map(|row| Some((row.upgraded.as_str(), images.upgraded(&row.upgraded)?))).collect()
}

/// Whether every new image of a family can be opened, so that a key which none has is wrong.
pub(super) fn is_whole(pcp: &Pcp, images: &Images, family: &str) -> bool {
    pcp.upgraded.iter().filter(|row| row.family == family).all(|row| images.upgraded(&row.upgraded).is_some())
}
