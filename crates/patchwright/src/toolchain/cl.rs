//! `cl` and `link`: Microsoft's tools where they are, Clang's and LLVM's in their place elsewhere.

use std::env;
use std::ffi::{OsStr, OsString};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use patchwright_image::producer;

use super::build::{Build, MapFlag, scratch};
use super::cl_options::ClJob;
use super::cl_plan::{ClPlan, Dialect, pad, plan_cl};
use super::gnu::Stage;
use super::link_options::LinkJob;
use super::options::DriverOptions;
use super::plan::Plan;
use super::recipe::MachineType;
use super::verdict::Linked;
use super::words::{Quoting, expand, of_cl_variable, quote_windows};
use crate::{Error, ErrorKind, Result};

/// Longer commands go into a response file; a Windows system takes 32,767 characters.
const LONGEST: usize = if cfg!(windows) { 30_000 } else { 100_000 };

/// Plans a command of `cl`: `words` are its arguments. The words of `CL` go before, those of `_CL_` behind.
///
/// # Errors
/// There is no compiler, it is known to make wrong code, or an option or a response file cannot be.
pub fn cl(words: &[OsString], options: DriverOptions) -> Result<Build> {
    let words = expand(&with_variables("CL", words, "_CL_"), Quoting::Windows)?;
    let job = ClJob::read(&words);
    let tool = find(options.tool.as_deref(), "PATCHWRIGHT_CL", "cl", "clang-cl")?;
    let compiler = if job.stage > Stage::Preprocess { Some(probe(&tool, &job.target)?) } else { None };
    let link = LinkJob::read(&expand(&with_variables("LINK", &job.linker, "_LINK_"), Quoting::Windows)?);
    let planned = match &compiler {
        Some(found) => plan_cl(&job, &link, found.dialect, found.machine, &options.choices())?,
        None => ClPlan::default(),
    };
    let ClPlan { mut plan, linker, audits } = planned;
    let links = job.stage == Stage::Link;
    let is_clang = compiler.as_ref().is_some_and(|found| found.dialect != Dialect::Cl);
    if links && is_clang && !job.chooses_linker && !cfg!(windows) {
        // Elsewhere `link` makes hard links.
        let mut word = OsString::from("-fuse-ld=");
        word.push(env::var_os("PATCHWRIGHT_LINK").filter(|name| !name.is_empty()).unwrap_or_else(|| "lld".into()));
        plan.add([word]);
    }
    let mut command = vec![tool.into_os_string()];
    command.extend(plan.added.iter().chain(&job.words).cloned());
    if !linker.is_empty() || !job.linker.is_empty() || audits {
        command.push("/link".into());
    }
    command.extend(linker.iter().chain(&job.linker).cloned());
    let image = link.out.clone().unwrap_or_else(|| job.image());
    let inputs = job.inputs.iter().chain(&link.inputs).cloned().collect();
    let linked = audits.then(|| link_of(&mut plan, &link, image, inputs));
    plan.add(linker);
    Build {
        driver: "cl",
        compiler: compiler.map(|found| found.shown),
        command,
        added_at: 1,
        chatty: !job.nologo,
        map_flag: MapFlag::Microsoft,
        plan,
        linked,
        hide: &["CL", "_CL_"],
        set: Vec::new(),
        options,
        scratch: None,
    }
    .with_short_command()
}

/// Plans a command of `link`: `words` are its arguments. The words of `LINK` go before, those of `_LINK_` behind; the
/// linker reads both itself.
///
/// # Errors
/// There is no linker, or an option or a response file cannot be.
pub fn link(words: &[OsString], options: DriverOptions) -> Result<Build> {
    let job = LinkJob::read(&expand(&with_variables("LINK", words, "_LINK_"), Quoting::Windows)?);
    let tool = find(options.tool.as_deref(), "PATCHWRIGHT_LINK", "link", "lld-link")?;
    let machine = job.machine.or_else(|| job.inputs.iter().find_map(|input| machine_of(input)));
    let mut plan = Plan::default();
    let mut linked = None;
    if !job.links_nothing {
        let found = pad(&job, machine, false, &options.choices())?;
        plan.pad = found.bytes;
        plan.warnings.extend(found.warning);
        if !job.pads.is_empty() {
            linked = Some(link_of(&mut plan, &job, job.image(), job.inputs.clone()));
        }
    }
    let mut command = vec![tool.into_os_string()];
    command.extend(words.iter().cloned());
    Ok(Build {
        driver: "link",
        compiler: None,
        command,
        added_at: 1,
        chatty: !job.nologo,
        map_flag: MapFlag::Microsoft,
        plan,
        linked,
        hide: &[],
        set: Vec::new(),
        options,
        scratch: None,
    })
}

