//! Text archive files (`.idt`): a table as text, as `msidb` writes and reads it. `docs/formats/idt.md` has the rules.
//!
//! Rows are written sorted by key, whatever order the database stores them in: equal databases give equal text.

use std::collections::BTreeSet;
use std::io;

use crate::database::{Coding, Column, ColumnKind, Database, Property, Summary, Table, Value};
use crate::error::{MsiError, MsiErrorKind, Result};

/// The archive of the code page.
const CODE_PAGE: &str = "_ForceCodepage";
/// The archive of the summary information.
const SUMMARY: &str = "_SummaryInformation";
/// What stands for the characters that would break a line apart: how they are in a value, and in the file.
const ESCAPES: [(char, char); 6] =
    [('\0', '\u{15}'), ('\u{8}', '\u{1b}'), ('\t', '\u{10}'), ('\n', '\u{19}'), ('\u{c}', '\u{18}'), ('\r', '\u{11}')];
/// Days from 1601-01-01 to 1970-01-01.
const DAYS_TO_1970: i64 = 134_774;
const TICKS_PER_SECOND: u64 = 10_000_000;

/// One table as text, and the streams of its cells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Archive {
    /// The table: the file is called so, with `.idt` after it; the folder of the streams is called so.
    pub name: String,
    /// The file.
    pub text: Vec<u8>,
    /// The files of the folder.
    pub streams: Vec<(String, Vec<u8>)>,
}

/// Writes a database as archives: code page, summary information, then the tables by name.
pub fn export(database: &Database) -> Result<Vec<Archive>> {
    let coding = coding(CODE_PAGE, database.code_page)?;
    let archive = |name: &str, text: String| Archive { name: name.to_owned(), text: text.into(), streams: Vec::new() };
    let mut archives = vec![archive(CODE_PAGE, format!("\r\n\r\n{}\t{CODE_PAGE}\r\n", database.code_page))];
    let summary = summary_table(&database.summary)?;
    if !summary.rows.is_empty() {
        archives.push(table_archive(&summary, database.code_page, coding)?);
    }
    let mut sorted = database.clone();
    sorted.sort();
    for table in &sorted.tables {
        if table.name.is_empty() || !is_file_name(&table.name) {
            return Err(MsiError::unsupported(format!("table {:?}", table.name), "a name that is no file name"));
        }
        archives.push(table_archive(table, database.code_page, coding)?);
    }
    Ok(archives)
}

fn coding(structure: &str, code_page: u32) -> Result<Coding> {
    Coding::of(code_page).ok_or_else(|| MsiError::unsupported(structure, format!("code page {code_page}")))
}

/// Whether a file may be called so, here and on Windows.
fn is_file_name(name: &str) -> bool {
    !name.is_empty()
        && !name.starts_with('.')
        && !name.contains(['/', '\\', ':', '*', '?', '"', '<', '>', '|'])
        && !name.chars().any(char::is_control)
}

fn table_archive(table: &Table, code_page: u32, coding: Coding) -> Result<Archive> {
    let structure = || format!("table {}", table.name);
    let line = |fields: Vec<String>| fields.join("\t") + "\r\n";
    let mut rows = String::new();
    let mut streams = Vec::new();
    for row in &table.rows {
        let mut fields = Vec::new();
        for value in row {
            fields.push(match value {
                Value::Null => String::new(),
                Value::Int(number) => number.to_string(),
                Value::Str(text) => escaped(text).map_err(|what| {
                    MsiError::unsupported(structure(), format!("row {}: {what}", table.row_key(row)))
                })?,
                Value::Binary(bytes) => {
                    let name = format!("{}.ibd", table.row_key(row).replace(", ", "."));
                    if !is_file_name(&name) {
                        let what = format!("a stream of the key {:?}, which is no file name", table.row_key(row));
                        return Err(MsiError::unsupported(structure(), what));
                    }
                    streams.push((name.clone(), bytes.clone()));
                    name
                }
            });
        }
        rows += &line(fields);
    }
    let names = line(table.columns.iter().map(|column| column.name.clone()).collect());
    let types = line(table.columns.iter().map(type_name).collect());
    let keys = table.columns.iter().filter(|column| column.key).map(|column| column.name.clone());
    // The code page stands where a text needs it.
    let code_page = (!rows.is_ascii()).then(|| code_page.to_string());
    let place = line(code_page.into_iter().chain([table.name.clone()]).chain(keys).collect());
    let text = names + &types + &place + &rows;
    let text = coding.encode(&text).ok_or_else(|| {
        MsiError::unsupported(structure(), "a text with characters that the database's code page lacks")
    })?;
    Ok(Archive { name: table.name.clone(), text, streams })
}

