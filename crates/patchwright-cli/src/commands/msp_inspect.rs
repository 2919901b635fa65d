//! The text of `patchwright msp inspect`.

use patchwright::msp::{
    InspectedCabinet, InspectedFile, InspectedProduct, InspectedTable, InspectedTransform, MspAgainst, MspInspectReport,
};

use super::inspect::{heading, ranges};
use super::range_counts;
use crate::text::{Align, Table, byte_cells, bytes, count, counted, escape, escape_path, facts};

pub(super) fn text(report: &MspInspectReport) -> String {
    let mut text = head(report);
    text.extend(report.against.as_ref().map(against));
    text.extend(report.transforms.iter().map(transform));
    if !report.families.is_empty() {
        text += &families(report);
    }
    if !report.files.is_empty() {
        text += &files(&report.files);
    }
    text.extend(report.files.iter().map(delta));
    text.extend(report.cabinets.iter().map(cabinet));
    text += &lints(report);
    text
}

fn head(report: &MspInspectReport) -> String {
    let mut lines = vec![
        ("patch", escape_path(&report.patch)),
        ("size", bytes(report.patch_bytes)),
        ("patch code", escape(&report.patch_code)),
    ];
    let texts = [
        ("title", &report.title),
        ("subject", &report.subject),
        ("author", &report.author),
        ("comments", &report.comments),
        ("sources", &report.sources),
    ];
    lines.extend(texts.iter().filter_map(|(name, text)| Some((*name, escape(text.as_ref()?)))));
    lines.push((
        "needs",
        report.installer_version.map_or_else(
            || format!("level {} of Windows Installer", report.installer),
            |version| format!("Windows Installer {version}"),
        ),
    ));
    lines.extend(report.product_codes.iter().map(|code| ("for product", escape(code))));
    lines.extend(report.replaces.iter().map(|code| ("in place of", escape(code))));
    for row in report.sequence.iter().flatten() {
        let product = row.product_code.as_ref().map_or(String::new(), |code| format!(" for {}", escape(code)));
        let number = row.sequence.as_deref().unwrap_or("no number");
        let supersedes = if row.supersedes { ", in place of all before it" } else { "" };
        lines.push(("sequence", format!("{} {}{product}{supersedes}", escape(&row.family), escape(number))));
    }
    let signed = if report.signed { "yes; not checked" } else { "no" };
    lines.push(("signed", signed.to_owned()));
    let mut text = facts(lines);
    if let Some(rows) = &report.metadata {
        text += &heading("Metadata");
        let names: Vec<String> = rows
            .iter()
            .map(|row| match &row.company {
                Some(company) => format!("  {} ({})", escape(&row.property), escape(company)),
                None => format!("  {}", escape(&row.property)),
            })
            .collect();
        let values = rows.iter().map(|row| escape(row.value.as_deref().unwrap_or_default()));
        text += &facts(names.iter().map(String::as_str).zip(values));
    }
    text
}

fn against(against: &MspAgainst) -> String {
    let mut text = heading("Against");
    let verdict = if against.applies { "yes: the patch applies" } else { "no: the patch does not apply" };
    let mut lines = vec![
        ("  installer", escape_path(&against.installer)),
        ("  product", product(&against.product)),
        ("  verdict", verdict.to_owned()),
    ];
    if !against.listed {
        lines.push(("  because", "the patch does not list the product code".to_owned()));
    }
    if against.applies {
        lines.push(("  version after", escape(&against.version_after)));
    }
    text += &facts(lines);
    text.extend(against.faults.iter().map(|fault| format!("  {}\n", escape(fault))));
    for verdict in &against.transforms {
        let word = if verdict.applies { "applies" } else { "does not apply" };
        text += &format!("  {}: {word}\n", escape(&verdict.name));
        for one in &verdict.mismatches {
            let found = if one.found.is_empty() { "none".to_owned() } else { escape(&one.found) };
            text += &format!("    {}: it needs {}, the product has {found}\n", one.what, escape(&one.needed));
        }
        text.extend(verdict.faults.iter().map(|fault| format!("    {}\n", escape(fault))));
    }
    text
}

/// `{CODE} 1.0.0, Intel 1033, upgrade code {CODE}`
fn product(product: &InspectedProduct) -> String {
    let languages = product.languages.iter().map(ToString::to_string).collect::<Vec<_>>().join(",");
    let platform = if product.platform.is_empty() { "Intel" } else { &product.platform };
    let upgrade =
        product.upgrade_code.as_ref().map_or(String::new(), |code| format!(", upgrade code {}", escape(code)));
    format!("{} {}, {} {languages}{upgrade}", escape(&product.product_code), escape(&product.version), escape(platform))
}