/// What the audit needs to know of a link.
fn link_of(plan: &mut Plan, link: &LinkJob, image: PathBuf, inputs: Vec<PathBuf>) -> Linked {
    plan.map = link.map(&image);
    plan.wants_map = plan.map.is_none();
    // Pads that are turned off are missed by the usual measure.
    let min_pad = plan.pad.filter(|bytes| *bytes > 0);
    Linked { image, map: None, inputs, folders: link.folders.clone(), min_pad }
}

impl Build {
    /// Puts the words into a response file where the system takes no command of that length.
    fn with_short_command(mut self) -> Result<Self> {
        let length: usize = self.command.iter().map(|word| word.len() + 3).sum();
        let words = self.command.get(1..).unwrap_or_default();
        let (true, Some(text)) = (length > LONGEST, quote_windows(words)) else { return Ok(self) };
        let folder = scratch()?;
        let path = folder.path().join("command.rsp");
        fs::write(&path, text).map_err(|error| Error::io("write the response file", &path, &error))?;
        let mut word = OsString::from("@");
        word.push(&path);
        self.command.truncate(1);
        self.command.push(word);
        self.scratch = Some(folder);
        Ok(self)
    }
}

fn with_variables(before: &str, words: &[OsString], behind: &str) -> Vec<OsString> {
    let of = |name| env::var(name).map(|value| of_cl_variable(&value)).unwrap_or_default();
    of(before).into_iter().chain(words.iter().cloned()).chain(of(behind)).collect()
}

/// The tool that is asked for, or the one on PATH: Microsoft's on Windows, else LLVM's, of the highest version if they have
/// versions in their names.
fn find(asked: Option<&Path>, variable: &str, microsoft: &str, llvm: &str) -> Result<PathBuf> {
    if let Some(tool) =
        asked.map(Path::to_owned).or_else(|| env::var_os(variable).filter(|name| !name.is_empty()).map(PathBuf::from))
    {
        return Ok(tool);
    }
    let path = env::var_os("PATH").unwrap_or_default();
    let folders: Vec<PathBuf> = env::split_paths(&path).collect();
    let plain = |name: &str| folders.iter().map(|folder| folder.join(name)).find(|file| file.is_file());
    let native = if cfg!(windows) {
        plain(&format!("{microsoft}.exe")).or_else(|| plain(&format!("{llvm}.exe")))
    } else {
        plain(llvm)
    };
    native.or_else(|| newest(&folders, llvm)).ok_or_else(|| {
        let message = format!("no {llvm} is on PATH");
        Error::new(ErrorKind::Io, message)
            .hint(format!("install it, or name the tool: --pw-tool=FILE or {variable}=FILE"))
    })
}

/// `clang-cl-19` before `clang-cl-18`.
fn newest(folders: &[PathBuf], name: &str) -> Option<PathBuf> {
    let files = folders.iter().filter_map(|folder| fs::read_dir(folder).ok()).flatten().flatten();
    let version = |path: &Path| {
        let rest = path.file_name()?.to_str()?.strip_prefix(name)?.strip_prefix('-')?;
        rest.parse::<u32>().ok()
    };
    let versions = files.filter_map(|file| Some((version(&file.path())?, file.path())));
    versions.max().map(|(_, path)| path)
}

/// The compiler: whose it is, and for what machine.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Found {
    dialect: Dialect,
    machine: Option<MachineType>,
    shown: String,
}

