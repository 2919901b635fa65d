//! `prepare`: objects and archives that were compiled without it become hot-patchable.
//!
//! How is decided in `patchwright-image`. Here are files, and what is counted.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use patchwright_image::{
    ImageError, ImageErrorKind, Outcome, PrepareOptions as ImageOptions, PreparedFunction, is_archive, prepare_archive,
};

use crate::atomic::write_atomically;
use crate::report::{PrepareCounts, PrepareReport, PreparedFile, RefusedFunction, RefusedMember};
use crate::{Error, ErrorKind, Result};

/// What `prepare` makes room for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PrepareOptions {
    /// Bytes of pad before each entry; by default 5 on x86, 6 on x86-64, 16 on ARM64.
    pub min_pad: Option<usize>,
}

/// Writes a hot-patchable copy of every object and archive into a folder, under the names that they have.
///
/// What cannot be done is left as it was, and listed; the copy is written with what could be done.
///
/// # Errors
/// An input cannot be read, is damaged, or is no object or archive; two have the same name; or a copy would be written
/// over its input. All inputs are looked at before anything is written.
pub fn prepare(inputs: &[PathBuf], folder: &Path, options: &PrepareOptions) -> Result<PrepareReport> {
    let outputs = outputs(inputs, folder)?;
    let mut made = Vec::with_capacity(inputs.len());
    for (input, output) in inputs.iter().zip(&outputs) {
        let data = fs::read(input).map_err(|error| Error::io("read", input, &error))?;
        let (bytes, file) = prepare_bytes(&data, options, input, output).map_err(|error| explain(&error, input))?;
        made.push((bytes.unwrap_or(data), file));
    }
    fs::create_dir_all(folder).map_err(|error| Error::io("make the folder", folder, &error))?;
    for (bytes, file) in &made {
        write_atomically(&file.output, None, |out| {
            out.write_all(bytes).map_err(|error| Error::io("write", &file.output, &error))
        })?;
    }
    let files: Vec<_> = made.into_iter().map(|(_, file)| file).collect();
    let counts = files.iter().fold(PrepareCounts::default(), |sum, file| sum.plus(file.counts));
    Ok(PrepareReport { schema: "patchwright.prepare/1", files, counts })
}

/// Where each input goes.
fn outputs(inputs: &[PathBuf], folder: &Path) -> Result<Vec<PathBuf>> {
    let mut taken: BTreeMap<PathBuf, &Path> = BTreeMap::new();
    let mut wrong = Vec::new();
    let mut outputs = Vec::new();
    for input in inputs {
        let output = input.file_name().map(|name| folder.join(name)).unwrap_or_default();
        let same =
            output.canonicalize().ok().zip(input.canonicalize().ok()).is_some_and(|(output, input)| output == input);
        if input.file_name().is_none() || input.is_dir() {
            wrong.push(format!("{} is no file", input.display()));
        } else if same {
            wrong.push(format!("{} would be written over itself", input.display()));
        } else if let Some(other) = taken.insert(output.clone(), input) {
            wrong.push(format!("{} and {} have the same name", other.display(), input.display()));
        }
        outputs.push(output);
    }
    if wrong.is_empty() {
        return Ok(outputs);
    }
    let error = Error::new(ErrorKind::Usage, "the inputs do not fit into one folder beside themselves");
    Err(error.details(wrong).hint("prepare them into different folders"))
}

/// The new bytes, if any changed, and what is to be said about the file.
pub(crate) fn prepare_bytes(
    data: &[u8],
    options: &PrepareOptions,
    input: &Path,
    output: &Path,
) -> Result<(Option<Vec<u8>>, PreparedFile), ImageError> {
    let options = ImageOptions { min_pad: options.min_pad };
    let mut file = PreparedFile {
        input: input.to_owned(),
        output: output.to_owned(),
        changed: false,
        objects: 0,
        counts: PrepareCounts::default(),
        refused: Vec::new(),
        unsupported: Vec::new(),
    };
    let bytes = if is_archive(data) {
        let prepared = prepare_archive(data, &options)?;
        for member in prepared.members {
            file.objects += 1;
            match member.result {
                Ok(functions) => note(&mut file, Some(&member.name), functions),
                Err(error) => file.unsupported.push(RefusedMember { member: member.name, reason: error.to_string() }),
            }
        }
        prepared.bytes
    } else {
        let prepared = patchwright_image::prepare(data, &options)?;
        file.objects = 1;
        note(&mut file, None, prepared.functions);
        prepared.bytes
    };
    let changed = match bytes {
        std::borrow::Cow::Owned(bytes) => Some(bytes),
        std::borrow::Cow::Borrowed(_) => None,
    };
    file.changed = changed.is_some();
    Ok((changed, file))
}

fn note(file: &mut PreparedFile, member: Option<&str>, functions: Vec<PreparedFunction>) {
    for function in functions {
        file.counts.functions += 1;
        match function.outcome {
            Outcome::Already => file.counts.already += 1,
            Outcome::Prepared => file.counts.prepared += 1,
            Outcome::Exempt => file.counts.exempt += 1,
            Outcome::Refused { reasons } => {
                file.counts.refused += 1;
                file.refused.push(RefusedFunction {
                    member: member.map(str::to_owned),
                    names: function.names,
                    place: format!("{}+{:#x}", function.section, function.offset),
                    reasons,
                });
            }
        }
    }
}

fn explain(error: &ImageError, path: &Path) -> Error {
    let made = Error::new(ErrorKind::Malformed, error.to_string()).at(path);
    match error.kind {
        ImageErrorKind::Malformed | ImageErrorKind::Mismatch => made,
        ImageErrorKind::Unsupported => made.hint(
            "supported are ELF objects for x86-64, x86 and ARM64, COFF objects for x64 and x86, and archives of them",
        ),
    }
}
