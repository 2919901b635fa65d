//! The two transforms of a pair of images.
//!
//! The first leads from the target's tables to the upgraded ones, as far as an installed product can go there: where its
//! files lie in the media stays. The second adds what the patch needs to find its files. It is made for what the first
//! one leaves behind, which is what it will be applied to, and not for the upgraded tables themselves.

use std::collections::BTreeSet;

use super::plan::{Kind, Pair, Plan};
use super::settings::Settings;
use crate::database::{Database, Value};
use crate::msp::Msp;
use crate::objection::{Objection, Objections};
use crate::patch_tables::{self, Delta, PatchMedia, PatchTables, WholeFile};
use crate::pcp::Pcp;
use crate::transform::info::{TransformInfo, Validation};
use crate::transform::{ErrorConditions, Known, Rules, Suppressed, Transform, apply, diff};

/// What was made of a file that is a delta.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DeltaPart {
    /// Length of the delta.
    pub len_bytes: u64,
    /// Its header.
    pub header: Vec<u8>,
}

/// What the transforms of a pair are made of.
#[derive(Clone, Copy, Debug)]
pub struct PairInput<'a> {
    /// The target's tables.
    pub target: &'a Database,
    /// The upgraded tables, brought up to date.
    pub upgraded: &'a Database,
    /// Files whose rows stay as the target has them.
    pub left_alone: &'a BTreeSet<String>,
    /// What the patch adds.
    pub tables: &'a PatchTables<'a>,
    /// What is compared before a transform is applied.
    pub validation: Validation,
    /// What does not stop one.
    pub suppressed: ErrorConditions,
}

/// The transforms of a pair, and what they make of the target's tables.
#[derive(Clone, Debug)]
pub struct PairTransforms {
    /// From the target to the upgraded tables.
    pub main: Transform,
    /// From there to the tables with the patch in them.
    pub patch: Transform,
    /// Differences that the first one leaves alone.
    pub kept: Vec<Suppressed>,
    /// The tables after the first.
    pub upgraded: Database,
    /// The tables after both.
    pub patched: Database,
}

/// The flags of the second transform ask for two things more than those of the first.
const ALSO_COMPARED: u16 = Validation::LANGUAGE | Validation::PLATFORM;

/// Makes both transforms.
///
/// # Errors
/// Everything that stands against either, and [`Step`] says which.
pub fn transforms(input: PairInput<'_>) -> Result<PairTransforms, (Step, Objections)> {
    let main_failed = |objections| (Step::Main, objections);
    let rules = Rules::main().ignore_files(input.left_alone.iter().cloned());
    let found = diff(input.target, input.upgraded, &rules).map_err(main_failed)?;
    let mut main = found.transform;
    let info = TransformInfo::of(input.target, input.upgraded, input.validation, input.suppressed);
    main.summary = info.map_err(main_failed)?.summary(&input.target.summary);
    let mut upgraded = apply(&main, input.target, ErrorConditions::NONE).map_err(main_failed)?;
    upgraded.summary = input.upgraded.summary.clone();

    let patch_failed = |objections| (Step::Patch, objections);
    let patched = patch_tables::add(&upgraded, input.tables).map_err(patch_failed)?;
    let mut patch = diff(&upgraded, &patched, &Rules::default()).map_err(patch_failed)?.transform;
    let validation = Validation(input.validation.0 | ALSO_COMPARED);
    let info = TransformInfo::of(&upgraded, &patched, validation, input.suppressed);
    patch.summary = info.map_err(patch_failed)?.summary(&upgraded.summary);
    Ok(PairTransforms { main, patch, kept: found.suppressed, upgraded, patched })
}

/// Which transform something is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// The first.
    Main,
    /// The second, whose name begins with `#`.
    Patch,
}

