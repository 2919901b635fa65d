//! Debian's sources of a program, and what is made of them: the same tree again and again, each time with other changes.
//!
//! Nothing of the system is changed: apt works with lists of its own below `target/`, with the machine's sources, asked
//! for source packages.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::run::{output, show};
use crate::{Failure, Result};

/// One place of a source file, and what stands there instead. It must be there exactly once.
#[derive(Debug)]
pub(crate) struct Edit {
    pub(crate) file: &'static str,
    pub(crate) old: &'static str,
    pub(crate) new: &'static str,
}

/// What a tree differs by from the packages's source before the patch of a vulnerability.
#[derive(Debug)]
pub(crate) enum Change {
    Nothing,
    Edits(&'static [Edit]),
    /// The files' part of Debian's patch of this name.
    Patch(&'static str),
}

/// Debian's package of a program.
pub(crate) struct Package {
    pub(crate) name: &'static str,
    /// Patches of Debian that are applied are those before this one; all, if there is none.
    pub(crate) before: Option<&'static str>,
}

impl Package {
    /// Fetches the newest source that the machine's own sources offer; returns the `.dsc`.
    pub(crate) fn fetch(&self, dir: &Path) -> Result<PathBuf> {
        let downloads = dir.join("download");
        if let Some(found) = description(&downloads) {
            return Ok(found);
        }
        fs::create_dir_all(&downloads)?;
        let config = apt(dir.parent().unwrap_or(dir))?;
        let apt_get = |args: &[&str]| {
            let mut command = Command::new("apt-get");
            command.args(args).current_dir(&downloads).env("APT_CONFIG", &config);
            command
        };
        println!("fetches Debian's source of {}", self.name);
        output(&mut apt_get(&["update", "-q"]))?;
        output(&mut apt_get(&["source", "--download-only", "--only-source", "-q", self.name]))?;
        description(&downloads).ok_or_else(|| format!("apt-get source {} left no .dsc", self.name).into())
    }

    /// Unpacks the source anew as `tree`, with Debian's patches and with `change`.
    pub(crate) fn unpack(&self, description: &Path, tree: &Path) -> Result {
        let _ = fs::remove_dir_all(tree);
        output(Command::new("dpkg-source").args(["--skip-patches", "-x"]).arg(description).arg(tree))?;
        for patch in self.patches(tree)? {
            apply_patch(tree, &fs::read(tree.join("debian/patches").join(patch))?)?;
        }
        Ok(())
    }

    fn patches(&self, tree: &Path) -> Result<Vec<String>> {
        let series = fs::read_to_string(tree.join("debian/patches/series"))?;
        let names = series.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
        let all: Vec<String> = names.map(String::from).collect();
        let Some(before) = self.before else { return Ok(all) };
        match all.iter().position(|name| name == before) {
            Some(at) => Ok(all.into_iter().take(at).collect()),
            None => Err(format!("Debian's source of {} has no patch {before} any more", self.name).into()),
        }
    }
}

/// Makes `change` in `tree`; the files that it touches.
pub(crate) fn make(change: &Change, tree: &Path) -> Result<Vec<PathBuf>> {
    match change {
        Change::Nothing => Ok(Vec::new()),
        Change::Edits(edits) => {
            edits.iter().try_for_each(|edit| replace(&tree.join(edit.file), edit.old, edit.new))?;
            Ok(edits.iter().map(|edit| tree.join(edit.file)).collect())
        }
        Change::Patch(name) => {
            let patch = fs::read(tree.join("debian/patches").join(name))?;
            apply_patch(tree, &patch)?;
            let text = String::from_utf8_lossy(&patch);
            Ok(text.lines().filter_map(|line| line.strip_prefix("+++ b/")).map(|file| tree.join(file)).collect())
        }
    }
}

/// Puts `new` where `old` stands, which must be one place.
fn replace(file: &Path, old: &str, new: &str) -> Result {
    let text = fs::read_to_string(file).map_err(|error| format!("{}: {error}", file.display()))?;
    match text.matches(old).count() {
        1 => Ok(fs::write(file, text.replacen(old, new, 1))?),
        count => Err(format!("{}: {count} places, and not one, have {old:?}", file.display()).into()),
    }
}

fn apply_patch(tree: &Path, patch: &[u8]) -> Result {
    use std::io::Write;
    let mut child = Command::new("patch")
        .args(["-p1", "--batch", "--silent"])
        .current_dir(tree)
        .stdin(std::process::Stdio::piped())
        .spawn()
        .map_err(|error| format!("patch: {error}"))?;
    if let Some(mut input) = child.stdin.take() {
        input.write_all(patch)?;
    }
    if child.wait()?.success() { Ok(()) } else { Err("patch does not apply one of Debian's patches".into()) }
}

fn description(downloads: &Path) -> Option<PathBuf> {
    let files = fs::read_dir(downloads).ok()?.filter_map(|entry| Some(entry.ok()?.path()));
    files.filter(|path| path.extension().is_some_and(|extension| extension == "dsc")).max()
}

/// Writes a configuration of apt that asks Debian's sources of this machine for source packages.
fn apt(dir: &Path) -> Result<PathBuf> {
    let dir = dir.join("apt");
    for part in ["lists/partial", "cache/archives/partial", "sources"] {
        fs::create_dir_all(dir.join(part))?;
    }
    let mut found = Vec::new();
    let folder =
        fs::read_dir("/etc/apt/sources.list.d").into_iter().flatten().filter_map(|entry| Some(entry.ok()?.path()));
    for file in folder.chain([PathBuf::from("/etc/apt/sources.list")]) {
        let Ok(text) = fs::read_to_string(&file) else { continue };
        let style = if file.extension().is_some_and(|extension| extension == "sources") { "sources" } else { "list" };
        let text = if style == "sources" { source_stanzas(&text) } else { source_lines(&text) };
        if !text.is_empty() {
            fs::write(dir.join(format!("sources/{}.{style}", found.len())), &text)?;
            found.push(file);
        }
    }
    if found.is_empty() {
        return Err(Failure::Failed("this machine has no Debian sources in /etc/apt".into()));
    }
    let config = dir.join("apt.conf");
    let at = |part: &str| dir.join(part).display().to_string();
    let lines = [
        "Dir::Etc::SourceList \"/dev/null\";".to_owned(),
        format!("Dir::Etc::SourceParts \"{}\";", at("sources")),
        format!("Dir::State::Lists \"{}\";", at("lists")),
        format!("Dir::Cache \"{}\";", at("cache")),
        // The lists lie where the user of apt's sandbox may not write.
        format!("APT::Sandbox::User \"{}\";", output(Command::new("id").arg("-un"))?.trim()),
    ];
    fs::write(&config, lines.join("\n") + "\n")?;
    Ok(config)
}

/// Debian's stanzas of a `.sources` file, for source packages.
fn source_stanzas(text: &str) -> String {
    let debian = |stanza: &&str| stanza.lines().any(|line| line.starts_with("URIs:") && names_debian(line));
    let types = |line: &str| if line.starts_with("Types:") { "Types: deb-src".to_owned() } else { line.to_owned() };
    let stanzas = text.split("\n\n").filter(debian);
    let stanzas = stanzas.map(|stanza| stanza.lines().map(types).collect::<Vec<_>>().join("\n") + "\n");
    stanzas.collect::<Vec<_>>().join("\n")
}

/// Debian's lines of a `.list` file, for source packages.
fn source_lines(text: &str) -> String {
    let lines = text.lines().filter_map(|line| line.trim().strip_prefix("deb "));
    lines.filter(|line| names_debian(line)).map(|line| format!("deb-src {line}\n")).collect()
}

/// Says whether a word is the address of a mirror of Debian.
fn names_debian(line: &str) -> bool {
    line.split_whitespace()
        .map(|word| word.trim_end_matches('/'))
        .any(|word| word.ends_with("/debian") || word.ends_with("/debian-security"))
}

/// Runs `line` in `tree` with the shell, its output in a file; the end of that is the error.
pub(crate) fn shell(tree: &Path, line: &str, environment: &[(&str, &str)]) -> Result {
    let log = tree.join("patchwright-build.log");
    let file = fs::OpenOptions::new().create(true).append(true).open(&log)?;
    let mut command = Command::new("sh");
    command.args(["-c", line]).current_dir(tree).envs(environment.iter().copied());
    command.stdout(file.try_clone()?).stderr(file);
    show(&mut command).map_err(|error| {
        let text = fs::read(&log).unwrap_or_default();
        let text = String::from_utf8_lossy(&text);
        let last: Vec<&str> = text.lines().rev().take(12).collect();
        Failure::Failed(format!("{error}\n{}", last.into_iter().rev().collect::<Vec<_>>().join("\n")))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debian_is_asked_for_sources_and_nobody_else() {
        let text = "Types: deb\nURIs: http://deb.debian.org/debian\nSuites: bookworm\n\n\
                    Types: deb\nURIs: https://example.org/tools\nSuites: x\n";
        assert_eq!(source_stanzas(text), "Types: deb-src\nURIs: http://deb.debian.org/debian\nSuites: bookworm\n");
        let text = "# deb http://x/debian a main\ndeb http://x/debian a main\ndeb https://y/tools b\n";
        assert_eq!(source_lines(text), "deb-src http://x/debian a main\n");
    }

    #[test]
    fn an_edit_has_one_place() {
        let file = std::env::temp_dir().join(format!("patchwright-edit-{}", std::process::id()));
        let check = |old: &str, fits: bool| {
            fs::write(&file, "one two two").unwrap();
            assert_eq!(replace(&file, old, "three").is_ok(), fits, "{old}");
        };
        check("one", true);
        check("two", false);
        check("four", false);
        let _ = fs::remove_file(&file);
    }
}
