//! The way from a `.pcp` to a patch, in the phases of PATCHWIZ.
//!
//! Nothing is written where the patch will be before it is whole and proven: it is made in a folder of parts, opened again,
//! followed from every old version, and then put into its place at once.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File, OpenOptions};
use std::io::{self, BufReader, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use patchwright_msi::Objections;
use patchwright_msi::build::pair::{self, DeltaPart, PairInput, PairTransforms, Step};
use patchwright_msi::build::plan::{Family, Kind, Member, Plan, WhyWhole, plan};
use patchwright_msi::build::ranges::{RetainDefault, RetainMismatch, RetainRules};
use patchwright_msi::build::refresh::{FileFacts, Refreshed, refresh};
use patchwright_msi::build::root::{self, PatchedProduct};
use patchwright_msi::build::settings::Settings;
use patchwright_msi::check::{Finding, Options, Retain, Severity, check_all};
use patchwright_msi::code::{EXTFILE_RETAIN_COUNT_MISMATCH, TFILEDATA_RETAIN_COUNT_MISMATCH};
use patchwright_msi::database::{Database, Property};
use patchwright_msi::image::Images;
use patchwright_msi::msp::{self, Cabinet, Contents as PatchContents, Msp, PatchSummary, Sequence};
use patchwright_msi::patch_tables::PatchTables;
use patchwright_msi::pcp::Pcp;
use patchwright_msi::transform::ErrorConditions;
use patchwright_msi::transform::info::Validation;
use rayon::prelude::*;

use super::BuildOptions;
use super::cache::Cache;
use super::contents::Contents;
use super::failure::{Coded, Failure, Result, line, pcw};
use super::folder::WorkFolder;
use super::log::{BuildLog, LogLevel};
use super::parts::{Maker, Part, Parts, Shape, bug};
use super::report::{MspBuildReport, MspFamily, MspFile, MspPair, MspSequence};
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

struct Builder<'a> {
    path: &'a Path,
    database: &'a Database,
    pcp: &'a Pcp,
    settings: Settings,
    images: &'a Images,
    contents: Contents<'a>,
    options: &'a BuildOptions,
    log: &'a dyn BuildLog,
}

