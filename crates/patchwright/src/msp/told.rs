//! What is told of a patch that was built.

use std::fs;
use std::path::{Path, PathBuf};

use patchwright_formats::Regions;
use patchwright_msi::build::plan::{Family, Kind, Member, Plan, WhyWhole};
use patchwright_msi::build::root::PatchedProduct;
use patchwright_msi::check::Finding;
use patchwright_msi::database::Value;
use patchwright_msi::msp::Sequence;

use super::assemble::MadePair;
use super::build::Builder;
use super::failure::{Failure, Result, pcw};
use super::parts::{Part, Parts, Shape};
use super::report::{MspBuildReport, MspFamily, MspFile, MspPair, MspSequence};

/// What there is to tell.
pub(super) struct Told<'a> {
    pub(super) builder: &'a Builder<'a>,
    pub(super) plan: &'a Plan,
    pub(super) parts: &'a Parts,
    pub(super) pairs: &'a [MadePair<'a>],
    pub(super) products: &'a [PatchedProduct],
}

impl Told<'_> {
    #[allow(clippy::too_many_arguments, reason = "the parts of a report, each once")]
    pub(super) fn report(
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
            sequence: sequence.iter().map(MspSequence::from).collect(),
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
        let ranges = |count: fn(&Regions) -> usize| olds.iter().map(|old| count(&old.regions)).max().unwrap_or(0);
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
        let shown = |value: Option<&Value>| value.map_or("nothing".to_owned(), ToString::to_string);
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
