//! The summary information of a transform: from which product to which it leads, and when it may be applied.
//!
//! `PID_REVNUMBER` is `{ProductCode}Version;{ProductCode}Version;{UpgradeCode}` of base and result, `PID_CHARCOUNT` has the
//! validation flags in its upper word and the suppressed error conditions in its lower one.

use super::ErrorConditions;
use crate::database::{Database, Property, Summary, Value};
use crate::guid::is_guid;
use crate::objection::{Objection, Objections};

/// Numbers of properties.
pub(crate) mod pid {
    pub(crate) const CODE_PAGE: u32 = 1;
    pub(crate) const TITLE: u32 = 2;
    pub(crate) const SUBJECT: u32 = 3;
    pub(crate) const AUTHOR: u32 = 4;
    pub(crate) const KEYWORDS: u32 = 5;
    pub(crate) const COMMENTS: u32 = 6;
    pub(crate) const TEMPLATE: u32 = 7;
    pub(crate) const LAST_AUTHOR: u32 = 8;
    pub(crate) const REVISION: u32 = 9;
    pub(crate) const CREATED: u32 = 12;
    pub(crate) const SAVED: u32 = 13;
    pub(crate) const PAGE_COUNT: u32 = 14;
    pub(crate) const WORD_COUNT: u32 = 15;
    pub(crate) const CHARACTER_COUNT: u32 = 16;
    pub(crate) const APPLICATION: u32 = 18;
    pub(crate) const SECURITY: u32 = 19;
}

/// What is compared before a transform is applied: the upper word of `PID_CHARCOUNT`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Validation(pub u16);

impl Validation {
    /// The language must be that of the base.
    pub const LANGUAGE: u16 = 0x0001;
    /// The product code must be that of the base.
    pub const PRODUCT: u16 = 0x0002;
    /// The platform must be that of the base.
    pub const PLATFORM: u16 = 0x0004;
    /// Versions are compared by their first field.
    pub const MAJOR_VERSION: u16 = 0x0008;
    /// Versions are compared by their first two fields.
    pub const MINOR_VERSION: u16 = 0x0010;
    /// Versions are compared by their first three fields.
    pub const UPDATE_VERSION: u16 = 0x0020;
    /// The version of the product must be less than that of the base.
    pub const LESS: u16 = 0x0040;
    /// It must be less or equal.
    pub const LESS_OR_EQUAL: u16 = 0x0080;
    /// It must be equal.
    pub const EQUAL: u16 = 0x0100;
    /// It must be greater or equal.
    pub const GREATER_OR_EQUAL: u16 = 0x0200;
    /// It must be greater.
    pub const GREATER: u16 = 0x0400;
    /// The upgrade code must be that of the base.
    pub const UPGRADE_CODE: u16 = 0x0800;
    /// All that there are.
    pub const ALL: u16 = 0x0fff;
    /// What a patch asks for as a rule: product, first three fields of the version equal, upgrade code.
    pub const DEFAULT: Self = Self(0x0922);

    const NAMES: [(u16, &str); 12] = [
        (Self::LANGUAGE, "language"),
        (Self::PRODUCT, "product"),
        (Self::PLATFORM, "platform"),
        (Self::MAJOR_VERSION, "major-version"),
        (Self::MINOR_VERSION, "minor-version"),
        (Self::UPDATE_VERSION, "update-version"),
        (Self::LESS, "less"),
        (Self::LESS_OR_EQUAL, "less-or-equal"),
        (Self::EQUAL, "equal"),
        (Self::GREATER_OR_EQUAL, "greater-or-equal"),
        (Self::GREATER, "greater"),
        (Self::UPGRADE_CODE, "upgrade-code"),
    ];

    /// Whether this is compared.
    pub fn has(self, flag: u16) -> bool {
        self.0 & flag != 0
    }