fn transform(transform: &InspectedTransform) -> String {
    let unlisted = if transform.listed { "" } else { ", never applied" };
    let mut text = heading(&format!("Transform {}: {}{unlisted}", escape(&transform.name), transform.role));
    if let Some(fault) = &transform.fault {
        return text + &format!("  {}\n", escape(fault));
    }
    let mut lines = Vec::new();
    if let (Some(base), Some(result)) = (&transform.base, &transform.result) {
        lines.push(("  from", product(base)));
        let to = [(&base.product_code, &result.product_code), (&base.version, &result.version)];
        if to.iter().any(|(from, to)| from != to) {
            lines.push(("  to", product(result)));
        }
    }
    let listed = |names: &[&'static str]| if names.is_empty() { "nothing".to_owned() } else { names.join(", ") };
    lines.extend(
        transform
            .validation
            .as_ref()
            .map(|word| ("  compares", format!("{} ({})", listed(&transform.compares), escape(word)))),
    );
    lines.extend(
        transform
            .error_conditions
            .as_ref()
            .map(|word| ("  tolerates", format!("{} ({})", listed(&transform.tolerates), escape(word)))),
    );
    text += &facts(lines);
    if !transform.tables.is_empty() {
        text += &tables(&transform.tables);
    }
    text
}

fn tables(tables: &[InspectedTable]) -> String {
    let mut made = Table::new([
        ("change", Align::Left),
        ("inserted", Align::Right),
        ("updated", Align::Right),
        ("deleted", Align::Right),
        ("table", Align::Left),
    ]);
    for table in tables {
        let mut name = escape(&table.table);
        if !table.changed_columns.is_empty() {
            name += &format!(" ({})", escape(&table.changed_columns.join(", ")));
        }
        if !table.new_columns.is_empty() {
            name += &format!(", new columns {}", escape(&table.new_columns.join(", ")));
        }
        let rows = match table.undecoded_bytes {
            Some(len) => [counted(len as u64, "byte", "bytes"), "-".to_owned(), "-".to_owned()],
            None => [table.inserted, table.updated, table.deleted].map(|rows| count(rows as u64)),
        };
        let [inserted, updated, deleted] = rows;
        made.row([table.change.to_owned(), inserted, updated, deleted, name]);
    }
    made.render()
}

fn families(report: &MspInspectReport) -> String {
    let mut made = Table::new([
        ("disk", Align::Right),
        ("last number", Align::Right),
        ("cabinet", Align::Left),
        ("source", Align::Left),
        ("added by", Align::Left),
    ]);
    for family in &report.families {
        made.row([
            family.disk_id.to_string(),
            family.last_sequence.to_string(),
            escape(&family.cabinet),
            family.source.as_deref().map_or_else(|| "-".to_owned(), escape),
            escape(&family.added_by.join(", ")),
        ]);
    }
    heading("Disks") + &made.render()
}

fn files(files: &[InspectedFile]) -> String {
    let mut made = Table::new([
        ("number", Align::Right),
        ("kind", Align::Left),
        ("size", Align::Right),
        ("", Align::Left),
        ("olds", Align::Right),
        ("cabinet", Align::Left),
        ("file", Align::Left),
    ]);
    for file in files {
        let [exact, human] = file.bytes.map_or_else(|| ["missing".to_owned(), String::new()], byte_cells);
        let olds = file.header.as_ref().map_or_else(|| "-".to_owned(), |header| header.olds.len().to_string());
        let optional = if file.vital == Some(false) { " (not vital)" } else { "" };
        made.row([
            file.sequence.to_string(),
            file.kind.to_owned(),
            exact,
            human,
            olds,
            file.cabinet.as_deref().map_or_else(|| "-".to_owned(), escape),
            escape(&file.file) + optional,
        ]);
    }
    heading("Files") + &made.render()
}

/// The old versions of a delta.
fn delta(file: &InspectedFile) -> String {
    let Some(header) = &file.header else { return String::new() };
    let mut text = heading(&format!("Delta of {}", escape(&file.file)));
    if let Some(fault) = &header.fault {
        text += &format!("  header: {}\n", escape(fault));
    }
    if let (Some(len), Some(crc)) = (header.new_bytes, &header.new_crc32) {
        text += &format!("  new: {}, crc32 {}\n", bytes(len), escape(crc));
    }
    for (old, number) in header.olds.iter().zip(1..) {
        let ranged = range_counts(old.ignore.len(), old.retain.len());
        let same = if old.stream_bytes == 0 { ", it is the new file" } else { "" };
        text += &format!("  old {number}: {}, crc32 {}, {ranged}{same}\n", bytes(old.bytes), escape(&old.crc32));
        text += &ranges(&old.ignore, &old.retain);
    }
    text
}

fn cabinet(cabinet: &InspectedCabinet) -> String {
    let members = counted(cabinet.members.len() as u64, "file", "files");
    let mut text = heading(&format!("Cabinet {}: {}, {members}", escape(&cabinet.name), bytes(cabinet.bytes)));
    if let Some(fault) = &cabinet.fault {
        return text + &format!("  {}\n", escape(fault));
    }
    let mut made = Table::new([("size", Align::Right), ("", Align::Left), ("name", Align::Left)]);
    for member in &cabinet.members {
        let [exact, human] = byte_cells(member.bytes);
        made.row([exact, human, escape(&member.name)]);
    }
    if !cabinet.members.is_empty() {
        text += &made.render();
    }
    text
}

fn lints(report: &MspInspectReport) -> String {
    if report.lints.is_empty() {
        return String::new();
    }
    let mut text = heading("What the installer will not like");
    for lint in &report.lints {
        text += &format!("  {}: {}\n", lint.code, escape(&lint.message));
        if !lint.hint.is_empty() {
            text += &format!("    {}\n", lint.hint);
        }
    }
    text
}
