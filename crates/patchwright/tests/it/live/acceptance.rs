//! The acceptance list of hot patches: each of its numbers has a case, a test or a limit, and each of those that
//! `testdata/hot/README.md` names is there.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use super::case::{Case, folder};

/// Rows of the table: numbers, what is done (A, R, L), and what shows it.
fn rows(table: &str) -> Vec<(Vec<u32>, String, Vec<String>)> {
    let row = |line: &str| {
        let cells: Vec<&str> = line.trim_matches('|').split('|').map(str::trim).collect();
        let [numbers, _, result, shown] = cells.as_slice() else { return None };
        let numbers: Option<Vec<u32>> = numbers.split(' ').map(|number| number.parse().ok()).collect();
        let shown = shown.split('`').skip(1).step_by(2).map(str::to_owned).collect();
        Some((numbers?, (*result).to_owned(), shown))
    };
    table.lines().filter(|line| line.starts_with('|')).filter_map(row).collect()
}

#[test]
fn every_number_of_the_list_has_a_test_or_a_limit() {
    let table = fs::read_to_string(folder().join("README.md")).unwrap();
    let rows = rows(&table);
    let numbers: BTreeSet<u32> = rows.iter().flat_map(|(numbers, ..)| numbers).copied().collect();
    assert_eq!(numbers, (1..=48).collect());
    let tests = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/live");
    let here = |file: &str| fs::read_to_string(tests.join(file)).unwrap();
    let live = Path::new(env!("CARGO_MANIFEST_DIR")).join("../patchwright-live/src");
    let mut sources = here("verbs.rs") + &here("comings.rs") + &here("surroundings.rs");
    for unit in ["plan/tests.rs", "suspended/tests.rs"] {
        sources += &fs::read_to_string(live.join(unit)).unwrap();
    }
    let guide = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/guide/patch-a-process.md");
    let guide = fs::read_to_string(guide).unwrap();
    let mut named = BTreeSet::new();
    for (numbers, result, shown) in &rows {
        assert!(!shown.is_empty(), "{numbers:?} is shown by nothing");
        assert!(result.chars().all(|letter| "ARL ".contains(letter)), "{numbers:?}: {result}");
        for name in shown {
            if name.contains('.') {
                let case = Case::read(name);
                let told = case.one("case").unwrap();
                let its: Vec<u32> = told.split(' ').map_while(|word| word.parse().ok()).collect();
                let fits = numbers.iter().any(|number| its.contains(number));
                assert!(fits, "{name} is about {its:?}, and stands for {numbers:?}");
                named.insert(name.clone());
            } else {
                assert!(sources.contains(&format!("fn {name}(")), "{numbers:?}: there is no test {name}");
            }
        }
        if result.contains('L') {
            let limit = format!("<!-- case {} -->", numbers[0]);
            assert!(guide.contains(&limit), "the guide does not list the limit of case {}", numbers[0]);
        }
    }
    let unnamed: Vec<&&str> = super::CASES.iter().filter(|name| !named.contains(**name)).collect();
    assert!(unnamed.is_empty(), "the table does not name {unnamed:?}");
}
