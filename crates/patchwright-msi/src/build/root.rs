//! What a patch says about itself: its place among others, its description, the products that it is for.
//!
//! The tables `MsiPatchSequence` and `MsiPatchMetadata` are the patch's own; they are in no transform. A place among
//! others that the author does not give is made as PATCHWIZ makes it: the second and third number of the highest version
//! that is patched, and the time in two halves.

use std::collections::{BTreeMap, BTreeSet};

use super::settings::Settings;
use crate::check::{Finding, Severity};
use crate::code as pcw;
use crate::guid::is_guid;
use crate::msp::{Metadata, Sequence};
use crate::pcp::{Pcp, SequenceRow};

/// A product as a patch finds and leaves it. The checks have seen that all of it is there.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PatchedProduct {
    /// Name of the target image.
    pub target: String,
    /// Its `ProductCode`.
    pub code: String,
    /// Its `ProductVersion`.
    pub version: String,
    /// `ProductCode` of the upgraded image.
    pub upgraded_code: String,
    /// `ProductVersion` of the upgraded image.
    pub upgraded_version: String,
}

impl PatchedProduct {
    fn is_major_upgrade(&self) -> bool {
        !self.code.eq_ignore_ascii_case(&self.upgraded_code)
    }

    /// Whether the version stays: then the patch is a small update.
    fn is_small_update(&self) -> bool {
        fields(&self.version) == fields(&self.upgraded_version)
    }
}

/// The three numbers of a version that count; those that are missing are 0.
fn fields(version: &str) -> [u32; 3] {
    let mut numbers = version.split('.').map(|field| field.trim().parse().unwrap_or(0));
    std::array::from_fn(|_| numbers.next().unwrap_or(0))
}

/// The second and third number of the highest version, and the time, as a sequence.
fn made_sequence<'a>(versions: impl Iterator<Item = &'a str>, time: u64) -> String {
    let [_, minor, build] = versions.map(fields).max().unwrap_or_default();
    let seconds = u32::try_from(time & 0xFFFF_FFFF).unwrap_or_default();
    format!("{minor}.{build}.{}.{}", seconds >> 16, seconds & 0xFFFF)
}

/// The rows of `MsiPatchSequence`; none: there is to be no such table.
///
/// `time` is that of the patch: seconds since 1970.
pub fn sequence(
    pcp: &Pcp,
    settings: &Settings,
    products: &[PatchedProduct],
    time: u64,
    findings: &mut Vec<Finding>,
) -> Vec<Sequence> {
    // A table without rows has no stream, and Windows Installer refuses a patch whose table has none.
    let given = pcp.sequence.as_deref().filter(|rows| !rows.is_empty());
    let mut rows = match given {
        Some(rows) => given_rows(rows, products, time, findings),
        None if settings.no_generated_sequence => Vec::new(),
        None => made_rows(settings, products, time, findings),
    };
    rows.sort_by(|one, other| (&one.family, &one.product_code).cmp(&(&other.family, &other.product_code)));
    rows
}

fn given_rows(
    rows: &[SequenceRow],
    products: &[PatchedProduct],
    time: u64,
    findings: &mut Vec<Finding>,
) -> Vec<Sequence> {
    let mut seen: BTreeSet<(String, Option<String>)> = BTreeSet::new();
    let mut made = Vec::new();
    for row in rows {
        let product = row.target.as_deref().and_then(|target| match is_guid(target) {
            true => Some(target.to_ascii_uppercase()),
            false => products.iter().find(|product| product.target == target).map(|product| product.code.clone()),
        });
        let versions = products
            .iter()
            .filter(|patched| product.as_ref().is_none_or(|code| patched.code.eq_ignore_ascii_case(code)));
        let sequence = row.sequence.clone();
        let sequence =
            sequence.unwrap_or_else(|| made_sequence(versions.map(|product| product.version.as_str()), time));
        if !seen.insert((row.patch_family.clone(), product.clone())) {
            findings.push(Finding {
                severity: Severity::Error,
                code: pcw::DUPLICATE_SEQUENCE_RECORD,
                table: "PatchSequence",
                row: Some(format!("{}, {}", row.patch_family, row.target.as_deref().unwrap_or_default())),
                column: Some("Target"),
                message: "another row of the family is for the same product".to_owned(),
                details: Vec::new(),
                hint: "remove one of them: targets with one product code are one product",
            });
            continue;
        }
        made.push(Sequence {
            family: row.patch_family.clone(),
            product_code: product,
            sequence: Some(sequence),
            attributes: row.supersede,
        });
    }
    made
}