/// A text with control characters replaced; an error if the replacements stand in it already.
fn escaped(text: &str) -> Result<String, String> {
    if let Some((_, found)) = ESCAPES.iter().find(|(_, written)| text.contains(*written)) {
        return Err(format!("a text with the control character {:#x}, which stands for another", u32::from(*found)));
    }
    Ok(swap(text, |(held, written)| (held, written)))
}

fn swap(text: &str, direction: impl Fn((char, char)) -> (char, char)) -> String {
    let one = |char| ESCAPES.into_iter().map(&direction).find(|(from, _)| *from == char).map_or(char, |(_, to)| to);
    text.chars().map(one).collect()
}

pub(crate) fn type_name(column: &Column) -> String {
    let (letter, width) = match column.kind {
        ColumnKind::Int16 => ('i', 2),
        ColumnKind::Int32 => ('i', 4),
        ColumnKind::Text(width) => (if column.localizable { 'l' } else { 's' }, width),
        ColumnKind::Binary => ('v', 0),
    };
    format!("{}{width}", if column.nullable { letter.to_ascii_uppercase() } else { letter })
}

/// Reads archives: pairs of a file name, for messages, and its content. `stream` gives a file of a table's folder.
///
/// The tables come back sorted, by name and by key.
pub fn import<'a>(
    files: impl IntoIterator<Item = (&'a str, &'a [u8])>,
    mut stream: impl FnMut(&str, &str) -> io::Result<Vec<u8>>,
) -> Result<Database> {
    let mut files: Vec<(&str, &[u8])> = files.into_iter().collect();
    // The code page says how to read the others.
    files.sort_by_key(|(_, bytes)| !bytes.trim_ascii_start().trim_ascii_end().ends_with(CODE_PAGE.as_bytes()));
    let mut database = Database::default();
    let mut seen = BTreeSet::new();
    for (file, bytes) in files {
        let lines = Lines::of(file, bytes);
        let (code_page, table) = lines.place()?;
        if !seen.insert(table.clone()) {
            return Err(MsiError::malformed(file, format!("a second archive of the table {table}")));
        }
        if table == CODE_PAGE {
            database.code_page = code_page.ok_or_else(|| MsiError::malformed(file, "line 3 has no code page"))?;
            coding(file, database.code_page)?;
            continue;
        }
        // Without a file of its own, the code page of the tables is the database's.
        if let Some(code_page) = code_page
            && database.code_page == 0
        {
            database.code_page = code_page;
        }
        let coding = coding(file, code_page.unwrap_or(database.code_page))?;
        let read = lines.table(&table, coding, &mut stream)?;
        if table == SUMMARY {
            database.summary = summary(file, &read)?;
        } else {
            database.tables.push(read);
        }
    }
    database.sort();
    Ok(database)
}

/// The lines of an archive.
struct Lines<'a> {
    file: &'a str,
    lines: Vec<&'a [u8]>,
}

impl<'a> Lines<'a> {
    fn of(file: &'a str, bytes: &'a [u8]) -> Self {
        let bytes = bytes.strip_suffix(b"\n").unwrap_or(bytes);
        let lines = bytes.split(|byte| *byte == b'\n').map(|line| line.strip_suffix(b"\r").unwrap_or(line)).collect();
        Self { file, lines }
    }

    fn at(&self, line: usize) -> String {
        format!("{}, line {}", self.file, line + 1)
    }

    fn fields(&self, line: usize, coding: Coding) -> Result<Vec<String>> {
        let text = self
            .lines
            .get(line)
            .ok_or_else(|| MsiError::new(self.at(line), MsiErrorKind::Truncated))
            .map(|line| coding.decode(line))?;
        let text = text.ok_or_else(|| MsiError::malformed(self.at(line), "bytes that its code page does not have"))?;
        Ok(text.split('\t').map(str::to_owned).collect())
    }

    /// Reads the line of names far enough: the code page, if it is there, and the table.
    fn place(&self) -> Result<(Option<u32>, String)> {
        let mut fields = self.fields(2, coding(self.file, 0)?)?.into_iter().peekable();
        let is_number = fields.peek().is_some_and(|field| field.bytes().all(|byte| byte.is_ascii_digit()));
        let code_page = match fields.next_if(|field| is_number && !field.is_empty()) {
            Some(number) => Some(number.parse().map_err(|_| {
                MsiError::malformed(self.at(2), format!("the code page {number} is no number of 32 bits"))
            })?),
            None => None,
        };
        match fields.next() {
            Some(table) if !table.is_empty() => Ok((code_page, table)),
            _ => Err(MsiError::malformed(self.at(2), "no name of a table")),
        }
    }

