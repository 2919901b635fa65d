//! Applies a hot part to a process: `cargo run --example live -- apply|revert|status PART PID`.

use std::process::ExitCode;
use std::time::Duration;

use patchwright_formats::PatchId;
use patchwright_formats::hot::HotPart;
use patchwright_live::sys::Process;
use patchwright_live::{Limits, apply, revert, status};

fn main() -> Result<ExitCode, Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [verb, part, pid] = arguments.as_slice() else { return Ok(ExitCode::from(2)) };
    let bytes = std::fs::read(part)?;
    let id = PatchId(*blake3::hash(&bytes).as_bytes());
    let part = HotPart::decode(&bytes)?;
    let mut process = Process::open(pid.parse()?)?;
    let limits = Limits { deadline: Duration::from_secs(3), ..Limits::default() };
    match verb.as_str() {
        "apply" => println!("{:#?}", apply(&mut process, &part, id, 0, &limits)?),
        "revert" => println!("{:#?}", revert(&mut process, id, &limits)?),
        _ => println!("{:#?}", status(&mut process)?),
    }
    Ok(ExitCode::SUCCESS)
}
