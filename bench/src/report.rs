//! The tables, in Markdown.

use std::fmt;
use std::fs;

use crate::Result;
use crate::goals::Goals;
use crate::measure::Usage;
use crate::several::Measured;
use crate::tools::{Kind, Tool};

/// The tool that ratios are against.
const REFERENCE: &str = "bsdiff";

/// What one tool did with one pair.
pub(crate) enum Trial {
    Done { patch_len: u64, create: Usage, apply: Usage },
    Failed(String),
}

/// One pair and what every tool did with it, in the order of the report's tools.
pub(crate) struct Case {
    pub(crate) pair: String,
    /// What the pair is; may be empty.
    pub(crate) title: String,
    pub(crate) old_len: u64,
    pub(crate) new_len: u64,
    pub(crate) trials: Vec<Trial>,
}

pub(crate) struct Report<'a> {
    tools: &'a [Tool],
    date: &'a str,
    commit: &'a str,
    planned: usize,
    machine: String,
    /// Tools that are not here, and why.
    pub(crate) missing: Vec<String>,
    pub(crate) cases: Vec<Case>,
    pub(crate) families: Vec<Measured>,
}

/// A column of numbers that are compared.
struct Measure {
    title: &'static str,
    unit: &'static str,
    value: fn(u64, &Usage, &Usage) -> f64,
    show: fn(f64) -> String,
}

const MEASURES: &[Measure] = &[
    Measure { title: "Patch size", unit: "bytes", value: |len, _, _| len as f64, show: integer },
    Measure {
        title: "Create: wall time",
        unit: "seconds",
        value: |_, create, _| create.wall.as_secs_f64(),
        show: seconds,
    },
    Measure {
        title: "Create: processor time",
        unit: "seconds",
        value: |_, create, _| create.cpu.as_secs_f64(),
        show: seconds,
    },
    Measure { title: "Create: peak memory", unit: "MiB", value: |_, create, _| mib(create.peak_bytes), show: decimal },
    Measure {
        title: "Apply: wall time",
        unit: "seconds",
        value: |_, _, apply| apply.wall.as_secs_f64(),
        show: seconds,
    },
    Measure {
        title: "Apply: processor time",
        unit: "seconds",
        value: |_, _, apply| apply.cpu.as_secs_f64(),
        show: seconds,
    },
    Measure { title: "Apply: peak memory", unit: "MiB", value: |_, _, apply| mib(apply.peak_bytes), show: decimal },
];

impl<'a> Report<'a> {
    pub(crate) fn new(tools: &'a [Tool], date: &'a str, commit: &'a str, planned: usize) -> Result<Self> {
        Ok(Report {
            tools,
            date,
            commit,
            planned,
            machine: machine()?,
            missing: Vec::new(),
            cases: Vec::new(),
            families: Vec::new(),
        })
    }

    pub(crate) fn failures(&self) -> usize {
        self.trials().filter(|(.., trial)| matches!(trial, Trial::Failed(_))).count()
    }

    fn trials(&self) -> impl Iterator<Item = (&Case, &Tool, &Trial)> {
        self.cases
            .iter()
            .flat_map(|case| self.tools.iter().zip(&case.trials).map(move |(tool, trial)| (case, tool, trial)))
    }