/// Files that a pair leaves as the target has them, by `UpgradedFilesToIgnore`.
pub fn left_alone(pcp: &Pcp, pair: &Pair, databases: [&Database; 2]) -> BTreeSet<String> {
    let keys = databases.into_iter().filter_map(|database| database.table("File")).flat_map(|table| {
        let key = table.column("File");
        table.rows.iter().filter_map(move |row| match row.get(key?) {
            Some(Value::Str(text)) => Some(text.clone()),
            _ => None,
        })
    });
    keys.filter(|ftk| Plan::is_ignored(pcp, pair, ftk)).collect()
}

/// What a patch adds for a pair. `delta` gives the part of a file that is one, and nothing for one that goes whole.
pub fn tables<'a>(
    plan: &Plan,
    pair: usize,
    settings: &Settings,
    definitions: Option<&'a Database>,
    patch_files_sequence: Option<i16>,
    delta: impl Fn(&str, &str) -> Option<DeltaPart>,
) -> PatchTables<'a> {
    let mut tables = PatchTables {
        patch_code: settings.patch_guid.clone(),
        patch_files_sequence,
        definitions,
        ..PatchTables::default()
    };
    let Some((pair_of, family)) = plan.pairs.get(pair).and_then(|pair| Some((pair, plan.families.get(pair.family)?)))
    else {
        return tables;
    };
    tables.media.push(PatchMedia {
        disk_id: family.disk_id,
        last_sequence: family.last_sequence(),
        disk_prompt: family.disk_prompt.clone(),
        cabinet: family.cabinet(),
        volume_label: family.volume_label.clone(),
        source: family.source_property.clone(),
    });
    for member in plan.members_of(pair) {
        let part = match &member.kind {
            Kind::Whole(_) => None,
            Kind::Delta(_) => delta(&family.name, &member.ftk),
        };
        match part {
            None => tables.whole_files.push(WholeFile { file: member.ftk.clone(), sequence: member.sequence }),
            Some(part) => tables.deltas.push(Delta {
                file: member.ftk.clone(),
                sequence: member.sequence,
                // What is longer than its column takes is refused there.
                size: u32::try_from(part.len_bytes).unwrap_or(u32::MAX),
                header: part.header,
                vital: !member.non_vital.contains(&pair_of.upgraded),
            }),
        }
    }
    tables
}

/// Reads the transforms of a pair back from a patch and follows them: they must lead to the tables that were meant.
///
/// # Errors
/// What cannot be read or applied; tables that come out otherwise.
pub fn prove<F: std::io::Read + std::io::Seek>(
    msp: &mut Msp<F>,
    pair: &Pair,
    input: PairInput<'_>,
    made: &PairTransforms,
) -> Result<(), Objections> {
    let rules = Rules::main().ignore_files(input.left_alone.iter().cloned());
    let name = pair.transform();
    let main = msp.transform(&name, Known::Database(input.target))?;
    let upgraded = apply(&main, input.target, ErrorConditions::NONE)?;
    let mut unmet = Vec::new();
    let mut same = |name: &str, one: &Database, other: &Database| {
        let told = |transform: &Transform| {
            let tables = transform.tables.iter().map(|table| table.name.as_str());
            format!("the transform {name} read back makes other tables: {}", tables.collect::<Vec<_>>().join(", "))
        };
        match diff(one, other, &Rules::default()) {
            Ok(found) if found.transform.is_empty() => {}
            Ok(found) => unmet.push(Objection::of_database(told(&found.transform), "")),
            Err(objections) => unmet.extend(objections.0),
        }
    };
    same(&name, &upgraded, &made.upgraded);
    let hash = format!("#{name}");
    let patch = msp.transform(&hash, Known::Database(&upgraded))?;
    same(&hash, &apply(&patch, &upgraded, ErrorConditions::NONE)?, &made.patched);
    // What is left between the target so treated and the new version is what must stay as it is, and nothing else.
    let rest = diff(&upgraded, input.upgraded, &rules)?.transform;
    if !rest.is_empty() {
        let tables: Vec<&str> = rest.tables.iter().map(|table| table.name.as_str()).collect();
        let what = format!("the transform {name} does not lead to the upgraded tables: {}", tables.join(", "));
        unmet.push(Objection::of_database(what, ""));
    }
    Objections::or(unmet, ())
}
