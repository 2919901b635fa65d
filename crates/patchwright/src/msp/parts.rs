//! The parts of a patch on disk: every delta, then every cabinet.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, BufReader, BufWriter, Read, Write};
use std::path::{Path, PathBuf};

use patchwright_formats::pa19::{OldInput, Pa19Error};
use patchwright_msi::build::cabinet::{self, Item};
use patchwright_msi::build::delta::{self, Delta, Made};
use patchwright_msi::build::pair::DeltaPart;
use patchwright_msi::build::plan::{Family, Kind, Member, Old, Plan, WhyWhole};
use patchwright_msi::build::settings::LargeWindow;
use patchwright_msi::check::{Finding, Severity};
use rayon::prelude::*;

use super::cache::Cache;
use super::contents::Contents;
use super::failure::{Failure, Result, pcw};
use super::folder::WorkFolder;
use super::log::{BuildLog, LogLevel};
use crate::error::{Error, ErrorKind};
use crate::progress::Progress;

/// What a file became.
pub(super) struct Part {
    /// How it goes.
    pub(super) shape: Shape,
    /// What is in the cabinet for it: its length and hash.
    pub(super) shipped: Shipped,
    /// What its author should know.
    pub(super) warnings: Vec<String>,
}

/// How a file goes into the cabinet.
pub(super) enum Shape {
    /// As it is.
    Whole(WhyWhole),
    /// As a delta.
    Delta {
        /// Where the delta is.
        path: PathBuf,
        /// What the tables say about it.
        part: DeltaPart,
        /// Whether it was made by an earlier build.
        cached: bool,
    },
}

/// The bytes that stand for a file in the cabinet.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Shipped {
    pub(super) len: u64,
    pub(super) hash: [u8; 32],
}

/// A part; or a finding, so that all files that cannot be made are told together.
type Tried = Result<Result<Part, Finding>>;

/// The parts of a patch by family and key.
pub(super) type Parts = BTreeMap<(String, String), Part>;

/// What the making of deltas needs.
pub(super) struct Maker<'a> {
    pub(super) contents: &'a Contents<'a>,
    pub(super) folder: &'a WorkFolder,
    pub(super) cache: Option<Cache>,
    pub(super) window: LargeWindow,
    pub(super) progress: &'a dyn Progress,
    pub(super) log: &'a dyn BuildLog,
}

