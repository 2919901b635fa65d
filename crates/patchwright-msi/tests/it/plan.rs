//! Which files go into a patch, and how.

use patchwright_formats::{ByteRange, RetainRange};
use patchwright_msi::build::plan::{Content, ImageFile, Images, Kind, Plan, Source, WhyWhole, plan};
use patchwright_msi::build::ranges::{RetainDefault, RetainMismatch, RetainRules};
use patchwright_msi::build::settings::Settings;
use patchwright_msi::check::{Finding, Severity};
use patchwright_msi::pcp::{
    ExternalFile, FamilyFileRange, IgnoredFile, ImageFamily, Pcp, PropertyRow, TargetFile, TargetImage, UpgradedFile,
    UpgradedImage,
};

/// A content that is told from others by one letter; a capital one is empty.
fn content(letter: char) -> Content {
    let len = if letter.is_ascii_uppercase() { 0 } else { 1000 };
    Content { len, hash: [u8::try_from(letter).unwrap(); 32] }
}

/// An image of files `key=content`, in the order of their numbers; `key=-` is missing.
fn image(files: &str) -> std::collections::BTreeMap<String, ImageFile> {
    let file = |(number, file): (usize, &str)| {
        let (key, letter) = file.split_once('=').unwrap();
        let letter = letter.chars().next().filter(|letter| *letter != '-');
        let sequence = i32::try_from(number).unwrap() + 1;
        (key.to_owned(), ImageFile { sequence, content: letter.map(content) })
    };
    files.split_whitespace().enumerate().map(file).collect()
}

struct Case {
    pcp: Pcp,
    images: Images,
}

/// One family, one upgraded image `U` and target images `T1`, `T2`, …
fn case(upgraded: &str, targets: &[&str]) -> Case {
    let mut pcp = Pcp {
        families: vec![ImageFamily { family: "Fam".to_owned(), ..ImageFamily::default() }],
        upgraded: vec![UpgradedImage {
            upgraded: "U".to_owned(),
            family: "Fam".to_owned(),
            ..UpgradedImage::default()
        }],
        ..Pcp::default()
    };
    let mut images = Images { highest_sequence: 9, highest_disk_id: 1, ..Images::default() };
    images.upgraded.insert("U".to_owned(), image(upgraded));
    for (files, number) in targets.iter().zip(1..) {
        let name = format!("T{number}");
        images.targets.insert(name.clone(), image(files));
        pcp.targets.push(TargetImage {
            target: name,
            upgraded: "U".to_owned(),
            order: Some(number),
            ..TargetImage::default()
        });
    }
    Case { pcp, images }
}

impl Case {
    fn plan_by(&self, rules: RetainRules) -> (Plan, Vec<Finding>) {
        plan(&self.pcp, &self.images, &Settings::read(&self.pcp), rules)
    }

    fn plan(&self) -> (Plan, Vec<Finding>) {
        self.plan_by(RetainRules::default())
    }

    /// The members, one word each: number, key, how and from what, pairs that name it.
    fn shown(&self) -> String {
        let (plan, findings) = self.plan();
        assert!(findings.is_empty(), "{findings:?}");
        let words: Vec<String> = plan
            .families
            .iter()
            .flat_map(|family| &family.members)
            .map(|member| {
                let kind = match &member.kind {
                    Kind::Whole(why) => match why {
                        WhyWhole::NewFor(target) => format!("new:{target}"),
                        why => format!("{why:?}").to_lowercase(),
                    },
                    Kind::Delta(olds) => olds.iter().map(|old| char::from(old.content.hash[0]).to_string()).collect(),
                };
                let pairs: Vec<&str> = member.pairs.iter().map(|pair| plan.pairs[*pair].target.as_str()).collect();
                format!("{}:{}={kind}@{}", member.sequence, member.ftk, pairs.join("+"))
            })
            .collect();
        words.join(" ")
    }

    fn set(mut self, name: &str) -> Self {
        self.pcp.properties.push(PropertyRow { name: name.to_owned(), value: Some("1".to_owned()) });
        self
    }

    fn upgraded_file(mut self, ftk: &str, whole: i32, non_vital: i32) -> Self {
        self.pcp.upgraded_files.push(UpgradedFile {
            upgraded: "U".to_owned(),
            ftk: ftk.to_owned(),
            include_whole_file: Some(whole),
            allow_ignore_on_patch_error: Some(non_vital),
            ..UpgradedFile::default()
        });
        self
    }

