//! The summary information of a patch.

use std::collections::BTreeMap;

use crate::database::{Property, Summary};
use crate::guid::{is_guid, split_guids};
use crate::objection::{Objection, Objections};
use crate::transform::info::{integer, pid, text};

/// What the summary information of a patch says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PatchSummary {
    /// Code page of the texts here; 0 is neutral.
    pub code_page: u16,
    /// Title, as a rule the name that users see.
    pub title: Option<String>,
    /// Subject.
    pub subject: Option<String>,
    /// Who made it.
    pub author: Option<String>,
    /// Comments.
    pub comments: Option<String>,
    /// Where the installer finds the patch again: folders and URLs with semicolons between them.
    pub sources: Option<String>,
    /// Product codes that the patch is for, in braces.
    pub product_codes: Vec<String>,
    /// Names of the transforms in the order in which they are applied, `#` included, without the colon.
    pub transforms: Vec<String>,
    /// Identity of the patch, in braces.
    pub patch_code: String,
    /// Identities of the patches that this one takes the place of.
    pub replaces: Vec<String>,
    /// What the installer must be able to do: 1 is Windows Installer 1.0, 2: 1.2, 3: 2.0, 4: 3.0, 5: 3.1, 6: 4.0.
    pub installer: i32,
    /// When it was made, in hundreds of nanoseconds since 1601.
    pub created: Option<u64>,
    /// What made it.
    pub application: Option<String>,
    /// 0: may be changed; 2: better not; 4: must not.
    pub security: Option<i32>,
}

/// Tells the installer that it needs, as `PID_WORDCOUNT` spells it, from `MinimumRequiredMsiVersion`.
///
/// A version between two that are known is the one after it: whoever names it needs something that the earlier one lacks.
pub fn word_count(minimum_msi_version: u32) -> i32 {
    match minimum_msi_version {
        0..=100 => 1,
        101..=120 => 2,
        121..=200 => 3,
        201..=300 => 4,
        301..=310 => 5,
        _ => 6,
    }
}

impl PatchSummary {
    /// The properties.
    pub fn write(&self) -> Summary {
        let mut properties = BTreeMap::new();
        properties.insert(pid::CODE_PAGE, Property::I2(self.code_page.cast_signed()));
        let named: String = self.transforms.iter().map(|name| format!(":{name};")).collect();
        let replaces = self.replaces.concat();
        let texts = [
            (pid::TITLE, self.title.clone()),
            (pid::SUBJECT, self.subject.clone()),
            (pid::AUTHOR, self.author.clone()),
            (pid::KEYWORDS, self.sources.clone()),
            (pid::COMMENTS, self.comments.clone()),
            (pid::TEMPLATE, Some(self.product_codes.join(";"))),
            (pid::LAST_AUTHOR, Some(named.trim_end_matches(';').to_owned())),
            (pid::REVISION, Some(format!("{}{replaces}", self.patch_code))),
            (pid::APPLICATION, self.application.clone()),
        ];
        properties.extend(texts.into_iter().filter_map(|(number, text)| Some((number, Property::Text(text?)))));
        properties.insert(pid::WORD_COUNT, Property::I4(self.installer));
        for number in [pid::CREATED, pid::SAVED] {
            properties.extend(self.created.map(|time| (number, Property::Time(time))));
        }
        properties.extend(self.security.map(|level| (pid::SECURITY, Property::I4(level))));
        Summary { properties }
    }

    /// Understands the properties. Errors name every one that Windows Installer cannot do without.
    pub fn read(summary: &Summary) -> Result<Self, Objections> {
        let (read, objections) = Self::understand(summary);
        Objections::or(objections, read)
    }

    /// What can be understood of the properties.
    pub(super) fn lenient(summary: &Summary) -> Self {
        Self::understand(summary).0
    }

    fn understand(summary: &Summary) -> (Self, Vec<Objection>) {
        let mut objections = Vec::new();
        let mut wrong = |number: u32, what: String| {
            let hint = "Windows Installer does not apply such a patch";
            objections.push(Objection::of_table("_SummaryInformation", what, hint).row(number.to_string()));
        };
        let revision = text(summary, pid::REVISION).unwrap_or_default();
        let guids = split_guids(revision.trim()).unwrap_or_else(|| {
            wrong(pid::REVISION, format!("{revision:?} is no list of GUIDs"));
            Vec::new()
        });
        let mut guids = guids.into_iter().map(str::to_owned);
        let patch_code = guids.next().unwrap_or_default();
        if patch_code.is_empty() && revision.trim().is_empty() {
            wrong(pid::REVISION, "the patch has no identity".to_owned());
        }
        let list = |number: u32| -> Vec<String> {
            let parts = text(summary, number).unwrap_or_default().split(';').map(str::trim);
            parts.filter(|part| !part.is_empty()).map(str::to_owned).collect()
        };
        let product_codes = list(pid::TEMPLATE);
        if product_codes.is_empty() {
            wrong(pid::TEMPLATE, "the patch is for no product".to_owned());
        }
        for code in product_codes.iter().filter(|code| !is_guid(code)) {
            wrong(pid::TEMPLATE, format!("{code:?} is no product code"));
        }
        let mut transforms = Vec::new();
        for name in list(pid::LAST_AUTHOR) {
            match name.strip_prefix(':') {
                Some(name) => transforms.push(name.to_owned()),
                None => wrong(pid::LAST_AUTHOR, format!("{name:?} does not begin with a colon")),
            }
        }
        if transforms.is_empty() {
            wrong(pid::LAST_AUTHOR, "the patch names no transforms".to_owned());
        }
        let own = |number: u32| text(summary, number).filter(|text| !text.is_empty()).map(str::to_owned);
        let time = |number: u32| match summary.properties.get(&number) {
            Some(Property::Time(time)) => Some(*time),
            _ => None,
        };
        let code_page = match summary.properties.get(&pid::CODE_PAGE) {
            Some(Property::I2(number)) => number.cast_unsigned(),
            _ => 0,
        };
        let read = Self {
            code_page,
            title: own(pid::TITLE),
            subject: own(pid::SUBJECT),
            author: own(pid::AUTHOR),
            comments: own(pid::COMMENTS),
            sources: own(pid::KEYWORDS),
            product_codes,
            transforms,
            patch_code,
            replaces: guids.collect(),
            installer: integer(summary, pid::WORD_COUNT).unwrap_or_default(),
            created: time(pid::CREATED).or_else(|| time(pid::SAVED)),
            application: own(pid::APPLICATION),
            security: integer(summary, pid::SECURITY),
        };
        (read, objections)
    }
}