    fn head(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "# Delta benchmark\n")?;
        writeln!(
            f,
            "Written by `cargo xtask bench delta`. Machine: {}. Date: {}. Commit: {}.\n",
            self.machine, self.date, self.commit
        )?;
        if self.cases.len() < self.planned {
            writeln!(f, "**Broken off: {} of {} pairs.**\n", self.cases.len(), self.planned)?;
        }
        writeln!(
            f,
            "Per pair, all tools ran one after the other. Create ran once; apply ran up to three times as long as that took less\n\
             than two seconds, and the fastest counts. Every result was compared with the new file. Times of steps are added, of\n\
             their memory the peak counts. `WINDOW` is the least power of two that holds both files. Ratios are to {REFERENCE},\n\
             less is better; the mean of ratios is geometric."
        )?;
        let beside: Vec<&str> =
            self.tools.iter().filter(|tool| tool.kind == Kind::Beside).map(|tool| tool.name).collect();
        if !beside.is_empty() {
            writeln!(
                f,
                "The creates of {} ran side by side, one on each core: of their times only the processor's are fair.",
                beside.join(", ")
            )?;
        }
        writeln!(f)?;
        for line in &self.missing {
            writeln!(f, "Not measured: {line}.\n")?;
        }
        writeln!(f, "| tool | version | create | apply |\n|---|---|---|---|")?;
        for Tool { name, version, create_line, apply_line, .. } in self.tools {
            writeln!(f, "| {name} | {version} | `{create_line}` | `{apply_line}` |")?;
        }
        writeln!(f, "\n| pair | what |\n|---|---|")?;
        for case in &self.cases {
            writeln!(f, "| {} | {} |", case.pair, case.title)?;
        }
        Ok(())
    }

    /// Mean ratios of every measure, for who reads one table only.
    fn summary(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "\n## Summary: mean ratio to {REFERENCE}\n")?;
        self.header(f, "measure", 0)?;
        for measure in MEASURES {
            let means = self.columns(measure).map(|column| ratio_cell(mean_ratio(&column, &self.reference(measure))));
            row(f, measure.title, means)?;
        }
        let new_mib: f64 = self.cases.iter().map(|case| mib(case.new_len)).sum();
        for (title, index) in [("Create: seconds for each MiB of the new files", 1), ("Apply: the same", 4)] {
            let cells =
                self.columns(&MEASURES[index]).map(|column| match column.iter().copied().sum::<Option<f64>>() {
                    Some(total) if new_mib > 0.0 => seconds(total / new_mib),
                    _ => "–".into(),
                });
            row(f, title, cells)?;
        }
        Ok(())
    }

    /// Patches from several old versions.
    fn families(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for Measured { family, apart, together } in &self.families {
            let [a, b, c] = family.pairs;
            writeln!(f, "\n## Three old versions: {}, bytes\n", family.name)?;
            writeln!(
                f,
                "| tool | {a} | {b} | {c} | three patches | one patch | one / three |\n|---|{}",
                "---:|".repeat(6)
            )?;
            for (tool, lens) in apart {
                let Ok(lens) = lens else {
                    row(f, tool, std::iter::repeat_n(String::from("failed"), 6))?;
                    continue;
                };
                let sum: u64 = lens.iter().sum();
                let one = together.as_ref().ok().filter(|_| *tool == "small");
                let mut cells: Vec<String> = lens.iter().chain([&sum]).map(u64::to_string).collect();
                cells.push(one.map_or("–".into(), u64::to_string));
                cells.push(ratio_cell(one.and_then(|one| ratio(*one as f64, sum as f64))));
                row(f, tool, cells.into_iter())?;
            }
            if let Err(reason) = together {
                writeln!(f, "\nOne patch for all three: {reason}.")?;
            }
        }
        Ok(())
    }

    fn table(&self, f: &mut fmt::Formatter<'_>, measure: &Measure) -> fmt::Result {
        writeln!(f, "\n## {}, {}\n", measure.title, measure.unit)?;
        self.header(f, "pair | old bytes | new bytes", 2)?;
        let reference = self.reference(measure);
        let columns: Vec<Vec<Option<f64>>> = self.columns(measure).collect();
        for (index, case) in self.cases.iter().enumerate() {
            let cells = columns.iter().map(|column| match (column[index], reference[index]) {
                (None, _) => "failed".into(),
                (Some(value), None) => (measure.show)(value),
                (Some(value), Some(base)) => format!("{} ({})", (measure.show)(value), ratio_cell(ratio(value, base))),
            });
            row(f, &format!("{} | {} | {}", case.pair, case.old_len, case.new_len), cells)?;
        }
        let totals = columns.iter().map(|column| column.iter().copied().sum::<Option<f64>>());
        row(f, "total | |", totals.map(|total| total.map_or("–".into(), measure.show)))?;
        row(f, "mean ratio | |", columns.iter().map(|column| ratio_cell(mean_ratio(column, &reference))))
    }

    fn header(&self, f: &mut fmt::Formatter<'_>, first: &str, more: usize) -> fmt::Result {
        row(f, first, self.tools.iter().map(|tool| tool.name.to_owned()))?;
        writeln!(f, "|---{}{}|", "|---:".repeat(more), "|---:".repeat(self.tools.len()))
    }

    /// Values of each tool, one per case; `None` where it failed.
    fn columns(&self, measure: &Measure) -> impl Iterator<Item = Vec<Option<f64>>> {
        (0..self.tools.len()).map(|tool| {
            let values = self.cases.iter().map(|case| match &case.trials[tool] {
                Trial::Done { patch_len, create, apply } => Some((measure.value)(*patch_len, create, apply)),
                Trial::Failed(_) => None,
            });
            values.collect()
        })
    }

    fn reference(&self, measure: &Measure) -> Vec<Option<f64>> {
        match self.tools.iter().position(|tool| tool.name == REFERENCE) {
            Some(index) => self.columns(measure).nth(index).expect("one column per tool"),
            None => vec![None; self.cases.len()],
        }
    }
}