fn made_rows(
    settings: &Settings,
    products: &[PatchedProduct],
    time: u64,
    findings: &mut Vec<Finding>,
) -> Vec<Sequence> {
    if let Some(product) = products.iter().find(|product| product.is_major_upgrade()) {
        findings.push(Finding {
            severity: Severity::Warning,
            code: pcw::CANT_GENERATE_SEQUENCEINFO_MAJORUPGD,
            table: "TargetImages",
            row: Some(product.target.clone()),
            column: Some("Target"),
            message: "the product code changes, so no place among other patches is made".to_owned(),
            details: Vec::new(),
            hint: "add a table PatchSequence if patches of the product are to be ordered",
        });
        return Vec::new();
    }
    let mut codes: BTreeMap<String, Vec<&PatchedProduct>> = BTreeMap::new();
    for product in products {
        codes.entry(product.code.to_ascii_uppercase()).or_default().push(product);
    }
    codes
        .iter()
        .map(|(code, products)| {
            let family: String = code.chars().filter(char::is_ascii_alphanumeric).collect();
            // A small update leaves earlier ones in place; what raises the version replaces them.
            let supersedes = !products.iter().all(|product| product.is_small_update());
            Sequence {
                family,
                product_code: None,
                sequence: Some(made_sequence(products.iter().map(|product| product.version.as_str()), time)),
                attributes: Some(i32::from(settings.supersedence.unwrap_or(supersedes))),
            }
        })
        .collect()
}

/// The rows of `MsiPatchMetadata`: what the author wrote.
pub fn metadata(pcp: &Pcp) -> Vec<Metadata> {
    let rows = pcp.metadata.iter().flatten();
    rows.map(|row| Metadata { company: row.company.clone(), property: row.property.clone(), value: row.value.clone() })
        .collect()
}

/// Codes of the products that the patch is for. A leading `*` is those of the targets.
pub fn product_codes(settings: &Settings, products: &[PatchedProduct]) -> Vec<String> {
    let list = settings.target_product_codes.as_deref().unwrap_or("*");
    let mut codes: Vec<String> = Vec::new();
    for item in list.split(';').map(str::trim).filter(|item| !item.is_empty()) {
        let more: Vec<&str> = match item {
            "*" => products.iter().map(|product| product.code.as_str()).collect(),
            code => vec![code],
        };
        for code in more.into_iter().map(str::to_ascii_uppercase) {
            if !codes.contains(&code) {
                codes.push(code);
            }
        }
    }
    codes
}

#[cfg(test)]
mod tests {
    use super::*;

    const CODE: &str = "{913B8D18-FBB6-4CAC-A239-C74C11E3FA74}";
    const OTHER: &str = "{11111111-2222-3333-4444-555555555555}";

    fn product(target: &str, code: &str, version: &str, upgraded: &str) -> PatchedProduct {
        PatchedProduct {
            target: target.to_owned(),
            code: code.to_owned(),
            version: version.to_owned(),
            upgraded_code: code.to_owned(),
            upgraded_version: upgraded.to_owned(),
        }
    }

    fn rows(pcp: &Pcp, settings: &Settings, products: &[PatchedProduct]) -> Vec<String> {
        let rows = sequence(pcp, settings, products, 1_270_649_198, &mut Vec::new());
        let text = |text: Option<String>| text.unwrap_or_default();
        let line = |row: Sequence| {
            let attributes = text(row.attributes.map(|number| number.to_string()));
            format!("{}|{}|{}|{attributes}", row.family, text(row.product_code), text(row.sequence))
        };
        rows.into_iter().map(line).collect()
    }

