//! Where the files of each directory lie in the source: the Directory table.
//!
//! `DefaultDir` is `target:source`, or one part for both; each part is `short|long`, or a dot for the folder of the parent.
//! A row without parent, or whose parent is itself, is a root: the folder of the installer.

use std::collections::BTreeMap;

use super::FaultKind;
use super::name::Name;
use super::rows::Rows;
use crate::database::Database;

/// Folders from the installer's own down to that of a directory, outermost first.
pub type FolderPath = Vec<Name>;

/// Levels that a path has at most. Windows' own paths have fewer.
const DEEPEST: usize = 256;

struct Row<'a> {
    parent: Option<&'a str>,
    default: &'a str,
}

/// Every directory by key.
pub(super) struct Directories<'a> {
    rows: BTreeMap<&'a str, Row<'a>>,
}

impl<'a> Directories<'a> {
    pub(super) fn of(database: &'a Database) -> Self {
        let rows = Rows::of(database, "Directory").iter().filter_map(|row| {
            let key = row.text("Directory")?;
            let parent = row.text("Directory_Parent").filter(|parent| *parent != key);
            Some((key, Row { parent, default: row.text("DefaultDir").unwrap_or_default() }))
        });
        Self { rows: rows.collect() }
    }

    /// The source path of a directory.
    ///
    /// Each call walks to the root: at most [`DEEPEST`] rows, whatever the table says.
    pub(super) fn source(&self, key: &str) -> Result<FolderPath, FaultKind> {
        let mut path = Vec::new();
        let mut at = key;
        for _ in 0..DEEPEST {
            let row = self.rows.get(at).ok_or_else(|| FaultKind::NoDirectory(at.to_owned()))?;
            let Some(parent) = row.parent else {
                path.reverse();
                return Ok(path);
            };
            let source = row.default.split_once(':').map_or(row.default, |(_, source)| source);
            if source != "." {
                path.push(Name::parse(source).ok_or_else(|| FaultKind::BadName(source.to_owned()))?);
            }
            at = parent;
        }
        Err(FaultKind::TooDeep(key.to_owned()))
    }
}
