//! The transforms of every pair, the patch put together, and its proof.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{File, OpenOptions};
use std::io::{self, BufReader, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use patchwright_msi::Objections;
use patchwright_msi::build::cabinet::{self, Expected};
use patchwright_msi::build::pair::{self, DeltaPart, PairInput, PairTransforms, Step};
use patchwright_msi::build::plan::{Family, Member, Plan};
use patchwright_msi::build::refresh::{FileFacts, Refreshed, refresh};
use patchwright_msi::build::root;
use patchwright_msi::code::Code;
use patchwright_msi::database::Database;
use patchwright_msi::image::Content;
use patchwright_msi::msp::{self, Cabinet, Contents as PatchContents, Msp, PatchSummary, Sequence};
use patchwright_msi::patch_tables::PatchTables;
use patchwright_msi::transform::ErrorConditions;
use patchwright_msi::transform::info::Validation;
use rayon::prelude::*;

use super::build::Builder;
use super::failure::{Coded, Failure, Result, pcw};
use super::log::LogLevel;
use super::parts::{Parts, Shape, bug};
use crate::error::{Error, ErrorKind};
use crate::installer::load;

/// The transforms of a pair with what they were made of.
pub(super) struct MadePair<'a> {
    /// Name of the main transform.
    pub(super) name: String,
    pub(super) target: &'a Database,
    /// The upgraded tables, brought up to date.
    pub(super) upgraded: Database,
    pub(super) left_alone: BTreeSet<String>,
    pub(super) validation: Validation,
    pub(super) made: PairTransforms,
    pub(super) refreshed: Vec<Refreshed>,
}

impl Builder<'_> {
    /// The transforms of every pair.
    pub(super) fn pairs(&self, plan: &Plan, parts: &Parts) -> Result<Vec<MadePair<'_>>> {
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
    pub(super) fn assembled(
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
    pub(super) fn proven(&self, draft: &Path, plan: &Plan, pairs: &[MadePair<'_>], parts: &Parts) -> Result<()> {
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
                    let expected = Expected { name: &member.ftk, len: shipped.len, hash: shipped.hash };
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
                let content: Box<dyn Content> = Box::new(again);
                Ok(content)
            };
            cabinet::prove(open, &expected).map_err(|error| unproven(error.to_string()))?;
        }
        Ok(())
    }
}

fn unmade(code: Code, name: &str, objections: &Objections, pcp: &Path) -> Failure {
    let lines = objections.0.iter().map(|objection| {
        let hint = if objection.hint.is_empty() { String::new() } else { format!(": {}", objection.hint) };
        format!("{name}: {objection}{hint}")
    });
    let what = format!("{name} cannot be made ({}, 0x{:08X})", code.name, code.number);
    Failure::new(code, Error::new(ErrorKind::Malformed, what).at(pcp).details(lines))
}