    /// The row of a patch that PATCHWIZ made on 2010-04-07.
    #[test]
    fn a_sequence_is_made_as_patchwiz_makes_it() {
        let (pcp, settings) = (Pcp::default(), Settings::default());
        let small = product("T", CODE, "1.1.1", "1.1.1");
        let family = "913B8D18FBB64CACA239C74C11E3FA74";
        let cases = [
            (vec![small.clone()], vec![format!("{family}||1.1.19388.37230|0")]),
            (vec![small.clone(), product("U", CODE, "1.10.2", "1.11")], vec![format!("{family}||10.2.19388.37230|1")]),
            (
                vec![small, product("U", OTHER, "2.0", "2.0.0.7")],
                vec![
                    "11111111222233334444555555555555||0.0.19388.37230|0".to_owned(),
                    format!("{family}||1.1.19388.37230|0"),
                ],
            ),
        ];
        for (products, expect) in cases {
            assert_eq!(rows(&pcp, &settings, &products), expect);
        }
    }

    #[test]
    fn settings_decide_whether_and_how() {
        let products = [product("T", CODE, "1.0", "1.1")];
        let empty = Pcp { sequence: Some(Vec::new()), ..Pcp::default() };
        let settings = |no_generated_sequence, supersedence| Settings {
            no_generated_sequence,
            supersedence,
            ..Settings::default()
        };
        for pcp in [Pcp::default(), empty] {
            assert!(rows(&pcp, &settings(true, None), &products).is_empty(), "none, and no table without rows");
            assert!(rows(&pcp, &settings(false, Some(false)), &products)[0].ends_with("|0"));
            assert!(rows(&pcp, &settings(false, None), &products)[0].ends_with("|1"));
        }
        let major = PatchedProduct { upgraded_code: OTHER.to_owned(), ..products[0].clone() };
        let mut findings = Vec::new();
        assert!(sequence(&Pcp::default(), &settings(false, None), &[major], 0, &mut findings).is_empty());
        assert_eq!(findings[0].severity, Severity::Warning);
    }

    #[test]
    fn given_rows_name_products_by_image_or_code() {
        let row = |target: Option<&str>, sequence: Option<&str>, supersede| SequenceRow {
            patch_family: "Fixes".to_owned(),
            target: target.map(str::to_owned),
            sequence: sequence.map(str::to_owned),
            supersede,
        };
        let other = OTHER.to_ascii_lowercase();
        let pcp = Pcp {
            sequence: Some(vec![
                row(None, Some("1.2"), Some(1)),
                row(Some("T"), None, Some(0)),
                row(Some(&other), Some("3"), None),
            ]),
            ..Pcp::default()
        };
        let products = [product("T", CODE, "1.4.0", "1.4.0")];
        let expect =
            ["Fixes||1.2|1".to_owned(), format!("Fixes|{OTHER}|3|"), format!("Fixes|{CODE}|4.0.19388.37230|0")];
        assert_eq!(rows(&pcp, &Settings::default(), &products), expect);

        let twice = Pcp { sequence: Some(vec![row(Some("T"), None, None), row(Some(CODE), None, None)]), ..pcp };
        let mut findings = Vec::new();
        sequence(&twice, &Settings::default(), &products, 0, &mut findings);
        assert_eq!((findings.len(), findings[0].code), (1, pcw::DUPLICATE_SEQUENCE_RECORD));
    }

    #[test]
    fn a_star_stands_for_the_targets() {
        let products = [product("A", CODE, "1", "1"), product("B", OTHER, "1", "1"), product("C", CODE, "1", "1")];
        let third = "{aaaaaaaa-2222-3333-4444-555555555555}";
        for (list, expect) in [
            (None, format!("{CODE};{OTHER}")),
            (Some("*".to_owned()), format!("{CODE};{OTHER}")),
            (Some(format!("*;{third};{OTHER}")), format!("{CODE};{OTHER};{}", third.to_uppercase())),
            (Some(OTHER.to_owned()), OTHER.to_owned()),
        ] {
            let settings = Settings { target_product_codes: list.clone(), ..Settings::default() };
            assert_eq!(product_codes(&settings, &products).join(";"), expect, "{list:?}");
        }
    }
}
