//! The contents of images: read where the plan says, and told from each other by hash.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Read};

use patchwright_msi::build::plan::{Content as Known, ImageFile, ImageFiles, Images as KnownImages, Source};
use patchwright_msi::image::{Content, Images, Opened};
use patchwright_msi::pcp::Pcp;
use rayon::prelude::*;

use super::failure::{Coded, Failure, Result, pcw};
use crate::error::{Error, ErrorKind};
use crate::progress::Progress;

/// All contents that a `.pcp` names.
pub(super) struct Contents<'a> {
    pcp: &'a Pcp,
    images: &'a Images,
    /// Tables are believed: files with a version or a hash there are not read to be compared.
    trust_msi: bool,
}

impl<'a> Contents<'a> {
    pub(super) fn new(pcp: &'a Pcp, images: &'a Images, trust_msi: bool) -> Self {
        Self { pcp, images, trust_msi }
    }

    /// Opens a file.
    pub(super) fn open(&self, source: &Source) -> io::Result<Box<dyn Content>> {
        let lost = || io::Error::new(io::ErrorKind::NotFound, format!("{} is gone", self.name(source)));
        let of_image = |opened: Option<&Opened>, ftk: &str| {
            opened.ok_or_else(lost)?.content(ftk).map_err(|fault| io::Error::other(fault.to_string()))
        };
        match source {
            Source::Upgraded(image, ftk) => of_image(self.images.upgraded(image), ftk),
            Source::Target(image, ftk) => of_image(self.images.target(image), ftk),
            Source::External(row) => {
                let path = self.pcp.external_files.get(*row).ok_or_else(lost)?;
                let external = self.images.external.get(&path.file_path).and_then(|external| external.as_ref().ok());
                (external.ok_or_else(lost)?.open)()
            }
        }
    }

    /// All of a file.
    pub(super) fn read(&self, source: &Source) -> Result<Vec<u8>> {
        let mut bytes = Vec::new();
        let read = self.open(source).and_then(|mut content| content.read_to_end(&mut bytes));
        read.map_err(|error| self.unreadable(source, &error))?;
        Ok(bytes)
    }

    pub(super) fn unreadable(&self, source: &Source, error: &io::Error) -> Failure {
        let what = format!("cannot read {}: {error}", self.name(source));
        Failure::new(pcw::CANT_READ_FILE, Error::new(ErrorKind::Io, what))
    }

    /// What a file is called in messages.
    pub(super) fn name(&self, source: &Source) -> String {
        match source {
            Source::Upgraded(image, ftk) => format!("the file {ftk} of the upgraded image {image}"),
            Source::Target(image, ftk) => format!("the file {ftk} of the target image {image}"),
            Source::External(row) => {
                self.pcp.external_files.get(*row).map(|row| row.file_path.clone()).unwrap_or_default()
            }
        }
    }

    /// What the plan must know: every file of every image that plays a part, by length and hash.
    pub(super) fn known(&self, progress: &dyn Progress) -> Result<KnownImages> {
        let used: BTreeSet<&str> = self.pcp.targets.iter().map(|row| row.upgraded.as_str()).collect();
        let upgraded = self.pcp.upgraded.iter().filter(|row| used.contains(row.upgraded.as_str()));
        let upgraded: Vec<(&str, &Opened)> =
            upgraded.filter_map(|row| Some((row.upgraded.as_str(), self.images.upgraded(&row.upgraded)?))).collect();
        let targets = self.pcp.targets.iter();
        let targets: Vec<(&str, &Opened)> =
            targets.filter_map(|row| Some((row.target.as_str(), self.images.target(&row.target)?))).collect();
        let all = || upgraded.iter().chain(&targets).map(|(_, opened)| opened);
        let total = all().flat_map(|opened| &opened.image.files).map(|file| file.size).sum();
        progress.begin("compare", total);
        let known = self.known_of(&upgraded, &targets, progress);
        progress.end();
        let (upgraded, targets) = known?;
        let external = self.pcp.external_files.par_iter().enumerate();
        let external = external.map(|(row, _)| match self.open(&Source::External(row)) {
            Ok(mut content) => {
                hashed(&mut *content).map(Some).map_err(|error| self.unreadable(&Source::External(row), &error))
            }
            // The checks have told.
            Err(_) => Ok(None),
        });
        Ok(KnownImages {
            upgraded,
            targets,
            external: external.collect::<Result<_>>()?,
            highest_sequence: all().map(|opened| opened.image.last_sequence()).max().unwrap_or(0),
            highest_disk_id: all().map(|opened| opened.image.last_disk_id()).max().unwrap_or(0),
        })
    }

