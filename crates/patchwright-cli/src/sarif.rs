//! The report of `check` as SARIF 2.1.0 (OASIS), which build servers and code hosts show.
//!
//! A result per function and broken rule, as an error; notes on functions that are asked for, as notes; findings on the
//! whole image, and names that are missing, as warnings. A function is a logical location, its address a physical one.
//! Nothing in it depends on the machine or the time, so that two runs on the same image give the same log.

use patchwright::report::{CheckObjection, CheckReport, CheckedFunction};
use patchwright::rules::{self, RuleText};
use patchwright::{Error, ErrorKind, Result};
use serde_json::{Value, json};

const SCHEMA: &str = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json";

/// Of results without a rule of ours.
const UNREADABLE: &str = "HP-UNREADABLE";
const MISSING: &str = "HP-MISSING";

/// The log, with a newline at its end.
pub(crate) fn log(report: &CheckReport) -> Result<Vec<u8>> {
    let uri = uri(&report.image.to_string_lossy());
    let mut results = Vec::new();
    for function in report.functions.iter().filter(|function| function.required) {
        if function.verdict != "hot-patchable" {
            results.extend(function.reasons.iter().map(|one| result(report, &uri, function, one, "error")));
        }
        results.extend(function.notes.iter().map(|one| result(report, &uri, function, one, "note")));
    }
    results.extend(report.findings.iter().map(|one| {
        let text = format!("{}: {}", report.image.display(), one.found);
        base(&one.rule, "warning", &text, json!([{ "physicalLocation": artifact(&uri) }]))
    }));
    results.extend(report.missing.iter().map(|name| {
        let text = format!("no function is called {name}");
        base(MISSING, "error", &text, json!([{ "physicalLocation": artifact(&uri) }]))
    }));
    let log = json!({
        "$schema": SCHEMA,
        "version": "2.1.0",
        "runs": [{
            "tool": { "driver": {
                "name": "patchwright",
                "version": env!("CARGO_PKG_VERSION"),
                "semanticVersion": env!("CARGO_PKG_VERSION"),
                "rules": rule_list(),
            }},
            "artifacts": [{ "location": { "uri": uri } }],
            "columnKind": "unicodeCodePoints",
            "results": results,
        }],
    });
    let mut text = serde_json::to_vec_pretty(&log)
        .map_err(|error| Error::new(ErrorKind::Bug, format!("the report cannot be written as SARIF: {error}")))?;
    text.push(b'\n');
    Ok(text)
}

fn rule_list() -> Vec<Value> {
    let rule = |id: &str, meaning: &str, remedy: &str| {
        json!({
            "id": id,
            "shortDescription": { "text": meaning },
            "help": { "text": remedy },
        })
    };
    let mut list: Vec<_> = rules::all().map(|RuleText { id, meaning, remedy }| rule(&id, meaning, remedy)).collect();
    list.push(rule(UNREADABLE, "the code can be read", "is the image packed or encrypted?"));
    list.push(rule(MISSING, "every function that is asked for is there", "correct the list, or link the function"));
    list
}

fn result(report: &CheckReport, uri: &str, function: &CheckedFunction, one: &CheckObjection, level: &str) -> Value {
    let name = function.names.first().map_or(function.address.as_str(), String::as_str);
    let rule = if one.rule.is_empty() { UNREADABLE } else { &one.rule };
    let text = format!("{name}: {}", one.found);
    let owner = function.member.as_deref().or(function.object.as_deref());
    let qualified = owner.map_or_else(|| name.to_owned(), |owner| format!("{owner}::{name}"));
    let mut physical = artifact(uri);
    // Of an object the address is a section and an offset, which is a name only.
    let address = function.address.strip_prefix("0x").and_then(|hex| i64::from_str_radix(hex, 16).ok());
    let mut place = json!({ "kind": "function", "fullyQualifiedName": format!("{qualified} at {}", function.address) });
    if let Some(at) = address.filter(|_| report.kind != "object" && report.kind != "archive") {
        place = json!({ "kind": "function", "absoluteAddress": at, "fullyQualifiedName": qualified });
    }
    physical["address"] = place;
    let logical = json!([{ "name": name, "fullyQualifiedName": qualified, "kind": "function" }]);
    let mut made = base(rule, level, &text, json!([{ "physicalLocation": physical, "logicalLocations": logical }]));
    // Names outlive addresses from one build to the next.
    made["partialFingerprints"] = json!({ "patchwrightFunctionRule/v1": format!("{qualified}#{rule}") });
    made
}

fn base(rule: &str, level: &str, text: &str, locations: Value) -> Value {
    json!({ "ruleId": rule, "level": level, "message": { "text": text }, "locations": locations })
}

fn artifact(uri: &str) -> Value {
    json!({ "artifactLocation": { "uri": uri, "index": 0 } })
}

/// A path as a relative reference, or as an absolute one with a scheme.
fn uri(path: &str) -> String {
    let mut uri = String::from(if path.starts_with('/') { "file://" } else { "" });
    for byte in path.bytes() {
        match byte {
            b'\\' if cfg!(windows) => uri.push('/'),
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' | b'/' => uri.push(char::from(byte)),
            _ => uri.push_str(&format!("%{byte:02X}")),
        }
    }
    uri
}

#[test]
fn paths_become_references() {
    for (path, expect) in
        [("app", "app"), ("a b/ä", "a%20b/%C3%A4"), ("/usr/bin/app", "file:///usr/bin/app"), ("c:x", "c%3Ax")]
    {
        assert_eq!(uri(path), expect);
    }
}
