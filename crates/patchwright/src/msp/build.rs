//! The way from a `.pcp` to a patch, in the phases of PATCHWIZ.
//!
//! Nothing is written where the patch will be before it is whole and proven: it is made in a folder of parts, opened again,
//! followed from every old version, and then put into its place at once.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use patchwright_msi::build::plan::{Plan, plan};
use patchwright_msi::build::ranges::{RetainDefault, RetainMismatch, RetainRules};
use patchwright_msi::build::root::{self, PatchedProduct};
use patchwright_msi::build::settings::Settings;
use patchwright_msi::check::{Finding, Options, Retain, Severity, check_all};
use patchwright_msi::code::{EXTFILE_RETAIN_COUNT_MISMATCH, TFILEDATA_RETAIN_COUNT_MISMATCH};
use patchwright_msi::database::{Database, Property};
use patchwright_msi::image::Images;
use patchwright_msi::pcp::Pcp;
use rayon::prelude::*;

use super::BuildOptions;
use super::assemble::MadePair;
use super::cache::Cache;
use super::contents::Contents;
use super::failure::{Coded, Failure, Result, line, pcw};
use super::folder::WorkFolder;
use super::log::{BuildLog, LogLevel};
use super::parts::{Maker, bug};
use super::report::MspBuildReport;
use super::told::Told;
use crate::atomic::write_atomically;
use crate::error::{Error, ErrorKind};
use crate::installer::load;
use crate::pcp_images::open_images;
use crate::progress::Progress;
use crate::windows_path::{Paths, environment};

/// Builds a patch and tells how it went.
pub(super) fn build(
    path: &Path,
    options: &BuildOptions,
    progress: &dyn Progress,
    log: &dyn BuildLog,
) -> Result<MspBuildReport> {
    log.phase("I (Validation)", "reads the patch creation properties");
    let database = read_pcp(path)?;
    let pcp = Pcp::read(&database);
    let settings = Settings::read(&pcp);
    log.line(LogLevel::Info, &format!("PCP file: {}", path.display()));
    pcp.properties.iter().for_each(|row| {
        log.line(LogLevel::Info, &format!("Property: {} = '{}'", row.name, row.value.as_deref().unwrap_or_default()));
    });
    log.phase("I", "opens the images");
    let images = open_images(path, &pcp, &options.mappings).code(pcw::CANT_CREATE_TEMP_FOLDER)?;
    let contents = Contents::new(&pcp, &images, settings.trust_msi);
    let builder = Builder { path, database: &database, pcp: &pcp, settings, images: &images, contents, options, log };
    let output = builder.output()?;
    let (plan, findings) = builder.planned(progress)?;
    builder.made(&output, plan, findings, progress)
}

fn read_pcp(path: &Path) -> Result<Database> {
    load(path).map_err(|error| {
        let code = if error.kind == ErrorKind::Malformed { pcw::PCP_BAD_FORMAT } else { pcw::PCP_DOESNT_EXIST };
        Failure::new(code, error)
    })
}

/// What a build works with.
pub(super) struct Builder<'a> {
    pub(super) path: &'a Path,
    pub(super) database: &'a Database,
    pub(super) pcp: &'a Pcp,
    pub(super) settings: Settings,
    pub(super) images: &'a Images,
    pub(super) contents: Contents<'a>,
    pub(super) options: &'a BuildOptions,
    pub(super) log: &'a dyn BuildLog,
}