    /// The names of what is compared, and how.
    pub fn names(self) -> Vec<&'static str> {
        Self::NAMES.iter().filter(|(bit, _)| self.has(*bit)).map(|(_, name)| *name).collect()
    }

    /// How many fields of a version are compared, and what must hold between base and product; `None` if they are not.
    fn version_test(self) -> Option<(usize, u16)> {
        // Where several are set, the most exact one decides.
        let fields = [(Self::UPDATE_VERSION, 3), (Self::MINOR_VERSION, 2), (Self::MAJOR_VERSION, 1)];
        let fields = fields.into_iter().find(|(flag, _)| self.has(*flag))?.1;
        let orders = [Self::EQUAL, Self::LESS, Self::GREATER, Self::LESS_OR_EQUAL, Self::GREATER_OR_EQUAL];
        let order = orders.into_iter().find(|flag| self.has(*flag))?;
        Some((fields, order))
    }
}

/// What identifies a version of a product.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Product {
    /// `ProductCode`, in braces.
    pub code: String,
    /// `ProductVersion`.
    pub version: String,
    /// `UpgradeCode`, in braces; a product may have none.
    pub upgrade_code: Option<String>,
    /// Platform, as in the summary information: `Intel`, `x64`, `Arm64`; empty is `Intel`.
    pub platform: String,
    /// Languages, the default one first.
    pub languages: Vec<u16>,
}

impl Product {
    /// The product that a database installs. Errors name every property that is missing or malformed.
    pub fn of(database: &Database) -> Result<Self, Objections> {
        let mut objections = Vec::new();
        let mut need = |name: &str, is_sound: fn(&str) -> bool| -> String {
            let value = property(database, name);
            if !value.as_deref().is_some_and(is_sound) {
                let what =
                    value.map_or("it is not set".to_owned(), |value| format!("{value:?} is not what it should be"));
                objections.push(Objection::of_table("Property", what, "every product has one").row(name));
                return String::new();
            }
            value.unwrap_or_default()
        };
        let code = need("ProductCode", is_guid);
        let version = need("ProductVersion", |version| fields(version).is_some());
        let upgrade_code = property(database, "UpgradeCode");
        if upgrade_code.as_deref().is_some_and(|code| !is_guid(code)) {
            let what = "it is no GUID in braces";
            objections
                .push(Objection::of_table("Property", what, "set it to the one of the product").row("UpgradeCode"));
        }
        let (platform, languages) = template(text(&database.summary, pid::TEMPLATE).unwrap_or_default());
        let code = code.to_ascii_uppercase();
        let upgrade_code = upgrade_code.map(|code| code.to_ascii_uppercase());
        Objections::or(objections, Self { code, version, upgrade_code, platform, languages })
    }
}

/// The value of a property of a product.
pub fn property(database: &Database, name: &str) -> Option<String> {
    let table = database.table("Property")?;
    let (key, value) = (table.column("Property")?, table.column("Value")?);
    let row = table.rows.iter().find(|row| matches!(row.get(key), Some(Value::Str(text)) if text == name))?;
    match row.get(value) {
        Some(Value::Str(text)) if !text.is_empty() => Some(text.clone()),
        _ => None,
    }
}

/// The numbers of a version; `None` unless it is one to four numbers, whose first two fit a byte and whose others fit two.
pub(crate) fn fields(version: &str) -> Option<Vec<u32>> {
    let fields: Vec<u32> = version
        .split('.')
        .map(|field| field.bytes().all(|byte| byte.is_ascii_digit()).then(|| field.parse().ok()).flatten())
        .collect::<Option<_>>()?;
    let limits = [255, 255, 65_535, 65_535];
    let sound = fields.len() <= limits.len() && fields.iter().zip(limits).all(|(field, limit)| *field <= limit);
    sound.then_some(fields)
}

/// `Intel;1033,1031` as platform and languages. Platforms may be several, with commas; languages that are no numbers are
/// left out.
fn template(template: &str) -> (String, Vec<u16>) {
    let (platform, languages) = template.split_once(';').unwrap_or((template, ""));
    (platform.trim().to_owned(), languages.split(',').filter_map(|language| language.trim().parse().ok()).collect())
}

/// The text of a property.
pub(crate) fn text(summary: &Summary, number: u32) -> Option<&str> {
    match summary.properties.get(&number) {
        Some(Property::Text(text)) => Some(text),
        _ => None,
    }
}

/// The number of a property.
pub(crate) fn integer(summary: &Summary, number: u32) -> Option<i32> {
    match summary.properties.get(&number) {
        Some(Property::I4(number)) => Some(*number),
        Some(Property::I2(number)) => Some(i32::from(*number)),
        _ => None,
    }
}