/// Asks the compiler for its version; Microsoft's answers everything with its banner.
fn probe(tool: &Path, target: &[OsString]) -> Result<Found> {
    let mut command = Command::new(tool);
    command.args(target).arg("--version").stdin(Stdio::null()).env_remove("CL").env_remove("_CL_");
    let output = command.output().map_err(|error| Error::io("run it", tool, &error))?;
    let text = [output.stdout, output.stderr].concat();
    read_banner(&String::from_utf8_lossy(&text)).ok_or_else(|| {
        let message = "it is neither cl nor clang-cl, as far as its version tells";
        Error::new(ErrorKind::Refused, message).at(tool)
    })
}

fn read_banner(text: &str) -> Option<Found> {
    if let Some((_, rest)) = text.split_once("clang version ") {
        let version = rest.split_whitespace().next()?;
        let major = version.split('.').next()?.parse().ok()?;
        let triple = text.lines().find_map(|line| line.strip_prefix("Target: ")).unwrap_or_default().trim();
        let shown = format!("clang-cl {version} for {triple}");
        return Some(Found { dialect: Dialect::ClangCl { major }, machine: MachineType::from_triple(triple), shown });
    }
    // The words around version and machine are translated, the name is not.
    let banner = text.lines().find(|line| line.contains("Microsoft (R)") && line.contains("C/C++"))?;
    let machine = banner.split_whitespace().next_back()?;
    let version = banner
        .split_whitespace()
        .find(|word| word.starts_with(|char: char| char.is_ascii_digit()) && word.contains('.'))
        .unwrap_or_default();
    let known = MachineType::from_linker_option(machine).or_else(|| (machine == "80x86").then_some(MachineType::X86));
    Some(Found { dialect: Dialect::Cl, machine: known, shown: format!("cl {version} for {machine}") })
}

/// The machine of an object.
fn machine_of(input: &Path) -> Option<MachineType> {
    let is_object =
        input.extension().and_then(OsStr::to_str).is_some_and(|extension| ["obj", "o"].contains(&extension));
    let data = is_object.then(|| fs::read(input).ok())??;
    producer(&data).coff_machine.and_then(MachineType::from_coff)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn compilers_are_known_by_their_banner() {
        let clang = "Debian clang version 19.1.7 (3~deb12u1)\nTarget: i386-pc-windows-msvc\nThread model: posix\n";
        let cl = "Microsoft (R) C/C++ Optimizing Compiler Version 19.38.33135 for ARM64\nCopyright (C) Microsoft\n";
        let german = "Microsoft (R) C/C++-Optimierungscompiler Version 19.29.30147 für x64\n";
        let old = "Microsoft (R) 32-bit C/C++ Optimizing Compiler Version 15.00.30729.01 for 80x86\n";
        for (text, expect) in [
            (
                clang,
                Some((
                    Dialect::ClangCl { major: 19 },
                    Some(MachineType::X86),
                    "clang-cl 19.1.7 for i386-pc-windows-msvc",
                )),
            ),
            (cl, Some((Dialect::Cl, Some(MachineType::Arm64), "cl 19.38.33135 for ARM64"))),
            (german, Some((Dialect::Cl, Some(MachineType::X64), "cl 19.29.30147 for x64"))),
            ("gcc (Debian 12.2.0-14) 12.2.0", None),
        ] {
            let found = read_banner(text);
            let found = found.as_ref().map(|found| (found.dialect, found.machine, found.shown.as_str()));
            assert_eq!(found, expect, "{text}");
        }
        assert_eq!(read_banner(old).and_then(|found| found.machine), Some(MachineType::X86));
    }

    #[test]
    fn the_newest_of_versioned_tools_is_taken() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["clang-cl-9", "clang-cl-19", "clang-cl-18", "clang-cl-x", "clang-client-20"] {
            fs::write(folder.path().join(name), "").unwrap();
        }
        let folders = [folder.path().join("missing"), folder.path().to_owned()];
        assert_eq!(newest(&folders, "clang-cl"), Some(folder.path().join("clang-cl-19")));
        assert_eq!(newest(&folders, "lld-link"), None);
    }
}
