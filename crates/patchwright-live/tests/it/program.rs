//! The program that is patched, a process of it, and its patch, made by hand: every function returns 2.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::Mutex;
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::Duration;

use object::read::{Object as _, ObjectSection as _, ObjectSymbol as _};
use patchwright_formats::hot::{Body, Form, HotFunction, HotPart, OldCode, Site};

/// Nothing is concluded from how long something takes.
const PATIENCE: Duration = Duration::from_secs(60);
const FUNCTIONS: [&str; 7] = ["plain", "refers", "branches", "calls", "calls_slot", "leaves", "marked"];
/// `mov $2, %eax; ret`.
const NEW: [u8; 6] = [0xb8, 2, 0, 0, 0, 0xc3];
const NEW_ROOM: usize = 16;

/// The program and its patch, in a folder.
pub(crate) struct Built {
    pub(crate) program: PathBuf,
    pub(crate) patch: PathBuf,
}

/// Builds them; `None` without a compiler.
pub(crate) fn build(folder: &Path) -> Option<Built> {
    let program = folder.join("program");
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/program.c");
    let made = Command::new("gcc")
        .args(["-O1", "-pthread", "-Wl,--build-id", "-o"])
        .arg(&program)
        .arg(source)
        .output()
        .map_err(|error| skip(&format!("gcc: {error}")))
        .ok()?;
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    let patch = folder.join("fix.part");
    std::fs::write(&patch, part(&std::fs::read(&program).unwrap()).encode()).unwrap();
    Some(Built { program, patch })
}

/// Says that these tests cannot run here.
pub(crate) fn skip(reason: &str) {
    eprintln!("skipped: live: {reason}");
    if let Some(path) = std::env::var_os("PATCHWRIGHT_SKIPS") {
        let mut skips = std::fs::OpenOptions::new().create(true).append(true).open(path).unwrap();
        writeln!(skips, "skipped: live: {reason}").unwrap();
    }
}

fn part(program: &[u8]) -> HotPart {
    let file = object::File::parse(program).unwrap();
    let symbols: BTreeMap<&str, (u64, u64)> =
        file.symbols().map(|symbol| (symbol.name().unwrap_or_default(), (symbol.address(), symbol.size()))).collect();
    let text = file.section_by_name(".text").unwrap();
    let (start, code) = (text.address(), text.data().unwrap());
    let mut body = Vec::new();
    let mut functions: Vec<HotFunction> = FUNCTIONS
        .iter()
        .map(|name| {
            let (address, size) = symbols[name];
            let at = usize::try_from(address - start).unwrap();
            let old = &code[at..at + usize::try_from(size).unwrap()];
            let new = (body.len() as u64, NEW.len() as u64);
            body.extend(NEW);
            body.resize(body.len().next_multiple_of(NEW_ROOM), 0xcc);
            HotFunction {
                name: (*name).to_owned(),
                why: "test".to_owned(),
                old: Some(OldCode { address, size, hash: *blake3::hash(old).as_bytes() }),
                new: Some(new),
                site: Some(Site { address, form: Form::Entry, expected: old[..5].to_vec() }),
            }
        })
        .collect();
    functions.sort_by_key(|function| function.old.as_ref().map(|old| old.address));
    HotPart {
        old_build: file.build_id().unwrap().unwrap().to_vec(),
        new_build: b"new".to_vec(),
        body: Body { text: body, ..Body::default() },
        functions,
        ..HotPart::default()
    }
}

/// A process of the program; it ends with the value.
pub(crate) struct Running {
    child: Child,
    asks: Mutex<ChildStdin>,
    lines: Receiver<String>,
}

impl Running {
    pub(crate) fn start(program: &Path) -> Self {
        let mut child = Command::new(program).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let asks = Mutex::new(child.stdin.take().unwrap());
        let out = BufReader::new(child.stdout.take().unwrap());
        let (send, lines) = channel();
        std::thread::spawn(move || out.lines().map_while(Result::ok).try_for_each(|line| send.send(line)));
        let running = Self { child, asks, lines };
        running.value("at the start");
        running
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Memory mappings.
    pub(crate) fn maps(&self) -> String {
        std::fs::read_to_string(format!("/proc/{}/maps", self.pid())).unwrap()
    }

    /// How the process behaves from now on: the value of its functions, which all of them have.
    pub(crate) fn value(&self, when: &str) -> u32 {
        let asked = self.asks.lock().unwrap().write_all(b"?");
        let line = match self.lines.recv_timeout(PATIENCE) {
            Ok(line) => line,
            Err(RecvTimeoutError::Timeout) => panic!("{when}: the process says nothing any more"),
            Err(RecvTimeoutError::Disconnected) => panic!("{when}: the process ended ({asked:?})"),
        };
        match line.as_str() {
            "value 1, wrong 0" => 1,
            "value 2, wrong 0" => 2,
            other => panic!("{when}: {other}"),
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