impl Builder<'_> {
    pub(super) fn paths(&self) -> Paths<'_> {
        let base = self.path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        Paths { base, mappings: &self.options.mappings, variable: &environment }
    }

    /// Where the patch goes. An input is never overwritten.
    fn output(&self) -> Result<PathBuf> {
        let output = match (&self.options.output, &self.settings.output_path) {
            (Some(output), _) => output.clone(),
            (None, Some(text)) => {
                let placed = self.paths().place(text).map_err(|why| {
                    Error::new(ErrorKind::Usage, format!("PatchOutputPath: {why}"))
                        .at(self.path)
                        .hint("name it with -o, or say with --map where it is")
                });
                placed.code(pcw::MISSING_PATCH_PATH)?
            }
            (None, None) => {
                let error = Error::new(ErrorKind::Usage, "nothing says where the patch is to be written").at(self.path);
                return Err(Failure::new(
                    pcw::MISSING_PATCH_PATH,
                    error.hint("name it with -o, or set PatchOutputPath"),
                ));
            }
        };
        let real = output.canonicalize().ok();
        if real.is_some() && real == self.path.canonicalize().ok() {
            let error = Error::new(ErrorKind::Usage, "the output is the input, and an input is never overwritten");
            return Err(Failure::new(pcw::CANT_OVERWRITE_PATCH, error.at(&output)));
        }
        Ok(output)
    }

    fn rules(&self) -> RetainRules {
        RetainRules { mismatch: self.options.retain_mismatch, default: self.options.retain_default }
    }

    /// Checks everything and decides what goes into the patch; refuses with all that stands against it.
    fn planned(&self, progress: &dyn Progress) -> Result<(Plan, Vec<Finding>)> {
        let mut findings = self.checked();
        // An upgraded image that no target becomes plays no part.
        let is_used = |name: &str| self.pcp.targets.iter().any(|target| target.upgraded == name);
        let mut upgraded = self.pcp.upgraded.iter().filter(|row| is_used(&row.upgraded));
        let all_open = upgraded.all(|row| self.images.upgraded(&row.upgraded).is_some())
            && self.pcp.targets.iter().all(|row| self.images.target(&row.target).is_some());
        if !all_open {
            return Err(self.refused(&findings));
        }
        self.log.phase("II", "compares the images");
        let known = self.contents.known(progress)?;
        let (plan, more) = plan(self.pcp, &known, &self.settings, self.rules());
        for finding in more {
            // The same place with the same code was told by the checks.
            let same = |other: &Finding| {
                (other.table, &other.row, other.column, other.code.number)
                    == (finding.table, &finding.row, finding.column, finding.code.number)
            };
            if !findings.iter().any(same) {
                findings.push(finding);
            }
        }
        for finding in &findings {
            let level = match finding.severity {
                Severity::Error => LogLevel::Error,
                Severity::Warning => LogLevel::Warning,
                Severity::Note => LogLevel::Info,
            };
            self.log.line(level, &line(finding));
        }
        if findings.iter().any(|finding| finding.severity == Severity::Error) {
            return Err(Failure::findings(&findings, self.path));
        }
        Ok((plan, findings))
    }

    fn refused(&self, findings: &[Finding]) -> Failure {
        findings.iter().for_each(|finding| self.log.line(LogLevel::Error, &line(finding)));
        if findings.iter().any(|finding| finding.severity == Severity::Error) {
            return Failure::findings(findings, self.path);
        }
        bug("an image is not open, and no check found out why")
    }

    /// What the checks of `pcp check` say.
    fn checked(&self) -> Vec<Finding> {
        let drop = self.options.retain_mismatch == RetainMismatch::Drop;
        let retain = match self.options.retain_default {
            _ if drop => Retain::Drop,
            RetainDefault::SameOffset => Retain::SameOffset,
            RetainDefault::None => Retain::Exact,
        };
        let options = Options { strict: self.options.strict, retain };
        let mut findings = check_all(self.pcp, self.images, options);
        // Where they are dropped the plan says so, in a warning.
        let mismatches = [TFILEDATA_RETAIN_COUNT_MISMATCH.number, EXTFILE_RETAIN_COUNT_MISMATCH.number];
        findings.retain(|finding| !drop || !mismatches.contains(&finding.code.number));
        findings
    }

    /// The time of the patch: as given, or when the newest upgraded installer was saved, or now.
    fn time(&self) -> u64 {
        const SAVED: [u32; 2] = [13, 12];
        let saved = self.pcp.upgraded.iter().filter_map(|row| {
            let summary = &self.images.upgraded_database(&row.upgraded)?.summary;
            SAVED.iter().find_map(|number| match summary.properties.get(number) {
                // Hundreds of nanoseconds since 1601.
                Some(Property::Time(time)) => (time / 10_000_000).checked_sub(11_644_473_600),
                _ => None,
            })
        });
        self.options.time.or_else(|| saved.max()).unwrap_or(self.options.now)
    }

    fn products(&self, plan: &Plan) -> Vec<PatchedProduct> {
        plan.pairs
            .iter()
            .map(|pair| {
                let old =
                    self.images.target(&pair.target).map(|opened| opened.image.product.clone()).unwrap_or_default();
                let new = self.images.upgraded(&pair.upgraded).map(|opened| opened.image.product.clone());
                let new = new.unwrap_or_default();
                PatchedProduct {
                    target: pair.target.clone(),
                    code: old.code.unwrap_or_default(),
                    version: old.version.unwrap_or_default(),
                    upgraded_code: new.code.unwrap_or_default(),
                    upgraded_version: new.version.unwrap_or_default(),
                }
            })
            .collect()
    }

    fn cache(&self) -> Option<Cache> {
        let place = self.paths().place(self.settings.cache_folder.as_deref()?);
        let opened = place.map_err(|why| why.to_string());
        let opened = opened.and_then(|place| Cache::open(&place).map_err(|error| error.to_string()));
        if let Err(why) = &opened {
            self.log.line(LogLevel::Warning, &format!("The cache of deltas is not used: {why}"));
        }
        opened.ok()
    }

    /// Makes the parts, puts them together, proves the whole, and lets it appear.
    fn made(
        &self,
        output: &Path,
        plan: Plan,
        mut findings: Vec<Finding>,
        progress: &dyn Progress,
    ) -> Result<MspBuildReport> {
        let time = self.time();
        let products = self.products(&plan);
        let sequence = root::sequence(self.pcp, &self.settings, &products, time, &mut findings);
        if findings.iter().any(|finding| finding.severity == Severity::Error) {
            return Err(Failure::findings(&findings, self.path));
        }
        let folder = WorkFolder::make(self.options.temp_folder.as_deref(), self.options.temp_folder_must_be_new)?;
        self.log.line(LogLevel::Info, &format!("Temp directory: {}", folder.path().display()));
        self.log.phase("III", "makes the deltas");
        let maker = Maker {
            contents: &self.contents,
            folder: &folder,
            cache: self.cache(),
            window: self.settings.large_window,
            progress,
            log: self.log,
        };
        let parts = maker.parts(&plan, self.path)?;
        self.log.phase("IV", "makes the cabinets and transforms");
        let cabinets: Vec<PathBuf> =
            plan.families.par_iter().map(|family| maker.cabinet(family, &parts, time)).collect::<Result<_>>()?;
        let pairs = self.pairs(&plan, &parts)?;
        if plan.families.iter().all(|family| family.members.is_empty())
            && pairs.iter().all(|pair| pair.made.main.is_empty())
        {
            let error = Error::new(ErrorKind::No, "there is nothing to patch: the target images are the upgraded ones");
            return Err(Failure::new(pcw::NO_UPGRADED_IMAGES_TO_PATCH, error.at(self.path)));
        }
        self.log.phase("V", "puts the patch together");
        let draft = folder.path().join("patch.msp");
        let product_codes = root::product_codes(&self.settings, &products);
        self.assembled(&draft, &plan, &pairs, &cabinets, &sequence, &product_codes, time)?;
        self.proven(&draft, &plan, &pairs, &parts)?;
        let patch_bytes = appear(&draft, output)?;
        self.log.line(LogLevel::Info, &format!("Patch created: {}", output.display()));
        let report = Told { builder: self, plan: &plan, parts: &parts, pairs: &pairs, products: &products };
        let mut report = report.report(output, patch_bytes, &cabinets, &sequence, product_codes, time, findings)?;
        if self.settings.keep_temp_folder {
            self.keep_transforms(&folder, &pairs)?;
            report.temp_folder = Some(folder.keep());
        } else if let Err(failure) = folder.remove() {
            // The patch is there and whole.
            let told = format!("{} ({})", failure.error, failure.code.name);
            self.log.line(LogLevel::Warning, &told);
            report.warnings.push(told);
        }
        Ok(report)
    }

    fn keep_transforms(&self, folder: &WorkFolder, pairs: &[MadePair<'_>]) -> Result<()> {
        for pair in pairs {
            for (name, transform) in
                [(pair.name.clone(), &pair.made.main), (format!("#{}", pair.name), &pair.made.patch)]
            {
                let path = folder.path().join(format!("{name}.mst"));
                let bytes = transform.write().map_err(|error| bug(&format!("the transform {name}: {error}")))?;
                fs::write(&path, bytes)
                    .map_err(|error| Failure::io(pcw::CANT_GENERATE_TRANSFORM, "write", &path, &error))?;
            }
        }
        Ok(())
    }
}

/// Puts the whole file into its place; says how long it is.
fn appear(draft: &Path, output: &Path) -> Result<u64> {
    let code = if output.exists() { pcw::CANT_OVERWRITE_PATCH } else { pcw::CANT_CREATE_PATCH_FILE };
    let failed = |error: io::Error| Error::io("read", draft, &error);
    let copied = || -> crate::error::Result<u64> {
        let mut from = File::open(draft).map_err(failed)?;
        let mut len = 0;
        write_atomically(output, None, |out| {
            len = io::copy(&mut from, out).map_err(|error| Error::io("write", output, &error))?;
            Ok(())
        })?;
        Ok(len)
    };
    copied().code(code)
}