impl fmt::Display for Report<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.head(f)?;
        write!(f, "{}", Goals { tools: self.tools, cases: &self.cases })?;
        self.summary(f)?;
        self.families(f)?;
        for measure in MEASURES {
            self.table(f, measure)?;
        }
        if self.failures() > 0 {
            writeln!(f, "\n## Failures\n")?;
        }
        for (case, tool, trial) in self.trials() {
            if let Trial::Failed(reason) = trial {
                writeln!(f, "- {} of {}: {reason}", tool.name, case.pair)?;
            }
        }
        Ok(())
    }
}

impl fmt::Display for Trial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Trial::Done { patch_len, create, apply } => {
                let (create_s, apply_s) = (seconds(create.wall.as_secs_f64()), seconds(apply.wall.as_secs_f64()));
                let (create_mib, apply_mib) = (mib(create.peak_bytes), mib(apply.peak_bytes));
                write!(
                    f,
                    "{patch_len} bytes, create {create_s} s {create_mib:.0} MiB, apply {apply_s} s {apply_mib:.0} MiB"
                )
            }
            Trial::Failed(reason) => write!(f, "failed: {reason}"),
        }
    }
}

fn row(f: &mut fmt::Formatter<'_>, first: &str, cells: impl Iterator<Item = String>) -> fmt::Result {
    write!(f, "| {first} |")?;
    for cell in cells {
        write!(f, " {cell} |")?;
    }
    writeln!(f)
}

fn ratio(value: f64, base: f64) -> Option<f64> {
    (base > 0.0).then(|| value / base)
}

/// Geometric mean of the ratios of those cases that both have; `None` without any.
fn mean_ratio(values: &[Option<f64>], base: &[Option<f64>]) -> Option<f64> {
    geometric_mean(values.iter().zip(base).filter_map(|(value, base)| ratio((*value)?, (*base)?)))
}

/// Of those that are above zero; `None` without any.
pub(crate) fn geometric_mean(ratios: impl Iterator<Item = f64>) -> Option<f64> {
    let logarithms: Vec<f64> = ratios.filter(|ratio| *ratio > 0.0).map(f64::ln).collect();
    (!logarithms.is_empty()).then(|| (logarithms.iter().sum::<f64>() / logarithms.len() as f64).exp())
}

fn ratio_cell(ratio: Option<f64>) -> String {
    ratio.map_or("–".into(), |ratio| format!("{ratio:.3}"))
}

fn integer(value: f64) -> String {
    format!("{value:.0}")
}

fn decimal(value: f64) -> String {
    format!("{value:.1}")
}

/// Three digits that matter.
fn seconds(value: f64) -> String {
    match value {
        v if v < 1.0 => format!("{v:.3}"),
        v if v < 10.0 => format!("{v:.2}"),
        v => format!("{v:.1}"),
    }
}

fn mib(bytes: u64) -> f64 {
    bytes as f64 / (1 << 20) as f64
}

