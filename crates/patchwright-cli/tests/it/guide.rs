//! `docs/guide/json.md` against what the binary prints.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use serde_json::Value;

use crate::apply::trees;
use crate::harness::{RANGES, Sandbox, versions};

pub(crate) fn guide() -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/guide/json.md")).unwrap()
}

#[test]
fn the_error_in_the_guide_is_real() {
    let line = "diff old new -o fix.pwp --ignore 5 --json";
    let printed = Sandbox::new().run(line).stdout;
    assert!(guide().contains(&format!("$ patchwright {line}\n{printed}```\n")), "{printed}");
}

/// Every field that a verb prints stands in the guide, below the heading of its schema.
#[test]
fn every_field_is_in_the_guide() {
    let sandbox = Sandbox::new();
    versions(&sandbox);
    trees(&sandbox);
    sandbox.write("other", "other");
    sandbox.write("image.dll", crate::check::image());
    crate::msp_inspect::installers(&sandbox);
    crate::msp_build::described(&sandbox);
    crate::pcp::installers(&sandbox);
    std::fs::remove_file(sandbox.path("1.0/bin/app.exe")).unwrap();
    sandbox.write("object.o", crate::prepare::objects().read("main.o"));
    let guide = guide();
    for line in [
        &format!("diff old new -o fix.pwp {RANGES}"),
        "inspect fix.pwp",
        "verify fix.pwp old",
        "verify fix.pwp other",
        "check image.dll",
        "pcp new 1.0/app.msi 1.1/app.msi -o app.pcp",
        "pcp check app.pcp",
        "pcp export app.pcp -o text",
        "pcp import text -o again.pcp",
        "prepare object.o -o prepared",
        "apply fix.pwp old -o out",
        "apply fix.pwp old",
        "status old",
        "revert fix.pwp old",
        "diff tree-1 tree-2 -o tree.pwp",
        "inspect tree.pwp",
        "apply tree.pwp tree-1",
        "status tree-1",
        "revert tree.pwp tree-1",
        "msp inspect app.msp --against app-1.0.msi",
        "msp inspect app.msp --against app-1.1.msi",
        "msp inspect odd.msp",
        "msp build sized.pcp -o sized.msp",
    ] {
        let (_, report) = sandbox.json(line);
        let schema = report["schema"].as_str().unwrap();
        let heading = format!("## `{schema}`\n");
        let chapter = guide.split_once(&heading).unwrap_or_else(|| panic!("{line}: {heading}")).1;
        let chapter = chapter.split("\n## ").next().unwrap();
        let mut fields = BTreeSet::new();
        collect(&report, &mut fields);
        for field in fields.iter().filter(|field| *field != "schema") {
            // "as in `diff`" is enough for the counts of a folder.
            let told = chapter.contains(&format!("`{field}`")) || chapter.contains("as in `diff`") && is_count(field);
            assert!(told, "{line}: `{field}` is not described below {heading}");
        }
    }
}

fn is_count(field: &str) -> bool {
    ["added", "removed", "changed", "renamed", "mode_changed", "unchanged"].contains(&field)
}

pub(crate) fn collect(value: &Value, fields: &mut BTreeSet<String>) {
    match value {
        Value::Object(members) => members.iter().for_each(|(name, member)| {
            fields.insert(name.clone());
            collect(member, fields);
        }),
        Value::Array(items) => items.iter().for_each(|item| collect(item, fields)),
        _ => {}
    }
}