impl Maker<'_> {
    /// Makes every delta, several at a time. All files that cannot be made are told at once.
    pub(super) fn parts(&self, plan: &Plan, pcp: &Path) -> Result<Parts> {
        let mut jobs = Vec::new();
        for family in &plan.families {
            self.folder.family(&family.name)?;
            jobs.extend(family.members.iter().map(|member| (family, member)));
        }
        let total = jobs.iter().map(|(_, member)| member.content.len).sum();
        self.progress.begin("deltas", total);
        let made: Vec<(String, String, Tried)> = jobs
            .par_iter()
            .map(|(family, member)| {
                let part = self.part(family, member);
                self.progress.advance(member.content.len);
                (family.name.clone(), member.ftk.clone(), part)
            })
            .collect();
        self.progress.end();
        let (mut parts, mut findings) = (Parts::new(), Vec::new());
        for (family, ftk, part) in made {
            match part? {
                Ok(part) => {
                    parts.insert((family, ftk), part);
                }
                Err(finding) => findings.push(finding),
            }
        }
        if findings.is_empty() { Ok(parts) } else { Err(Failure::findings(&findings, pcp)) }
    }

    fn part(&self, family: &Family, member: &Member) -> Tried {
        match &member.kind {
            Kind::Whole(why) => self.whole(member, why.clone()).map(Ok),
            Kind::Delta(olds) => self.delta(family, member, olds),
        }
    }

    fn whole(&self, member: &Member, why: WhyWhole) -> Result<Part> {
        let ftk = &member.ftk;
        self.log
            .line(LogLevel::Info, &format!("Including entire file: '{}'; FTK={ftk}.", self.contents.name(&member.new)));
        let mut hasher = blake3::Hasher::new();
        let read = self.contents.open(&member.new).and_then(|mut content| io::copy(&mut content, &mut hasher));
        let len = read.map_err(|error| self.contents.unreadable(&member.new, &error))?;
        let shipped = Shipped { len, hash: *hasher.finalize().as_bytes() };
        Ok(Part { shape: Shape::Whole(why), shipped, warnings: Vec::new() })
    }

    fn delta(&self, family: &Family, member: &Member, olds: &[Old]) -> Tried {
        let new = self.contents.read(&member.new)?;
        let mut old_bytes = Vec::with_capacity(olds.len());
        for old in olds {
            let source = old.sources.first().ok_or_else(|| bug("an old version without a file"))?;
            old_bytes.push(self.contents.read(source)?);
        }
        let inputs: Vec<OldInput<'_>> =
            olds.iter().zip(&old_bytes).map(|(old, bytes)| OldInput { bytes, regions: &old.regions }).collect();
        let place = self.cache.as_ref().map(|cache| cache.place(olds, blake3::hash(&new).as_bytes(), self.window));
        let found = self.cache.as_ref().zip(place.as_ref()).and_then(|(cache, place)| cache.get(place, &inputs, &new));
        let cached = found.is_some();
        let made = match found.map_or_else(|| delta::make(&inputs, &new, self.window), Ok) {
            Ok(made) => made,
            Err(error) => return Ok(Err(unmade(family, member, &error))),
        };
        let made = match made {
            Made::Whole(why) => {
                let text = "Patch API could not create a small patch; using whole upgraded file.";
                self.log.line(LogLevel::Info, text);
                self.keep(place.as_deref(), cached, &Made::Whole(why.clone()));
                return self.whole(member, why).map(Ok);
            }
            Made::Delta(made) => made,
        };
        // What comes from the cache was followed when it was found.
        if !cached && let Err(why) = delta::prove(&made.patch, &inputs, &new) {
            let what =
                format!("the delta of {} of the family {} does not do what it should: {why}", member.ftk, family.name);
            return Err(bug(&what));
        }
        let part = self.written(family, member, &made, cached)?;
        self.keep(place.as_deref(), cached, &Made::Delta(made));
        Ok(Ok(part))
    }

    /// Writes delta and header, under the names that PATCHWIZ gives them.
    fn written(&self, family: &Family, member: &Member, made: &Delta, cached: bool) -> Result<Part> {
        let folder = self.folder.family(&family.name)?;
        let place = |extension: &str| folder.join(format!("{:05}.{extension}", member.sequence));
        let (path, header) = (place("PAT"), place("HDR"));
        for (path, bytes) in [(&path, &made.patch), (&header, &made.header)] {
            fs::write(path, bytes)
                .map_err(|error| Failure::io(pcw::CANT_CREATE_ONE_PATCH_FILE, "write", path, &error))?;
        }
        let (ftk, name) = (&member.ftk, header.file_name().unwrap_or_default().to_string_lossy().into_owned());
        let line = format!("Patch file created: FTK={ftk}; temp location={}\\{name}.", family.name);
        self.log.line(LogLevel::Info, &line);
        let len = made.patch.len() as u64;
        let part = DeltaPart { len_bytes: len, header: made.header.clone() };
        let shipped = Shipped { len, hash: *blake3::hash(&made.patch).as_bytes() };
        let warnings = made.warnings.iter().map(|warning| format!("{}: {warning}", member.ftk)).collect();
        Ok(Part { shape: Shape::Delta { path, part, cached }, shipped, warnings })
    }

    fn keep(&self, place: Option<&Path>, cached: bool, made: &Made) {
        if let Some((cache, place)) = self.cache.as_ref().zip(place).filter(|_| !cached)
            && let Err(error) = cache.put(place, made)
        {
            self.log.line(LogLevel::Warning, &format!("The cache of deltas could not be written: {error}"));
        }
    }

    /// Writes the cabinet of a family.
    pub(super) fn cabinet(&self, family: &Family, parts: &Parts, time: u64) -> Result<PathBuf> {
        let part = |member: &Member| {
            let part = parts.get(&(family.name.clone(), member.ftk.clone()));
            part.ok_or_else(|| bug(&format!("{} was not made", member.ftk)))
        };
        let made = family.members.iter().map(part).collect::<Result<Vec<&Part>>>()?;
        let items: Vec<Item<'_>> = family
            .members
            .iter()
            .zip(&made)
            .map(|(member, part)| Item { name: &member.ftk, len: part.shipped.len })
            .collect();
        let objections = cabinet::objections(&items);
        if !objections.is_empty() {
            let what = format!("the files of the family {} do not fit in a cabinet", family.name);
            let error = Error::new(ErrorKind::Usage, what).details(objections);
            let hint = "ship fewer or smaller files in a family, or leave them out with UpgradedFilesToIgnore";
            return Err(Failure::new(pcw::CANNOT_RUN_MAKECAB, error.hint(hint)));
        }
        let path = self.folder.path().join(format!("{}.cab", family.cabinet()));
        let failed = |error: io::Error| Failure::io(pcw::CANNOT_RUN_MAKECAB, "write the cabinet", &path, &error);
        let out = BufWriter::new(File::create(&path).map_err(failed)?);
        let open = |index: usize| -> io::Result<Box<dyn Read>> {
            let lost = || io::Error::other("a file without a part");
            let (member, part) = family.members.get(index).zip(made.get(index)).ok_or_else(lost)?;
            match &part.shape {
                Shape::Delta { path, .. } => Ok(Box::new(BufReader::new(File::open(path)?))),
                Shape::Whole(_) => Ok(Box::new(self.contents.open(&member.new)?)),
            }
        };
        let written = cabinet::write(out, &items, time, open).and_then(|mut out| out.flush());
        written.map_err(failed)?;
        Ok(path)
    }
}

/// A delta that cannot be made: ranges that do not fit the files.
fn unmade(family: &Family, member: &Member, error: &Pa19Error) -> Finding {
    Finding {
        severity: Severity::Error,
        code: pcw::CANT_CREATE_ONE_PATCH_FILE,
        table: "ImageFamilies",
        row: Some(family.name.clone()),
        column: None,
        message: format!("no delta can be made of the file {}: {error}", member.ftk),
        details: Vec::new(),
        hint: "correct its ranges, or ship it whole",
    }
}

pub(super) fn bug(what: &str) -> Failure {
    Failure::new(pcw::INTERNAL_ERROR, Error::bug(what))
}
