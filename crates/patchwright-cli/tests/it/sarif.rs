//! `check --sarif` against the shape that SARIF 2.1.0 requires: properties, their types, and no others.

use serde_json::Value;

use crate::harness::Sandbox;

/// A property: its name, whether it is required, what it must be.
type Property = (&'static str, bool, Shape);

/// What a value must be. Objects of the schema allow no properties but their own.
#[derive(Clone, Copy)]
enum Shape {
    Text,
    /// One of these words.
    Word(&'static [&'static str]),
    /// A number, not below this one.
    Number(i64),
    /// A reference to a resource: no space, nothing but ASCII.
    Uri,
    Object(&'static [Property]),
    Array(&'static Shape),
    /// Any names, texts as values.
    Texts,
}

use Shape::{Array, Number, Object, Text, Texts, Uri, Word};

const MESSAGE: Shape = Object(&[("text", true, Text)]);
const ARTIFACT_LOCATION: Shape = Object(&[("uri", true, Uri), ("index", false, Number(0))]);
const ADDRESS: Shape = Object(&[
    ("absoluteAddress", false, Number(0)),
    ("kind", false, Word(&["data", "executable", "field", "function", "header", "instruction", "module", "section"])),
    ("fullyQualifiedName", false, Text),
]);
const LOCATION: Shape = Object(&[
    ("physicalLocation", true, Object(&[("artifactLocation", true, ARTIFACT_LOCATION), ("address", false, ADDRESS)])),
    (
        "logicalLocations",
        false,
        Array(&Object(&[
            ("name", true, Text),
            ("fullyQualifiedName", true, Text),
            ("kind", true, Word(&["function", "member", "module", "namespace"])),
        ])),
    ),
]);
const RULE: Shape = Object(&[("id", true, Text), ("shortDescription", true, MESSAGE), ("help", true, MESSAGE)]);
const RESULT: Shape = Object(&[
    ("ruleId", true, Text),
    ("level", true, Word(&["none", "note", "warning", "error"])),
    ("message", true, MESSAGE),
    ("locations", true, Array(&LOCATION)),
    ("partialFingerprints", false, Texts),
]);
const DRIVER: Shape = Object(&[
    ("name", true, Text),
    ("version", true, Text),
    ("semanticVersion", true, Text),
    ("rules", true, Array(&RULE)),
]);
const LOG: Shape = Object(&[
    ("$schema", true, Uri),
    ("version", true, Word(&["2.1.0"])),
    (
        "runs",
        true,
        Array(&Object(&[
            ("tool", true, Object(&[("driver", true, DRIVER)])),
            ("artifacts", true, Array(&Object(&[("location", true, ARTIFACT_LOCATION)]))),
            ("columnKind", true, Word(&["utf16CodeUnits", "unicodeCodePoints"])),
            ("results", true, Array(&RESULT)),
        ])),
    ),
]);

fn check_shape(value: &Value, shape: Shape, path: &str) {
    match (shape, value) {
        (Text, Value::String(text)) => assert!(!text.is_empty(), "{path} is empty"),
        (Word(words), Value::String(text)) => assert!(words.contains(&text.as_str()), "{path}: {text}"),
        (Number(least), Value::Number(number)) => assert!(number.as_i64().unwrap() >= least, "{path}: {number}"),
        (Uri, Value::String(text)) => assert!(text.bytes().all(|byte| byte.is_ascii_graphic()), "{path}: {text}"),
        (Array(shape), Value::Array(items)) => {
            items.iter().enumerate().for_each(|(at, item)| check_shape(item, *shape, &format!("{path}[{at}]")));
        }
        (Texts, Value::Object(members)) => assert!(members.values().all(Value::is_string), "{path}"),
        (Object(properties), Value::Object(members)) => {
            for (name, required, shape) in properties {
                match members.get(*name) {
                    Some(member) => check_shape(member, *shape, &format!("{path}.{name}")),
                    None => assert!(!required, "{path} lacks {name}"),
                }
            }
            let known = |name: &String| properties.iter().any(|(known, _, _)| known == name);
            assert!(members.keys().all(known), "{path}: {:?}", members.keys());
        }
        (_, value) => panic!("{path}: {value}"),
    }
}

#[test]
fn the_log_has_the_required_shape() {
    let sandbox = Sandbox::new();
    sandbox.write("image.dll", crate::check::image());
    sandbox.write("list", "f20\nnowhere\n");
    sandbox.write("allow", "f20\n");
    for (line, code) in [
        ("check image.dll --sarif", 1),
        ("check image.dll --sarif --require list --list list", 1),
        ("check image.dll --sarif --min-pad 120 --require all", 1),
    ] {
        let ran = sandbox.run(line);
        assert_eq!(ran.code, code, "{line}: {ran:?}");
        let log: Value = serde_json::from_str(&ran.stdout).unwrap();
        check_shape(&log, LOG, "log");
        let run = &log["runs"][0];
        let rules: Vec<_> = run["tool"]["driver"]["rules"]
            .as_array()
            .unwrap()
            .iter()
            .map(|rule| rule["id"].as_str().unwrap())
            .collect();
        let results = run["results"].as_array().unwrap();
        assert!(!results.is_empty());
        for result in results {
            let id = result["ruleId"].as_str().unwrap();
            assert_eq!(rules.iter().filter(|rule| **rule == id).count(), 1, "{id}");
            let at = &result["locations"][0]["physicalLocation"]["artifactLocation"];
            let index = usize::try_from(at["index"].as_u64().unwrap()).unwrap();
            assert_eq!(run["artifacts"][index]["location"]["uri"], at["uri"]);
        }
    }
}

/// What is an error there is what fails here.
#[test]
fn errors_are_what_fails() {
    let sandbox = Sandbox::new();
    sandbox.write("image.dll", crate::check::image());
    let (_, report) = sandbox.json("check image.dll");
    let log: Value = serde_json::from_str(&sandbox.run("check image.dll --sarif").stdout).unwrap();
    let results = log["runs"][0]["results"].as_array().unwrap();
    for cause in report["causes"].as_array().unwrap() {
        let is_it = |result: &&Value| result["level"] == "error" && result["ruleId"] == cause["rule"];
        let errors = results.iter().filter(is_it).count();
        assert_eq!(errors, cause["functions"].as_array().unwrap().len(), "{}", cause["rule"]);
    }
    let line = "check image.dll --sarif --json";
    assert_eq!(sandbox.run(line).code, 2);
}