    fn table(
        &self,
        name: &str,
        coding: Coding,
        stream: &mut impl FnMut(&str, &str) -> io::Result<Vec<u8>>,
    ) -> Result<Table> {
        let names = self.fields(0, coding)?;
        let types = self.fields(1, coding)?;
        if names.len() != types.len() {
            let what = format!("{} types for {} columns", types.len(), names.len());
            return Err(MsiError::malformed(self.at(1), what));
        }
        let place = self.fields(2, coding)?;
        let keys = place.iter().skip_while(|field| *field != name).skip(1);
        let keys: Vec<&String> = keys.filter(|key| !key.is_empty()).collect();
        if let Some(key) = keys.iter().find(|key| !names.contains(key)) {
            return Err(MsiError::malformed(self.at(2), format!("the key {key} is no column")));
        }
        let mut columns = Vec::new();
        for (column, kind) in names.into_iter().zip(&types) {
            let is_key = keys.contains(&&column);
            let made = column_of(column, kind, is_key);
            columns.push(made.ok_or_else(|| MsiError::malformed(self.at(1), format!("there is no type {kind}")))?);
        }
        let mut rows = Vec::new();
        for line in 3..self.lines.len() {
            let fields = self.fields(line, coding)?;
            if fields.len() != columns.len() {
                let what = format!("{} values for {} columns", fields.len(), columns.len());
                return Err(MsiError::malformed(self.at(line), what));
            }
            let values = columns.iter().zip(&fields).map(|(column, field)| {
                value(column, field, |file| stream(name, file)).map_err(|error| match error {
                    Fault::Value(what) => MsiError::malformed(self.at(line), format!("column {}: {what}", column.name)),
                    Fault::Stream(error) => {
                        let what = format!("column {}: the file {field:?}: {error}", column.name);
                        MsiError::malformed(self.at(line), what)
                    }
                })
            });
            rows.push(values.collect::<Result<Vec<_>>>()?);
        }
        Ok(Table { name: name.to_owned(), columns, rows })
    }
}

pub(crate) fn column_of(name: String, kind: &str, key: bool) -> Option<Column> {
    let mut chars = kind.chars();
    let letter = chars.next()?;
    let width: u8 = chars.as_str().parse().ok().filter(|_| kind.is_ascii())?;
    let kind = match (letter.to_ascii_lowercase(), width) {
        ('s' | 'l', width) => ColumnKind::Text(width),
        ('i', 1 | 2) => ColumnKind::Int16,
        ('i', 4) => ColumnKind::Int32,
        ('v', 0) => ColumnKind::Binary,
        _ => return None,
    };
    let localizable = letter.eq_ignore_ascii_case(&'l');
    Some(Column { name, kind, nullable: letter.is_ascii_uppercase(), key, localizable })
}

enum Fault {
    Value(String),
    Stream(io::Error),
}

fn value(column: &Column, field: &str, stream: impl FnOnce(&str) -> io::Result<Vec<u8>>) -> Result<Value, Fault> {
    if field.is_empty() {
        return Ok(Value::Null);
    }
    let largest = match column.kind {
        ColumnKind::Text(_) => return Ok(Value::Str(swap(field, |(held, written)| (written, held)))),
        ColumnKind::Binary if !is_file_name(field) => {
            return Err(Fault::Value(format!("{field:?} is no name of a file in the table's folder")));
        }
        ColumnKind::Binary => return stream(field).map(Value::Binary).map_err(Fault::Stream),
        ColumnKind::Int16 => 0x7fff,
        ColumnKind::Int32 => i32::MAX,
    };
    match field.parse() {
        Ok(number) if (-largest..=largest).contains(&number) => Ok(Value::Int(number)),
        _ => Err(Fault::Value(format!("{field:?} is no number from -{largest} to {largest}"))),
    }
}

/// The type that a property of the summary information has.
fn property_type(number: u32) -> Property {
    match number {
        1 => Property::I2(0),
        10..=13 => Property::Time(0),
        14..=16 | 19 => Property::I4(0),
        _ => Property::Text(String::new()),
    }
}

fn summary_table(summary: &Summary) -> Result<Table> {
    let column = |name: &str, kind, key| Column {
        name: name.to_owned(),
        kind,
        nullable: false,
        key,
        localizable: kind != ColumnKind::Int16,
    };
    let mut rows = Vec::new();
    for (number, property) in &summary.properties {
        if std::mem::discriminant(property) != std::mem::discriminant(&property_type(*number)) {
            return Err(MsiError::unsupported(SUMMARY, format!("the type of property {number}")));
        }
        let text = match property {
            Property::I2(value) => value.cast_unsigned().to_string(),
            Property::I4(value) => value.to_string(),
            Property::Text(text) => text.clone(),
            Property::Time(ticks) => time_text(*ticks),
        };
        let number = i32::try_from(*number).map_err(|_| MsiError::unsupported(SUMMARY, "so large a number"))?;
        rows.push(vec![Value::Int(number), Value::Str(text)]);
    }
    let columns = vec![column("PropertyId", ColumnKind::Int16, true), column("Value", ColumnKind::Text(255), false)];
    Ok(Table { name: SUMMARY.to_owned(), columns, rows })
}