impl Builder<'_> {
    fn paths(&self) -> Paths<'_> {
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
        let is_open = |name: &String, targets: bool| {
            if targets { self.images.target(name).is_some() } else { self.images.upgraded(name).is_some() }
        };
        let all_open = self.pcp.upgraded.iter().all(|row| is_open(&row.upgraded, false))
            && self.pcp.targets.iter().all(|row| is_open(&row.target, true));
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

    /// The transforms of every pair.
    fn pairs(&self, plan: &Plan, parts: &Parts) -> Result<Vec<MadePair<'_>>> {
        let definitions = match &self.settings.patch_tables_msi {
            None => None,
            Some(text) => {
                self.log.line(LogLevel::Info, &format!("Patch tables are those of {text}"));
                let place = self.paths().find(text).map_err(|why| {
                    Error::new(ErrorKind::Malformed, format!("MsiFileToUseToCreatePatchTables: {why}")).at(self.path)
                });
                Some(place.and_then(|place| load(&place)).code(pcw::CANT_GENERATE_TRANSFORM_POUND)?)
            }
        };
        let facts = self.facts(plan, parts)?;
        let made: Vec<Result<MadePair<'_>>> = (0..plan.pairs.len())
            .into_par_iter()
            .map(|index| self.pair(plan, index, parts, &facts, definitions.as_ref()))
            .collect();
        // What stands against any pair is told with what stands against the others.
        let (mut pairs, mut failures) = (Vec::new(), Vec::new());
        for pair in made {
            match pair {
                Ok(pair) => pairs.push(pair),
                Err(failure) => failures.push(failure),
            }
        }
        let mut failures = failures.into_iter();
        match failures.next() {
            None => Ok(pairs),
            Some(mut first) => {
                failures.for_each(|failure| first.error.details.extend(failure.error.details));
                first.error.details.dedup();
                Err(first)
            }
        }
    }

    /// What each file of the patch is.
    fn facts(&self, plan: &Plan, parts: &Parts) -> Result<BTreeMap<(String, String), FileFacts>> {
        if self.settings.trust_msi {
            return Ok(BTreeMap::new());
        }
        let members: Vec<(&Family, &Member)> =
            plan.families.iter().flat_map(|family| family.members.iter().map(move |member| (family, member))).collect();
        let facts = members.par_iter().map(|(family, member)| {
            let facts = self.contents.facts(&member.new)?;
            let key = (family.name.clone(), member.ftk.clone());
            let whole = parts.get(&key).is_some_and(|part| matches!(part.shape, Shape::Whole(_)));
            let (version, language) = (facts.version_text(), facts.language_text());
            Ok((key, FileFacts { size: facts.size, version, language, hash: facts.hash.0, whole }))
        });
        facts.collect::<Result<Vec<_>>>().map(|facts| facts.into_iter().collect())
    }

    fn pair(
        &self,
        plan: &Plan,
        index: usize,
        parts: &Parts,
        facts: &BTreeMap<(String, String), FileFacts>,
        definitions: Option<&Database>,
    ) -> Result<MadePair<'_>> {
        let pair = &plan.pairs[index];
        let family = &plan.families[pair.family].name;
        let lost = || bug(&format!("the images of {} are gone", pair.transform()));
        let target = &self.images.target(&pair.target).ok_or_else(lost)?.image.database;
        let mut upgraded = self.images.upgraded_database(&pair.upgraded).ok_or_else(lost)?.clone();
        let files = plan.members_of(index).filter_map(|member| {
            let key = (family.clone(), member.ftk.clone());
            Some((member.ftk.clone(), facts.get(&key)?.clone()))
        });
        let refreshed = refresh(&mut upgraded, &files.collect());
        let left_alone = pair::left_alone(self.pcp, pair, [target, &upgraded]);
        let tables =
            pair::tables(plan, index, &self.settings, definitions, self.options.patch_files_sequence, |family, ftk| {
                match &parts.get(&(family.to_owned(), ftk.to_owned()))?.shape {
                    Shape::Delta { part, .. } => Some(DeltaPart { ..part.clone() }),
                    Shape::Whole(_) => None,
                }
            });
        let validation = self.validation(&pair.target);
        let input = PairInput {
            target,
            upgraded: &upgraded,
            left_alone: &left_alone,
            tables: &tables,
            validation,
            suppressed: ErrorConditions(self.options.error_conditions),
        };
        let made = pair::transforms(input).map_err(|(step, objections)| {
            let (code, name) = match step {
                Step::Main => (pcw::CANT_GENERATE_TRANSFORM, pair.transform()),
                Step::Patch => (pcw::CANT_GENERATE_TRANSFORM_POUND, format!("#{}", pair.transform())),
            };
            unmade(code, &name, &objections, self.path)
        })?;
        Ok(MadePair { name: pair.transform(), target, upgraded, left_alone, validation, made, refreshed })
    }

    /// The validation flags of a target.
    fn validation(&self, target: &str) -> Validation {
        let row = self.pcp.targets.iter().find(|row| row.target == target);
        let flags = row.and_then(|row| row.product_validate_flags.as_deref());
        let digits = flags.map(|flags| flags.trim_start_matches("0x").trim_start_matches("0X"));
        let word = digits.and_then(|digits| u32::from_str_radix(digits, 16).ok());
        word.and_then(|word| u16::try_from(word).ok()).map_or(Validation::DEFAULT, Validation)
    }

    #[allow(clippy::too_many_arguments, reason = "the parts of a patch, each once")]
    fn assembled(
        &self,
        draft: &Path,
        plan: &Plan,
        pairs: &[MadePair<'_>],
        cabinets: &[PathBuf],
        sequence: &[Sequence],
        product_codes: &[String],
        time: u64,
    ) -> Result<()> {
        let failed = |error: io::Error| Failure::io(pcw::CANT_CREATE_PATCH_FILE, "write", draft, &error);
        let metadata = root::metadata(self.pcp);
        let of = |name: &str| {
            let row = metadata.iter().find(|row| row.company.is_none() && row.property == name);
            row.and_then(|row| row.value.clone())
        };
        let tables: Vec<_> =
            [msp::sequence_table(sequence), msp::metadata_table(&metadata)].into_iter().flatten().collect();
        let is_ascii =
            tables.iter().flat_map(|table| table.rows.iter().flatten()).all(|value| value.to_string().is_ascii());
        // Neutral where all is ASCII; else what the author's own tables are in.
        let code_page = match (is_ascii, self.database.code_page) {
            (true, _) => 0,
            (false, 0) => 65001,
            (false, code_page) => code_page,
        };
        let transforms: Vec<(String, _)> = pairs
            .iter()
            .flat_map(|pair| {
                [(pair.name.clone(), pair.made.main.clone()), (format!("#{}", pair.name), pair.made.patch.clone())]
            })
            .collect();
        let summary = PatchSummary {
            code_page: if code_page == 0 { 1252 } else { u16::try_from(code_page).unwrap_or(1252) },
            title: of("DisplayName"),
            subject: of("TargetProductName"),
            author: of("ManufacturerName"),
            comments: of("Description"),
            sources: self.settings.source_list.clone(),
            product_codes: product_codes.to_vec(),
            transforms: transforms.iter().map(|(name, _)| name.clone()).collect(),
            patch_code: self.settings.patch_guid.clone(),
            replaces: self.settings.replaced_patches.clone(),
            installer: msp::summary::word_count(self.settings.minimum_msi_version),
            created: time.checked_add(11_644_473_600).and_then(|seconds| seconds.checked_mul(10_000_000)),
            application: Some("Patchwright".to_owned()),
            security: Some(4),
        };
        let mut opened = Vec::new();
        for (family, path) in plan.families.iter().zip(cabinets) {
            let file = File::open(path).map_err(failed)?;
            let len = file.metadata().map_err(failed)?.len();
            opened.push((family.cabinet(), len, BufReader::new(file)));
        }
        let cabinets = opened
            .iter_mut()
            .map(|(name, len, content)| Cabinet { name: name.clone(), len_bytes: *len, content })
            .collect();
        let out = OpenOptions::new().read(true).write(true).create_new(true).open(draft).map_err(failed)?;
        let contents = PatchContents { summary, code_page, tables, transforms, cabinets };
        let mut out = msp::write(contents, out)
            .map_err(|objections| unmade(pcw::CANT_CREATE_PATCH_FILE, "the patch", &objections, self.path))?;
        out.flush().map_err(failed)
    }

    /// Opens the patch as an installer would and follows all of it.
    fn proven(&self, draft: &Path, plan: &Plan, pairs: &[MadePair<'_>], parts: &Parts) -> Result<()> {
        let failed = |error: io::Error| Failure::io(pcw::CANT_CREATE_PATCH_FILE, "read", draft, &error);
        let unproven = |what: String| bug(&format!("the patch that was made does not do what it should: {what}"));
        let mut msp = Msp::open(BufReader::new(File::open(draft).map_err(failed)?))
            .map_err(|error| unproven(error.to_string()))?;
        for (pair, made) in plan.pairs.iter().zip(pairs) {
            let input = PairInput {
                target: made.target,
                upgraded: &made.upgraded,
                left_alone: &made.left_alone,
                // The transforms are there; what they were made of is not asked for again.
                tables: &PatchTables::default(),
                validation: made.validation,
                suppressed: ErrorConditions(self.options.error_conditions),
            };
            pair::prove(&mut msp, pair, input, &made.made).map_err(|objections| unproven(objections.to_string()))?;
        }
        for family in &plan.families {
            let expected: Vec<_> = family
                .members
                .iter()
                .filter_map(|member| {
                    let shipped = parts.get(&(family.name.clone(), member.ftk.clone()))?.shipped;
                    let expected = patchwright_msi::build::cabinet::Expected {
                        name: &member.ftk,
                        len: shipped.len,
                        hash: shipped.hash,
                    };
                    Some(expected)
                })
                .collect();
            // Out of the patch first: what is in it counts, not what was put into it.
            let mut copy = tempfile::tempfile().map_err(failed)?;
            let mut stream = msp.stream(&family.cabinet()).map_err(|error| unproven(error.to_string()))?;
            io::copy(&mut stream, &mut copy).map_err(failed)?;
            let open = || {
                let mut again = copy.try_clone()?;
                again.seek(SeekFrom::Start(0))?;
                let content: Box<dyn patchwright_msi::image::Content> = Box::new(again);
                Ok(content)
            };
            patchwright_msi::build::cabinet::prove(open, &expected).map_err(|error| unproven(error.to_string()))?;
        }
        Ok(())
    }
}

/// The transforms of a pair with what they were made of.
struct MadePair<'a> {
    /// Name of the main transform.
    name: String,
    target: &'a Database,
    /// The upgraded tables, brought up to date.
    upgraded: Database,
    left_alone: BTreeSet<String>,
    validation: Validation,
    made: PairTransforms,
    refreshed: Vec<Refreshed>,
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

fn unmade(code: patchwright_msi::code::Code, name: &str, objections: &Objections, pcp: &Path) -> Failure {
    let lines = objections.0.iter().map(|objection| {
        let hint = if objection.hint.is_empty() { String::new() } else { format!(": {}", objection.hint) };
        format!("{name}: {objection}{hint}")
    });
    let what = format!("{name} cannot be made ({}, 0x{:08X})", code.name, code.number);
    Failure::new(code, Error::new(ErrorKind::Malformed, what).at(pcp).details(lines))
}

/// What there is to tell.
struct Told<'a> {
    builder: &'a Builder<'a>,
    plan: &'a Plan,
    parts: &'a Parts,
    pairs: &'a [MadePair<'a>],
    products: &'a [PatchedProduct],
}

