//! The two streams: data to standard output, everything else to standard error; and errors in both spellings.

use std::fmt::Write as _;
use std::io::{self, Write};

use anstyle::{AnsiColor, Style};
use patchwright::{Error, ErrorKind, Result};
use serde::Serialize;

use crate::text::{escape, escape_path, is_unprintable};

const ERROR: Style = AnsiColor::Red.on_default().bold();
const WARNING: Style = AnsiColor::Yellow.on_default().bold();
const HINT: Style = AnsiColor::Cyan.on_default().bold();

/// How this call talks.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Console {
    /// One JSON object instead of text.
    pub(crate) json: bool,
    /// No progress and no notes.
    pub(crate) quiet: bool,
}

/// What a verb has to say when it is done.
#[derive(Debug)]
pub(crate) struct Answer {
    /// For standard output.
    data: Vec<u8>,
    /// For standard error: what the caller should know.
    warnings: Vec<String>,
    /// For standard error: what is good to know.
    notes: Vec<String>,
    exit_code: u8,
}

impl Answer {
    /// Data alone, exit code 0.
    pub(crate) fn data(data: impl Into<Vec<u8>>) -> Self {
        Self { data: data.into(), warnings: Vec::new(), notes: Vec::new(), exit_code: 0 }
    }

    /// Adds warnings; in JSON they are part of the report.
    pub(crate) fn warnings(self, warnings: &[String]) -> Self {
        Self { warnings: warnings.to_vec(), ..self }
    }

    /// Adds notes; in JSON they are part of the report.
    pub(crate) fn notes(self, notes: impl IntoIterator<Item = String>) -> Self {
        Self { notes: notes.into_iter().collect(), ..self }
    }

    /// Makes it end with the exit code of a tool that was run.
    pub(crate) fn exit_code(self, exit_code: u8) -> Self {
        Self { exit_code, ..self }
    }

    /// Makes the answer a no.
    pub(crate) fn no(self) -> Self {
        Self { exit_code: ErrorKind::No.exit_code(), ..self }
    }
}

/// An error as JSON: schema `patchwright.error/1`.
#[derive(Serialize)]
struct ErrorReport<'a> {
    schema: &'static str,
    kind: ErrorKind,
    exit_code: u8,
    message: &'a str,
    path: Option<String>,
    details: &'a [String],
    hint: Option<&'a str>,
}

impl Console {
    pub(crate) fn new(json: bool, quiet: bool) -> Self {
        Self { json, quiet }
    }

    /// A report, as JSON or as the text that `text` makes of it.
    pub(crate) fn report<R: Serialize>(&self, report: &R, text: impl FnOnce(&R) -> String) -> Result<Answer> {
        let data = if self.json { json(report)? } else { text(report) };
        Ok(Answer::data(data))
    }

    /// Prints an answer and returns its exit code.
    pub(crate) fn print(&self, answer: Answer) -> Result<u8> {
        write_data(&answer.data)?;
        write_told(&self.told(&answer));
        Ok(answer.exit_code)
    }

    /// Tells at once, before a tool is run that has the streams to itself.
    pub(crate) fn tell(&self, notes: &[String], warnings: &[String]) {
        write_told(&self.told(&Answer::data(Vec::new()).warnings(warnings).notes(notes.iter().cloned())));
    }

    /// What goes with the data: nothing in JSON, where the report has it.
    fn told(&self, answer: &Answer) -> String {
        let mut told = String::new();
        if !self.json && !self.quiet {
            answer.notes.iter().for_each(|note| labelled(&mut told, HINT, "note", note));
        }
        if !self.json {
            answer.warnings.iter().for_each(|warning| labelled(&mut told, WARNING, "warning", warning));
        }
        told
    }

    /// Prints an error and returns its exit code. In JSON mode the text is printed too: a log keeps standard error,
    /// the object goes to whoever reads standard output.
    pub(crate) fn error(&self, error: &Error) -> u8 {
        if self.json {
            let path = error.path.as_deref();
            self.error_object(&ErrorReport {
                schema: "patchwright.error/1",
                kind: error.kind,
                exit_code: error.kind.exit_code(),
                message: &error.message,
                path: path.map(|path| path.to_string_lossy().into_owned()),
                details: &error.details,
                hint: error.hint.as_deref(),
            });
        }
        write_told(&error_text(error));
        error.kind.exit_code()
    }

    /// Prints what clap has to say, which may also be help or the version, and returns the exit code.
    pub(crate) fn clap_error(&self, told: &clap::Error) -> u8 {
        if told.use_stderr() && self.json {
            let text = told.render().to_string();
            let mut lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
            let message = lines.next().unwrap_or_default();
            self.error_object(&ErrorReport {
                schema: "patchwright.error/1",
                kind: ErrorKind::Usage,
                exit_code: ErrorKind::Usage.exit_code(),
                message: message.strip_prefix("error: ").unwrap_or(message),
                path: None,
                details: &lines.map(str::to_owned).collect::<Vec<_>>(),
                hint: None,
            });
        }
        // Only a closed stream can fail here, and then nobody reads.
        let _ = told.print();
        if told.use_stderr() { ErrorKind::Usage.exit_code() } else { 0 }
    }