/// What the summary information of a transform says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TransformInfo {
    /// Product code and version of the database that it was made for, the upgrade code that a product must have, platform
    /// and languages.
    pub base: Product,
    /// Product code and version, platform and languages of what it leads to.
    pub result: Product,
    /// What is compared before it is applied.
    pub validation: Validation,
    /// What does not stop it.
    pub suppressed: ErrorConditions,
    /// The version of Windows Installer that both databases need at least: 200 is 2.0.
    pub installer: i32,
}

impl TransformInfo {
    /// Says what stands in the way of a sensible transform between two databases: what the flags compare must be there.
    ///
    /// The upgrade code in a transform is that of the result.
    pub fn of(
        base: &Database,
        result: &Database,
        validation: Validation,
        suppressed: ErrorConditions,
    ) -> Result<Self, Objections> {
        let mut objections = Vec::new();
        let mut product = |database: &Database| {
            Product::of(database).unwrap_or_else(|found| {
                objections.extend(found.0);
                Product::default()
            })
        };
        let products = (product(base), product(result));
        let upgrade_code = products.1.upgrade_code.clone().or_else(|| products.0.upgrade_code.clone());
        if validation.has(Validation::UPGRADE_CODE) && upgrade_code.is_none() && objections.is_empty() {
            let hint = "set UpgradeCode in both databases, or take 0x800 out of the validation flags";
            let what = "it is not set, and the validation flags compare it";
            objections.push(Objection::of_table("Property", what, hint).row("UpgradeCode"));
        }
        let pages = |database: &Database| integer(&database.summary, pid::PAGE_COUNT).unwrap_or_default();
        let info = Self {
            base: Product { upgrade_code, ..products.0 },
            result: products.1,
            validation,
            suppressed,
            installer: pages(base).max(pages(result)),
        };
        Objections::or(objections, info)
    }

    /// The summary information, with title, subject, author, keywords and comments of the database called `like`.
    ///
    /// Neither times nor the name of a program are in it: the same databases give the same transform.
    pub fn summary(&self, like: &Summary) -> Summary {
        let mut properties = std::collections::BTreeMap::new();
        for number in [pid::CODE_PAGE, pid::TITLE, pid::SUBJECT, pid::AUTHOR, pid::KEYWORDS, pid::COMMENTS] {
            properties.extend(like.properties.get(&number).map(|property| (number, property.clone())));
        }
        let side = |product: &Product| format!("{}{}", product.code, product.version);
        let revision = format!(
            "{};{};{}",
            side(&self.base),
            side(&self.result),
            self.base.upgrade_code.as_deref().unwrap_or_default()
        );
        let template = |product: &Product| {
            // One language only, the default one.
            let language = product.languages.first().map_or(String::new(), ToString::to_string);
            Property::Text(format!("{};{language}", product.platform))
        };
        let word = u32::from(self.validation.0) << 16 | u32::from(self.suppressed.0);
        properties.insert(pid::TEMPLATE, template(&self.base));
        properties.insert(pid::LAST_AUTHOR, template(&self.result));
        properties.insert(pid::REVISION, Property::Text(revision));
        properties.insert(pid::PAGE_COUNT, Property::I4(self.installer));
        properties.insert(pid::CHARACTER_COUNT, Property::I4(word.cast_signed()));
        properties.insert(pid::SECURITY, Property::I4(4));
        Summary { properties }
    }

