//! What an installer says about its product and about itself.

use super::rows::Rows;
use crate::database::{Database, Property};

/// A product, as far as patches look at it. What the installer does not say is `None`; nothing here is checked.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Product {
    /// `ProductCode`
    pub code: Option<String>,
    /// `ProductVersion`
    pub version: Option<String>,
    /// `UpgradeCode`
    pub upgrade_code: Option<String>,
    /// `ProductLanguage`, a decimal number
    pub language: Option<String>,
    /// `ProductName`
    pub name: Option<String>,
    /// `Manufacturer`
    pub manufacturer: Option<String>,
    /// The identity of the package: summary property 9.
    pub package_code: Option<String>,
    /// Platform and languages: summary property 7.
    pub template: Option<String>,
    /// How its files are laid out.
    pub layout: Layout,
}

/// How the source of an installer is laid out: the word count of its summary information.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Layout {
    /// The word itself.
    pub word_count: i32,
}

impl Layout {
    /// Files and folders have their short names.
    pub fn has_short_names(self) -> bool {
        self.word_count & 1 != 0
    }

    /// Files are in cabinets unless their row says otherwise.
    pub fn is_compressed(self) -> bool {
        self.word_count & 2 != 0 && !self.is_administrative()
    }

    /// `msiexec /a` made it: no file is in a cabinet.
    pub fn is_administrative(self) -> bool {
        self.word_count & 4 != 0
    }
}

impl Product {
    pub(super) fn of(database: &Database) -> Self {
        let property = |name: &str| {
            let mut rows = Rows::of(database, "Property").iter();
            let row = rows.find(|row| row.text("Property") == Some(name))?;
            row.text("Value").map(str::to_owned)
        };
        let summary = |number| match database.summary.properties.get(&number) {
            Some(Property::Text(text)) if !text.is_empty() => Some(text.clone()),
            _ => None,
        };
        let word_count = match database.summary.properties.get(&15) {
            Some(Property::I4(number)) => *number,
            Some(Property::I2(number)) => i32::from(*number),
            _ => 0,
        };
        Self {
            code: property("ProductCode"),
            version: property("ProductVersion"),
            upgrade_code: property("UpgradeCode"),
            language: property("ProductLanguage"),
            name: property("ProductName"),
            manufacturer: property("Manufacturer"),
            package_code: summary(9),
            template: summary(7),
            layout: Layout { word_count },
        }
    }
}
