//! `check` on real images: the new files of the corpus, pinned by their hashes, give the same counts as before.
//!
//! Of the counts in `bench/images.txt`, those of d01, d02 and d10 were compared once with what a disassembler shows: first
//! instructions agree everywhere; pads differ where it reads data as code. The files are large and not ours: not
//! part of `test`.

use std::collections::BTreeMap;
use std::fs;
use std::process::Command;

use crate::args::Args;
use crate::run::{cargo, read, root, show, target_dir};
use crate::{Result, corpus};

/// Images; the others of the corpus are for formats that are not checked.
const IMAGES: [&str; 12] = ["d01", "d02", "d03", "d04", "d06", "d07", "d08", "d09", "d10", "d11", "d12", "d13"];

pub(crate) fn run(mut args: Args) -> Result {
    let dir = root().join(args.value("--corpus")?.as_deref().unwrap_or("corpus"));
    let bless = args.flag("--bless");
    args.free(0)?;
    corpus::fetch(&dir, &IMAGES.map(String::from))?;
    show(cargo().args(["build", "--release", "--locked", "--package", "patchwright-cli"]))?;
    let tool = target_dir().join("release/patchwright");
    let golden = root().join("bench/images.txt");
    let mut known: BTreeMap<String, String> = if golden.is_file() {
        let text = String::from_utf8_lossy(&read(&golden)?).into_owned();
        text.lines().filter_map(|line| line.split_once(": ")).map(|(id, rest)| (id.into(), rest.into())).collect()
    } else {
        BTreeMap::new()
    };
    let mut different = Vec::new();
    for id in IMAGES {
        let image = dir.join(id).join("new");
        if !image.is_file() {
            println!("{id}: left out, the corpus does not have it");
            continue;
        }
        let found = counts(&tool, &image)?;
        println!("{id}: {found}");
        if known.get(id) != Some(&found) {
            different.push(id);
            known.insert(id.into(), found);
        }
    }
    if bless {
        fs::write(&golden, known.iter().map(|(id, counts)| format!("{id}: {counts}\n")).collect::<String>())?;
        return Ok(());
    }
    if different.is_empty() { Ok(()) } else { Err(format!("other counts than before: {}", different.join(" ")).into()) }
}

/// Sources, classes and broken rules, in one line.
fn counts(tool: &std::path::Path, image: &std::path::Path) -> Result<String> {
    let output = Command::new(tool).arg("check").arg(image).output()?;
    // 1 is an answer.
    if !matches!(output.status.code(), Some(0 | 1)) {
        return Err(format!("{}: {}", image.display(), String::from_utf8_lossy(&output.stderr).trim()).into());
    }
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let mut parts = Vec::new();
    for line in text.lines() {
        let fact = ["functions", "patched by", "told by"].iter().find_map(|name| line.strip_prefix(name));
        if let Some(fact) = fact {
            parts.push(fact.trim().to_owned());
        } else if line.starts_with("HP-A") || line.starts_with("unreadable, ") {
            parts.push(line.replace(", broken by", "").replace(" functions", "").replace(" function", ""));
        }
    }
    Ok(parts.join("; "))
}