    /// Understands the summary information of a transform. Errors name every property that cannot be understood.
    pub fn read(summary: &Summary) -> Result<Self, Objections> {
        let mut objections = Vec::new();
        let mut wrong = |property: &str, what: String| {
            objections.push(
                Objection::of_table("_SummaryInformation", what, "Windows Installer skips such a transform")
                    .row(property),
            );
        };
        let revision = text(summary, pid::REVISION).unwrap_or_default();
        let mut parts = revision.split(';');
        let mut side = || -> Option<Product> {
            let (code, version) = parts.next()?.split_at_checked(38)?;
            let product =
                Product { code: code.to_ascii_uppercase(), version: version.to_owned(), ..Product::default() };
            is_guid(code).then_some(product)
        };
        let sides = (side(), side());
        let upgrade_code = parts.next().filter(|code| !code.is_empty()).map(str::to_ascii_uppercase);
        if upgrade_code.as_deref().is_some_and(|code| !is_guid(code)) || parts.next().is_some() {
            wrong("9", format!("{revision:?} ends with no upgrade code"));
        }
        if sides.0.is_none() || sides.1.is_none() {
            wrong("9", format!("{revision:?} names no two products"));
        }
        let word = integer(summary, pid::CHARACTER_COUNT);
        if word.is_none() {
            wrong("16", "validation flags and error conditions are missing".to_owned());
        }
        let [low, lower, high, higher] = word.unwrap_or_default().to_le_bytes();
        let with = |product: Option<Product>, number: u32| {
            let (platform, languages) = template(text(summary, number).unwrap_or_default());
            Product { platform, languages, ..product.unwrap_or_default() }
        };
        let info = Self {
            base: Product { upgrade_code, ..with(sides.0, pid::TEMPLATE) },
            result: with(sides.1, pid::LAST_AUTHOR),
            validation: Validation(u16::from_le_bytes([high, higher])),
            suppressed: ErrorConditions(u16::from_le_bytes([low, lower])),
            installer: integer(summary, pid::PAGE_COUNT).unwrap_or_default(),
        };
        Objections::or(objections, info)
    }

    /// Why the transform does not apply to a product; empty if it does.
    pub fn mismatches(&self, product: &Product) -> Vec<Mismatch> {
        let (flags, base) = (self.validation, &self.base);
        let mut found = Vec::new();
        let mut differ = |what: &'static str, needed: String, found_here: String| {
            found.push(Mismatch { what, needed, found: found_here });
        };
        if flags.has(Validation::PRODUCT) && !base.code.eq_ignore_ascii_case(&product.code) {
            differ("product code", base.code.clone(), product.code.clone());
        }
        if let Some(needed) = base.upgrade_code.as_deref().filter(|_| flags.has(Validation::UPGRADE_CODE)) {
            let own = product.upgrade_code.clone().unwrap_or_default();
            if !needed.eq_ignore_ascii_case(&own) {
                differ("upgrade code", needed.to_owned(), own);
            }
        }
        if flags.has(Validation::LANGUAGE) && base.languages.first() != product.languages.first() {
            let shown = |product: &Product| product.languages.first().map_or("none".to_owned(), ToString::to_string);
            differ("language", shown(base), shown(product));
        }
        if flags.has(Validation::PLATFORM) && platform(&base.platform) != platform(&product.platform) {
            differ("platform", platform(&base.platform), platform(&product.platform));
        }
        if let Some((count, order)) = flags.version_test() {
            let (stored, installed) = (leading(&base.version, count), leading(&product.version, count));
            let (holds, sign) = match order {
                Validation::LESS => (installed < stored, "less than"),
                Validation::LESS_OR_EQUAL => (installed <= stored, "at most"),
                Validation::GREATER => (installed > stored, "more than"),
                Validation::GREATER_OR_EQUAL => (installed >= stored, "at least"),
                _ => (stored == installed, "exactly"),
            };
            if !holds {
                let version =
                    leading(&base.version, count).iter().map(ToString::to_string).collect::<Vec<_>>().join(".");
                let fields = if count == 1 {
                    "first field"
                } else if count == 2 {
                    "first two fields"
                } else {
                    "first three fields"
                };
                differ("version", format!("{sign} {version} ({fields})"), product.version.clone());
            }
        }
        found
    }
}

/// A reason why a transform does not apply.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mismatch {
    /// What does not match: `product code`, `upgrade code`, `language`, `platform`, `version`.
    pub what: &'static str,
    /// What the transform needs.
    pub needed: String,
    /// What the product has.
    pub found: String,
}

fn platform(platform: &str) -> String {
    // A database without one is of 32 bits.
    if platform.is_empty() { "Intel".to_owned() } else { platform.to_owned() }
}

/// The first fields of a version; what is missing is 0.
fn leading(version: &str, count: usize) -> Vec<u32> {
    let numbers = version.split('.').map(|field| field.trim().parse().unwrap_or_default());
    numbers.chain(std::iter::repeat(0)).take(count).collect()
}