fn summary(file: &str, table: &Table) -> Result<Summary> {
    let mut summary = Summary::default();
    for row in &table.rows {
        let (number, text) = match row.as_slice() {
            [Value::Int(number), Value::Str(text)] => (*number, text.as_str()),
            [Value::Int(number), Value::Null] => (*number, ""),
            _ => return Err(MsiError::malformed(file, "a row that is no number and text")),
        };
        let bad = || MsiError::malformed(file, format!("property {number} cannot be {text:?}"));
        let number = u32::try_from(number).map_err(|_| bad())?;
        let property = match property_type(number) {
            Property::I2(_) => Property::I2(text.parse::<u16>().map_err(|_| bad())?.cast_signed()),
            Property::I4(_) => Property::I4(text.parse().map_err(|_| bad())?),
            Property::Time(_) => Property::Time(time(text).ok_or_else(bad)?),
            Property::Text(_) => Property::Text(text.to_owned()),
        };
        if summary.properties.insert(number, property).is_some() {
            return Err(MsiError::malformed(file, format!("property {number} stands twice")));
        }
    }
    Ok(summary)
}

/// `2026/11/20 15:00:00`, in UTC; parts of a second are dropped.
fn time_text(ticks: u64) -> String {
    let seconds = ticks / TICKS_PER_SECOND;
    let (year, month, day) = civil(i64::try_from(seconds / 86_400).unwrap_or(i64::MAX / 2) - DAYS_TO_1970);
    let (hour, minute, second) = (seconds / 3600 % 24, seconds / 60 % 60, seconds % 60);
    format!("{year:04}/{month:02}/{day:02} {hour:02}:{minute:02}:{second:02}")
}

fn time(text: &str) -> Option<u64> {
    let (date, clock) = text.split_once(' ')?;
    let three = |text: &str, separator| -> Option<[i64; 3]> {
        let parts: Option<Vec<i64>> = text.split(separator).map(|part| part.parse().ok()).collect();
        parts?.try_into().ok()
    };
    let ([year, month, day], [hour, minute, second]) = (three(date, '/')?, three(clock, ':')?);
    let sound = (1601..=30827).contains(&year)
        && (1..=12).contains(&month)
        && (1..=31).contains(&day)
        && (0..24).contains(&hour)
        && (0..60).contains(&minute)
        && (0..60).contains(&second);
    let days = sound.then(|| days(year, month, day))?;
    // A day that its month does not have comes back as another.
    if civil(days) != (year, month, day) {
        return None;
    }
    let seconds = (days + DAYS_TO_1970) * 86_400 + hour * 3600 + minute * 60 + second;
    u64::try_from(seconds).ok()?.checked_mul(TICKS_PER_SECOND)
}

/// Days since 1970 of a date of the Gregorian calendar.
fn days(year: i64, month: i64, day: i64) -> i64 {
    // Years that begin in March end with the odd day.
    let year = if month <= 2 { year - 1 } else { year };
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    year * 365 + year.div_euclid(4) - year.div_euclid(100) + year.div_euclid(400) + day_of_year - 719_468
}

/// The date of a day since 1970.
fn civil(days: i64) -> (i64, i64, i64) {
    let days = days + 719_468;
    let (era, of_era) = (days.div_euclid(146_097), days.rem_euclid(146_097));
    let year = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    (year + era * 400 + i64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_dates_of_the_calendar() {
        for (text, ticks) in [
            ("1601/01/01 00:00:00", Some(0)),
            ("1970/01/01 00:00:00", Some(116_444_736_000_000_000)),
            ("2000/02/29 23:59:59", Some(125_963_423_990_000_000)),
            ("2001/02/29 00:00:00", None),
            ("2020/13/01 00:00:00", None),
            ("2020/01/01 24:00:00", None),
            ("2020/01/01", None),
            ("", None),
        ] {
            assert_eq!(time(text), ticks, "{text}");
            if let Some(ticks) = ticks {
                assert_eq!(time_text(ticks + 9), text);
            }
        }
        time_text(u64::MAX);
    }

    #[test]
    fn types_are_read_and_written() {
        for text in ["s72", "S255", "l0", "L64", "i2", "I4", "v0", "V0"] {
            assert_eq!(type_name(&column_of("c".to_owned(), text, false).unwrap()), text);
        }
        for text in ["", "s", "s256", "i3", "v1", "x2", "é2", "s+1", "72"] {
            assert_eq!(
                column_of("c".to_owned(), text, false).map(|column| type_name(&column)).filter(|made| made == text),
                None,
                "{text}"
            );
        }
    }
}