    fn ignore(mut self, upgraded: &str, ftk: &str) -> Self {
        self.pcp.ignored_files.push(IgnoredFile { upgraded: upgraded.to_owned(), ftk: ftk.to_owned() });
        self
    }

    /// Retained ranges of the new file.
    fn family_ranges(mut self, ftk: &str, offsets: &str, lengths: &str) -> Self {
        self.pcp.family_ranges.push(FamilyFileRange {
            family: "Fam".to_owned(),
            ftk: ftk.to_owned(),
            retain_offsets: offsets.to_owned(),
            retain_lengths: lengths.to_owned(),
        });
        self
    }

    /// Ranges of an old file: retained offsets; an ignored offset of 8 bytes.
    fn target_file(mut self, target: &str, ftk: &str, retain: Option<&str>, ignore: Option<&str>) -> Self {
        self.pcp.target_files.push(TargetFile {
            target: target.to_owned(),
            ftk: ftk.to_owned(),
            retain_offsets: retain.map(str::to_owned),
            ignore_offsets: ignore.map(str::to_owned),
            ignore_lengths: ignore.map(|_| "8".to_owned()),
            ..TargetFile::default()
        });
        self
    }

    fn external(mut self, ftk: &str, letter: char, order: i32) -> Self {
        self.pcp.external_files.push(ExternalFile {
            family: "Fam".to_owned(),
            ftk: ftk.to_owned(),
            file_path: letter.to_string(),
            order: Some(order),
            ..ExternalFile::default()
        });
        self.images.external.push(Some(content(letter)));
        self
    }
}

#[test]
fn changed_files_are_deltas_and_new_ones_whole() {
    for (case, expect) in [
        (case("a=1 b=2", &["a=1 b=2"]), ""),
        (case("a=2 b=2", &["a=1 b=2"]), "10:a=1@T1"),
        // In the order of their numbers in the upgraded image.
        (case("b=2 a=2 c=2", &["a=1 b=1 c=1"]), "10:b=1@T1 11:a=1@T1 12:c=1@T1"),
        (case("a=2 new=7", &["a=1 gone=1"]), "10:a=1@T1 11:new=new:T1@T1"),
        (case("a=E", &["a=1"]), "10:a=empty@T1"),
        // Each pair names what differs in it; a file that is the new one already is an old version too.
        (case("a=3", &["a=1", "a=2"]), "10:a=12@T1+T2"),
        (case("a=3", &["a=1", "a=1"]), "10:a=1@T1+T2"),
        (case("a=3 b=4", &["a=1 b=4", "a=3 b=2"]), "10:a=13@T1 11:b=42@T2"),
        (case("a=3", &["a=1", "b=1"]), "10:a=new:T2@T1+T2"),
        // Missing, which the target says is no fault.
        (case("a=3 b=3", &["a=- b=1"]), "10:b=1@T1"),
        (case("a=3 b=3", &["a=- b=1", "a=1 b=3"]), "10:a=1@T2 11:b=13@T1"),
    ] {
        assert_eq!(case.shown(), expect);
    }
}

#[test]
fn the_author_decides_against_deltas() {
    let images = || case("a=2 ab=2 c=2", &["a=1 ab=1 c=1"]);
    for (case, expect) in [
        (
            images().set("IncludeWholeFilesOnly"),
            "10:a=wholefilesonly@T1 11:ab=wholefilesonly@T1 12:c=wholefilesonly@T1",
        ),
        (images().upgraded_file("ab", 1, 0), "10:a=1@T1 11:ab=asked@T1 12:c=1@T1"),
        (images().upgraded_file("ab", 0, 1), "10:a=1@T1 11:ab=1@T1 12:c=1@T1"),
        (images().ignore("U", "ab"), "10:a=1@T1 11:c=1@T1"),
        (images().ignore("*", "a*"), "10:c=1@T1"),
        (images().ignore("V", "a*"), "10:a=1@T1 11:ab=1@T1 12:c=1@T1"),
        (images().ignore("*", "*"), ""),
        (images().ignore("*", "A"), "10:a=1@T1 11:ab=1@T1 12:c=1@T1"),
    ] {
        assert_eq!(case.shown(), expect);
    }
    let (plan, _) = images().upgraded_file("ab", 0, 1).plan();
    let vital: Vec<bool> = plan.families[0].members.iter().map(|member| member.non_vital.is_empty()).collect();
    assert_eq!(vital, [true, false, true]);
}