impl Told<'_> {
    #[allow(clippy::too_many_arguments, reason = "the parts of a report, each once")]
    fn report(
        &self,
        output: &Path,
        patch_bytes: u64,
        cabinets: &[PathBuf],
        sequence: &[Sequence],
        product_codes: Vec<String>,
        time: u64,
        findings: Vec<Finding>,
    ) -> Result<MspBuildReport> {
        let mut families = Vec::new();
        for (family, path) in self.plan.families.iter().zip(cabinets) {
            let metadata =
                fs::metadata(path).map_err(|error| Failure::io(pcw::CANNOT_RUN_MAKECAB, "read", path, &error))?;
            families.push(MspFamily {
                family: family.name.clone(),
                cabinet: family.cabinet(),
                cabinet_bytes: metadata.len(),
                disk_id: family.disk_id,
                source_property: family.source_property.clone(),
                first_sequence: family.first_sequence,
                last_sequence: family.last_sequence(),
            });
        }
        let members =
            self.plan.families.iter().flat_map(|family| family.members.iter().map(move |member| (family, member)));
        let part = |family: &Family, member: &Member| self.parts.get(&(family.name.clone(), member.ftk.clone()));
        let made: Vec<(&Family, &Member, &Part)> =
            members.filter_map(|(family, member)| Some((family, member, part(family, member)?))).collect();
        Ok(MspBuildReport {
            schema: "patchwright.msp-build/1",
            pcp: self.builder.path.to_owned(),
            output: output.to_owned(),
            patch_guid: self.builder.settings.patch_guid.clone(),
            patch_bytes,
            product_codes,
            families,
            files: made.iter().map(|(family, member, part)| self.file(family, member, part)).collect(),
            pairs: (0..self.pairs.len()).map(|index| self.pair(index)).collect(),
            sequence: sequence
                .iter()
                .map(|row| MspSequence {
                    family: row.family.clone(),
                    product_code: row.product_code.clone(),
                    sequence: row.sequence.clone(),
                    supersedes: row.attributes == Some(1),
                })
                .collect(),
            time,
            findings: findings.into_iter().map(crate::pcp::finding).collect(),
            warnings: made.iter().flat_map(|(.., part)| part.warnings.clone()).collect(),
            temp_folder: None,
        })
    }

    fn file(&self, family: &Family, member: &Member, part: &Part) -> MspFile {
        let olds = match &member.kind {
            Kind::Delta(olds) => olds.as_slice(),
            Kind::Whole(_) => &[],
        };
        let (kind, why, cached) = match &part.shape {
            Shape::Whole(why) => ("whole", Some(why_whole(why)), false),
            Shape::Delta { cached, .. } => ("delta", None, *cached),
        };
        let ranges = |count: fn(&patchwright_formats::Regions) -> usize| {
            olds.iter().map(|old| count(&old.regions)).max().unwrap_or(0)
        };
        let targets: Vec<String> =
            member.pairs.iter().filter_map(|pair| Some(self.plan.pairs.get(*pair)?.target.clone())).collect();
        MspFile {
            family: family.name.clone(),
            file: member.ftk.clone(),
            sequence: member.sequence,
            kind,
            why,
            new_bytes: member.content.len,
            shipped_bytes: part.shipped.len,
            olds: olds.len(),
            ignored_ranges: ranges(|regions| regions.ignore.len()),
            retained_ranges: ranges(|regions| regions.retain.len()),
            targets,
            non_vital: !member.non_vital.is_empty(),
            cached,
        }
    }

    fn pair(&self, index: usize) -> MspPair {
        let (pair, made) = (&self.plan.pairs[index], &self.pairs[index]);
        let product = self.products.get(index).cloned().unwrap_or_default();
        let place = |table: &str, row: &str, column: &str| {
            let column = if column.is_empty() { String::new() } else { format!(".{column}") };
            let row = if row.is_empty() { String::new() } else { format!(" [{row}]") };
            format!("{table}{row}{column}")
        };
        let shown =
            |value: Option<&patchwright_msi::database::Value>| value.map_or("nothing".to_owned(), ToString::to_string);
        MspPair {
            target: pair.target.clone(),
            upgraded: pair.upgraded.clone(),
            product_code: product.code,
            version: product.version,
            upgraded_version: product.upgraded_version,
            tables: made.made.main.tables.iter().map(|table| table.name.clone()).collect(),
            kept: made
                .made
                .kept
                .iter()
                .map(|kept| {
                    let place = place(&kept.table, &kept.row, &kept.column);
                    format!(
                        "{place} stays {}, not {}: {}",
                        shown(kept.old.as_ref()),
                        shown(kept.new.as_ref()),
                        kept.why
                    )
                })
                .collect(),
            refreshed: made
                .refreshed
                .iter()
                .map(|change| {
                    let place = place(change.table, &change.ftk, change.column);
                    format!("{place} is {}, not {}", change.new, change.old)
                })
                .collect(),
        }
    }
}

fn why_whole(why: &WhyWhole) -> String {
    match why {
        WhyWhole::WholeFilesOnly => "IncludeWholeFilesOnly is 1".to_owned(),
        WhyWhole::Asked => "IncludeWholeFile is set".to_owned(),
        WhyWhole::NewFor(target) => format!("{target} does not have it"),
        WhyWhole::Empty => "it is empty".to_owned(),
        WhyWhole::DeltaBigger => "a delta is no smaller".to_owned(),
        WhyWhole::TooLarge => "it is too large for a delta".to_owned(),
    }
}