    #[allow(clippy::type_complexity, reason = "two maps of the same kind, which the caller takes apart at once")]
    fn known_of(
        &self,
        upgraded: &[(&str, &Opened)],
        targets: &[(&str, &Opened)],
        progress: &dyn Progress,
    ) -> Result<(BTreeMap<String, ImageFiles>, BTreeMap<String, ImageFiles>)> {
        let of = |images: &[(&str, &Opened)], source: fn(String, String) -> Source| {
            let jobs: Vec<(&str, &Opened, usize)> = images
                .iter()
                .flat_map(|(name, opened)| (0..opened.image.files.len()).map(move |at| (*name, *opened, at)))
                .collect();
            let known = jobs.par_iter().map(|(name, opened, at)| {
                let file = &opened.image.files[*at];
                let content = self.file(opened, at, &source((*name).to_owned(), file.key.clone()))?;
                progress.advance(file.size);
                Ok((*name, file.key.clone(), ImageFile { sequence: file.sequence, content }))
            });
            let known = known.collect::<Result<Vec<_>>>()?;
            let mut made: BTreeMap<String, ImageFiles> =
                images.iter().map(|(name, _)| ((*name).to_owned(), ImageFiles::new())).collect();
            for (name, key, file) in known {
                made.entry(name.to_owned()).or_default().insert(key, file);
            }
            Ok(made)
        };
        Ok((of(upgraded, Source::Upgraded)?, of(targets, Source::Target)?))
    }

    /// What a file of an image is; nothing if it is missing and may be, which the checks have made sure of.
    fn file(&self, opened: &Opened, at: &usize, source: &Source) -> Result<Option<Known>> {
        let file = &opened.image.files[*at];
        if self.trust_msi && (file.hash.is_some() || file.version.is_some()) {
            let mut hasher = blake3::Hasher::new_derive_key("Patchwright file as a database states it, version 1");
            for text in [&file.version, &file.language] {
                let text = text.as_deref().unwrap_or_default();
                hasher.update(&(text.len() as u64).to_le_bytes()).update(text.as_bytes());
            }
            for part in file.hash.map(|hash| hash.0).unwrap_or_default() {
                hasher.update(&part.to_le_bytes());
            }
            return Ok(Some(Known { len: file.size, hash: *hasher.finalize().as_bytes() }));
        }
        match opened.content(&file.key) {
            Ok(mut content) => hashed(&mut *content).map(Some).map_err(|error| self.unreadable(source, &error)),
            Err(_) => Ok(None),
        }
    }

    /// Length, version and hash of a new file, as its rows should state them.
    pub(super) fn facts(&self, source: &Source) -> Result<patchwright_msi::image::Facts> {
        let Source::Upgraded(image, ftk) = source else {
            return Err(Failure::new(pcw::INTERNAL_ERROR, Error::bug("facts of a file that is not new")));
        };
        let opened = self.images.upgraded(image).ok_or_else(|| Error::bug(format!("the image {image} is gone")));
        let opened = opened.code(pcw::INTERNAL_ERROR)?;
        opened.facts(ftk).map_err(|fault| self.unreadable(source, &io::Error::other(fault.to_string())))
    }
}

fn hashed(content: &mut dyn Content) -> io::Result<Known> {
    let mut hasher = blake3::Hasher::new();
    let len = io::copy(content, &mut hasher)?;
    Ok(Known { len, hash: *hasher.finalize().as_bytes() })
}