#[test]
fn other_old_versions_follow_in_their_order() {
    let case = case("a=5 b=1", &["a=1 b=1", "a=2 b=1"]);
    let case = case.external("a", 'y', 2).external("a", 'x', 1).external("a", '2', 3).external("a", '5', 4);
    assert_eq!(case.shown(), "10:a=12xy5@T1+T2");
    let (plan, _) = case.plan();
    let Kind::Delta(olds) = &plan.families[0].members[0].kind else { panic!() };
    assert_eq!(olds[1].sources, [Source::Target("T2".to_owned(), "a".to_owned()), Source::External(2)]);
    // Of a file that does not change they do nothing, which is told.
    let (_, findings) = case.external("b", 'z', 1).plan();
    assert_eq!(findings.len(), 1);
    assert_eq!((findings[0].severity, findings[0].table), (Severity::Warning, "ExternalFiles"));
}

#[test]
fn ranges_tell_equal_old_files_apart() {
    let old = |case: &Case, at: usize| {
        let (plan, findings) = case.plan();
        assert!(findings.is_empty(), "{findings:?}");
        let Kind::Delta(olds) = &plan.families[0].members[0].kind else { panic!() };
        (olds.len(), olds[at].clone())
    };
    let base = || case("a=3", &["a=1", "a=1"]);
    let (count, _) = old(&base().target_file("T1", "a", None, Some("16")), 0);
    assert_eq!(count, 2);
    let (count, merged) =
        old(&base().target_file("T1", "a", None, Some("16")).target_file("T2", "a", None, Some("0x10")), 0);
    assert_eq!((count, merged.sources.len()), (1, 2));
    assert_eq!(merged.regions.ignore, [ByteRange::new(16, 8)]);
    let stamped = base().family_ranges("a", "100,200", "4,0x8");
    let stamped = stamped.target_file("T1", "a", Some("90,190"), None).target_file("T2", "a", Some("91,191"), None);
    let (count, second) = old(&stamped, 1);
    assert_eq!(count, 2);
    let range = |old_offset, len, new_offset| RetainRange { old_offset, len, new_offset };
    assert_eq!(second.regions.retain, [range(91, 4, 100), range(191, 8, 200)]);
    // A file that is the new one already is no old version where it has ranges that would have to move or be misread.
    let same = case("a=3", &["a=1", "a=3"]);
    assert_eq!(old(&same, 0).0, 2);
    assert_eq!(old(&same.target_file("T2", "a", None, Some("1")), 0).0, 1);
}

#[test]
fn retained_ranges_are_never_lost_in_silence() {
    let base = || case("a=3 b=2", &["a=1 b=2", "a=2 b=2"]).family_ranges("a", "100", "4");
    let full = || base().target_file("T1", "a", Some("90"), None).target_file("T2", "a", Some("91"), None);
    let told = |case: &Case, rules| {
        let (plan, findings) = case.plan_by(rules);
        let retains = plan.families[0].members.first().is_some_and(|member| match &member.kind {
            Kind::Delta(olds) => olds.iter().any(|old| !old.regions.retain.is_empty()),
            Kind::Whole(_) => false,
        });
        (findings.into_iter().map(|finding| (finding.severity, finding.table)).collect::<Vec<_>>(), retains)
    };
    let drop = RetainRules { mismatch: RetainMismatch::Drop, ..RetainRules::default() };
    let same = RetainRules { default: RetainDefault::SameOffset, ..RetainRules::default() };
    let error = |table| vec![(Severity::Error, table)];
    let warning = |table| vec![(Severity::Warning, table)];
    let one = || base().target_file("T1", "a", Some("90"), None);
    for (case, rules, expect) in [
        (full(), RetainRules::default(), (vec![], true)),
        (one(), RetainRules::default(), (error("TargetFiles_OptionalData"), true)),
        (one(), same, (vec![], true)),
        (one(), drop, (warning("TargetFiles_OptionalData"), false)),
        (full().external("a", 'x', 1), RetainRules::default(), (error("ExternalFiles"), true)),
        (full().external("a", 'x', 1), drop, (warning("ExternalFiles"), false)),
        // Shipped whole, the file would replace the user's bytes.
        (full().set("IncludeWholeFilesOnly"), RetainRules::default(), (error("FamilyFileRanges"), false)),
        (full().set("IncludeWholeFilesOnly"), drop, (error("FamilyFileRanges"), false)),
        (full().upgraded_file("a", 1, 0), RetainRules::default(), (error("FamilyFileRanges"), false)),
        (
            case("a=3", &["b=1"]).family_ranges("a", "1", "1"),
            RetainRules::default(),
            (error("FamilyFileRanges"), false),
        ),
        // A file that does not change keeps everything.
        (case("a=3", &["a=3"]).family_ranges("a", "1", "1"), RetainRules::default(), (vec![], false)),
    ] {
        assert_eq!(told(&case, rules), expect);
    }
}