/// Processor, how many of them, memory: what the numbers depend on, and nothing that names this one machine.
fn machine() -> Result<String> {
    let read = |path: &str| fs::read_to_string(path).map_err(|error| format!("{path}: {error}"));
    let (cpu, memory) = (read("/proc/cpuinfo")?, read("/proc/meminfo")?);
    let model = field(&cpu, "model name").unwrap_or_else(|| std::env::consts::ARCH.into());
    let count = std::thread::available_parallelism().map_or(1, usize::from);
    let kib = field(&memory, "MemTotal").and_then(|text| text.split(' ').next()?.parse::<f64>().ok());
    let gib = kib.map_or("unknown".into(), |kib| format!("{:.0} GiB", kib / f64::from(1 << 20)));
    Ok(format!("{model}, {count} cores, {gib} memory, Linux on {}", std::env::consts::ARCH))
}

/// Value of the first line `name : value`.
fn field(text: &str, name: &str) -> Option<String> {
    let (_, value) = text.lines().find(|line| line.starts_with(name))?.split_once(':')?;
    Some(value.trim().into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mean_of_ratios_is_geometric() {
        let close = |a: Option<f64>, b: f64| assert!((a.unwrap() - b).abs() < 1e-9, "{a:?} {b}");
        close(mean_ratio(&[Some(1.0), Some(8.0)], &[Some(2.0), Some(4.0)]), 1.0);
        close(mean_ratio(&[Some(1.0), Some(1.0)], &[Some(4.0), Some(1.0)]), 0.5);
        close(mean_ratio(&[Some(3.0), None, Some(5.0)], &[Some(6.0), Some(1.0), None]), 0.5);
        assert_eq!(mean_ratio(&[None], &[Some(1.0)]), None);
        assert_eq!(mean_ratio(&[Some(1.0)], &[Some(0.0)]), None);
    }

    #[test]
    fn failed_trials_have_no_part_in_totals_and_means() {
        use std::time::Duration;
        let (tools, _) = crate::tools::all(&crate::tools::Places::default()).unwrap();
        let tools: Vec<Tool> =
            tools.into_iter().filter(|tool| ["small", "bsdiff", "zstd", "xz"].contains(&tool.name)).collect();
        let mut report = Report::new(&tools, "2026-01-01", "0123", 2).unwrap();
        report.missing.push("hdiffz: not here".into());
        for (pair, base) in [("d01", 100), ("d02", 1000)] {
            let usage = Usage { wall: Duration::from_millis(1500), cpu: Duration::from_secs(1), peak_bytes: 3 << 20 };
            let done = |patch_len| Trial::Done { patch_len, create: usage, apply: usage };
            let mut trials: Vec<Trial> = tools.iter().map(|_| done(base)).collect();
            trials[0] = done(base / 2);
            if pair == "d02" {
                trials[2] = Trial::Failed("exit status: 1".into());
            }
            report.cases.push(Case {
                pair: pair.into(),
                title: format!("title of {pair}"),
                old_len: 5,
                new_len: 1 << 20,
                trials,
            });
        }
        report.families.push(Measured {
            family: crate::several::Family { name: "x", pairs: ["m2", "m1", "d1"] },
            apart: vec![("small", Ok([10, 20, 70])), ("hdiffz", Err("no".into()))],
            together: Ok(60),
        });
        let text = report.to_string();
        let has = |line: &str| assert!(text.contains(line), "{line}\n{text}");
        has("| d01 | title of d01 |");
        has("| pair | old bytes | new bytes | small | bsdiff | zstd | xz |");
        has("| d02 | 5 | 1048576 | 500 (0.500) | 1000 (1.000) | failed | 1000 (1.000) |");
        has("| total | | | 550 | 1100 | – | 1100 |");
        has("| mean ratio | | | 0.500 | 1.000 | 1.000 |");
        has("| Create: wall time | 1.000 | 1.000 | 1.000 |");
        has("| Create: seconds for each MiB of the new files | 1.50 | 1.50 | – | 1.50 |");
        has("The creates of bsdiff, zstd, xz ran side by side");
        has("Not measured: hdiffz: not here.");
        has("| small | 10 | 20 | 70 | 100 | 60 | 0.600 |");
        has("| hdiffz | failed |");
        has("- zstd of d02: exit status: 1");
        assert_eq!(report.failures(), 1);
        assert!(!text.contains("Broken off"), "{text}");
    }

    #[test]
    fn seconds_have_three_digits() {
        for (value, expect) in [(0.01234, "0.012"), (1.234, "1.23"), (123.45, "123.5")] {
            assert_eq!(seconds(value), expect);
        }
    }
}