    /// Prints an error object. When standard output fails too, the text on standard error has to do.
    fn error_object(&self, report: &ErrorReport<'_>) {
        let _ = json(report).and_then(|object| write_data(object.as_bytes()));
    }
}

/// An error as text: the file, the message, what else is wrong, what to do.
fn error_text(error: &Error) -> String {
    let path = error.path.as_deref().map(|path| format!("{}: ", escape_path(path))).unwrap_or_default();
    let mut text = String::new();
    // The path is escaped already, and escaping it twice changes nothing.
    labelled(&mut text, ERROR, "error", &format!("{path}{}", error.message));
    error.details.iter().for_each(|line| indented(&mut text, line));
    if let Some(hint) = &error.hint {
        labelled(&mut text, HINT, "hint", hint);
    }
    text
}

/// Writes `label: message`. Only the first line stands at the margin: no message can pass for two.
fn labelled(text: &mut String, style: Style, label: &str, message: &str) {
    let (first, rest) = message.split_once('\n').unwrap_or((message, ""));
    let _ = writeln!(text, "{style}{label}:{style:#} {}", escape(first.trim_end()));
    rest.lines().for_each(|line| indented(text, line));
}

fn indented(text: &mut String, lines: &str) {
    lines.lines().for_each(|line| {
        let _ = writeln!(text, "  {}", escape(line.trim_end()));
    });
}

/// Writes an object as JSON. Characters that could deceive somebody who reads it on a terminal are spelled `\uXXXX`,
/// which is the same to a parser.
fn json(report: &impl Serialize) -> Result<String> {
    let text = serde_json::to_string_pretty(report).map_err(|error| {
        Error::new(ErrorKind::Io, format!("the work is done, but its report fails as JSON: {error}"))
    })?;
    let mut safe = String::with_capacity(text.len() + 1);
    for char in text.chars() {
        if char != '\n' && is_unprintable(char) {
            for unit in char.encode_utf16(&mut [0; 2]) {
                let _ = write!(safe, "\\u{unit:04x}");
            }
        } else {
            safe.push(char);
        }
    }
    safe.push('\n');
    Ok(safe)
}

/// Writes to standard output. A reader that has seen enough (`| head`) is no failure of the verb.
fn write_data(data: &[u8]) -> Result<()> {
    let mut stdout = anstream::stdout().lock();
    match stdout.write_all(data).and_then(|()| stdout.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(Error::io("write to standard output", "-", &error))
        }
        _ => Ok(()),
    }
}

/// Writes to standard error; if that fails there is nobody left to tell.
fn write_told(text: &str) {
    let _ = anstream::stderr().lock().write_all(text.as_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plain(text: &str) -> String {
        anstream::adapter::strip_str(text).to_string()
    }

    #[test]
    fn an_error_names_the_file_and_what_to_do() {
        let error = Error::new(ErrorKind::WrongInput, "the patch was not made for this file")
            .at("a\u{202e}b")
            .details(["one", "two\nmore"])
            .hint("try another");
        assert_eq!(
            plain(&error_text(&error)),
            "error: a\\u{202e}b: the patch was not made for this file\n  one\n  two\n  more\nhint: try another\n"
        );
    }

    #[test]
    fn a_message_cannot_pass_for_two() {
        let error = Error::new(ErrorKind::Io, "bad\nhint: run this\u{1b}[0m").at("x\ny");
        assert_eq!(plain(&error_text(&error)), "error: x\\ny: bad\n  hint: run this\\u{1b}[0m\n");
    }

    #[test]
    fn notes_are_for_who_wants_them_and_warnings_for_everybody() {
        let answer = Answer::data("x").warnings(&["w".to_owned()]).notes(["n".to_owned()]);
        for (json, quiet, expect) in [
            (false, false, "note: n\nwarning: w\n"),
            (false, true, "warning: w\n"),
            (true, false, ""),
            (true, true, ""),
        ] {
            assert_eq!(plain(&Console::new(json, quiet).told(&answer)), expect);
        }
    }

    #[test]
    fn json_has_no_characters_that_deceive() {
        let text = json(&["a\u{202e}b", "\u{7f}\u{e0041}", "ä\n"]).unwrap();
        assert_eq!(text, "[\n  \"a\\u202eb\",\n  \"\\u007f\\udb40\\udc41\",\n  \"ä\\n\"\n]\n");
        let read: Vec<String> = serde_json::from_str(&text).unwrap();
        assert_eq!(read, ["a\u{202e}b", "\u{7f}\u{e0041}", "ä\n"]);
    }
}