#[test]
fn numbers_of_families_rise_with_their_disks() {
    let two = |one: (Option<i32>, Option<i32>), other: (Option<i32>, Option<i32>)| {
        let mut case = case("a=2 b=2", &["a=1 b=1"]);
        (case.pcp.families[0].media_disk_id, case.pcp.families[0].file_sequence_start) = one;
        case.pcp.families.push(ImageFamily {
            family: "Gam".to_owned(),
            media_disk_id: other.0,
            file_sequence_start: other.1,
            media_src_prop_name: Some("GAMSRC".to_owned()),
            ..ImageFamily::default()
        });
        case.pcp.upgraded.push(UpgradedImage {
            upgraded: "V".to_owned(),
            family: "Gam".to_owned(),
            ..UpgradedImage::default()
        });
        case.pcp.targets.push(TargetImage {
            target: "S".to_owned(),
            upgraded: "V".to_owned(),
            ..TargetImage::default()
        });
        case.images.upgraded.insert("V".to_owned(), image("x=2"));
        case.images.targets.insert("S".to_owned(), image("x=1"));
        case
    };
    let numbers = |case: &Case| {
        let (plan, findings) = case.plan();
        let family = |family: &patchwright_msi::build::plan::Family| {
            (family.name.clone(), family.disk_id, family.first_sequence, family.last_sequence())
        };
        (plan.families.iter().map(family).collect::<Vec<_>>(), findings.len())
    };
    let fam = |disk, first| ("Fam".to_owned(), disk, first, first + 2);
    let gam = |disk, first| ("Gam".to_owned(), disk, first, first + 1);
    for (case, expect) in [
        (two((None, None), (None, None)), (vec![fam(2, 10), gam(3, 13)], 0)),
        (two((Some(7), Some(1000)), (Some(5), Some(500))), (vec![gam(5, 500), fam(7, 1000)], 0)),
        (two((Some(7), Some(1000)), (None, None)), (vec![fam(7, 1000), gam(8, 1003)], 0)),
        (two((Some(7), Some(1000)), (Some(8), Some(1002))), (vec![fam(7, 1000), gam(8, 1002)], 1)),
        (two((Some(7), Some(1000)), (Some(8), Some(900))), (vec![fam(7, 1000), gam(8, 900)], 1)),
    ] {
        assert_eq!(numbers(&case), expect);
    }
}

#[test]
fn one_key_is_one_file_in_a_family() {
    let mut case = case("a=2", &["a=1"]);
    case.pcp.upgraded.push(UpgradedImage {
        upgraded: "V".to_owned(),
        family: "Fam".to_owned(),
        ..UpgradedImage::default()
    });
    // Without a target, an upgraded image plays no part.
    case.images.upgraded.insert("V".to_owned(), image("a=3"));
    assert!(case.plan().1.is_empty());
    let target = TargetImage { target: "S".to_owned(), upgraded: "V".to_owned(), ..TargetImage::default() };
    case.pcp.targets.push(target);
    case.images.targets.insert("S".to_owned(), image("a=1"));
    let (_, findings) = case.plan();
    assert_eq!(findings.len(), 1, "{findings:?}");
    assert!(findings[0].message.contains("the file a is not the same as in U"));
}
