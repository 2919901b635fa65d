//! What was to be reached, and whether it is: a table of goals, each with the measured value.

use std::fmt;

use crate::measure::Usage;
use crate::report::{Case, Trial, geometric_mean};
use crate::tools::Tool;

/// One number of a trial: patch length in bytes, or seconds.
type Value = fn(u64, &Usage, &Usage) -> f64;

const SIZE: Value = |len, _, _| len as f64;
const CREATE_WALL: Value = |_, create, _| create.wall.as_secs_f64();
const APPLY_WALL: Value = |_, _, apply| apply.wall.as_secs_f64();

/// How a goal is measured.
enum Way {
    /// The mean ratio of a value to that of a rival.
    Mean(Value, &'static str),
    /// The largest ratio of the patch's length to that of the best delta of a rival.
    BestRival,
    /// The largest ratio of the patch's length to that of the whole file compressed, and 1 KiB.
    WholeFile,
    /// The largest ratio of peak memory to what both files hold.
    Peak,
}

struct Goal {
    tool: &'static str,
    what: &'static str,
    way: Way,
    limit: f64,
}

const fn goal(tool: &'static str, what: &'static str, way: Way, limit: f64) -> Goal {
    Goal { tool, what, way, limit }
}

const GOALS: &[Goal] = &[
    goal("small", "size / zucchini+xz, mean", Way::Mean(SIZE, "zucchini+xz"), 0.40),
    goal("small", "size / bsdiff, mean", Way::Mean(SIZE, "bsdiff"), 0.22),
    goal("small", "size / best rival of the pair, largest", Way::BestRival, 1.0),
    goal("small", "size / (xz of the new file + 1 KiB), largest", Way::WholeFile, 1.0),
    goal("small", "create wall / zucchini+xz, mean", Way::Mean(CREATE_WALL, "zucchini+xz"), 0.5),
    goal("small", "create peak memory / (old + new), largest", Way::Peak, 6.0),
    goal("small", "apply wall / zucchini+xz, mean", Way::Mean(APPLY_WALL, "zucchini+xz"), 1.0),
    goal("fast", "size / hdiffz, mean", Way::Mean(SIZE, "hdiffz"), 0.60),
    goal("fast", "create wall / hdiffz, mean", Way::Mean(CREATE_WALL, "hdiffz"), 0.7),
    goal("fast", "apply wall / zstd, mean", Way::Mean(APPLY_WALL, "zstd"), 2.0),
    goal("quick", "size / bidiff, mean", Way::Mean(SIZE, "bidiff"), 0.6),
    goal("quick", "create wall / bidiff, mean", Way::Mean(CREATE_WALL, "bidiff"), 1.0),
];

/// The goals and what was measured, as a table.
pub(crate) struct Goals<'a> {
    pub(crate) tools: &'a [Tool],
    pub(crate) cases: &'a [Case],
}

impl<'a> Goals<'a> {
    /// The ratio, and the pair that it is of when it is not a mean.
    fn measured(&self, goal: &Goal) -> Option<(f64, &'a str)> {
        let ratios = |rival: &dyn Fn(&Case) -> Option<f64>, value: Value| -> Vec<(f64, &'a str)> {
            let ratio = |case| Some(self.value(case, goal.tool, value)? / rival(case)?);
            self.cases.iter().filter_map(|case| Some((ratio(case)?, case.pair.as_str()))).collect()
        };
        let largest = |ratios: Vec<(f64, &'a str)>| ratios.into_iter().max_by(|a, b| a.0.total_cmp(&b.0));
        match goal.way {
            Way::Mean(value, rival) => {
                let ratios = ratios(&|case| self.value(case, rival, value), value);
                geometric_mean(ratios.into_iter().map(|(ratio, _)| ratio)).map(|mean| (mean, ""))
            }
            Way::BestRival => {
                let best = |case: &Case| {
                    let rivals = self.tools.iter().filter(|tool| !tool.is_ours() && tool.name != "xz");
                    rivals.filter_map(|tool| self.value(case, tool.name, SIZE)).min_by(f64::total_cmp)
                };
                largest(ratios(&best, SIZE))
            }
            Way::WholeFile => largest(ratios(&|case| Some(self.value(case, "xz", SIZE)? + 1024.0), SIZE)),
            Way::Peak => largest(ratios(&|case| Some((case.old_len + case.new_len) as f64), |_, create, _| {
                create.peak_bytes as f64
            })),
        }
    }

    fn value(&self, case: &Case, tool: &str, value: Value) -> Option<f64> {
        let number = self.tools.iter().position(|other| other.name == tool)?;
        match case.trials.get(number)? {
            Trial::Done { patch_len, create, apply } => Some(value(*patch_len, create, apply)),
            Trial::Failed(_) => None,
        }
    }
}

impl fmt::Display for Goals<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "\n## Goals\n\n| profile | what | goal | measured | |\n|---|---|---:|---:|---|")?;
        for goal in GOALS {
            let Goal { tool, what, limit, .. } = goal;
            let (measured, verdict) = match self.measured(goal) {
                None => ("–".into(), "not measured".into()),
                Some((ratio, pair)) => {
                    let pair = if pair.is_empty() { String::new() } else { format!(" ({pair})") };
                    (format!("{ratio:.3}{pair}"), verdict(ratio, *limit))
                }
            };
            writeln!(f, "| {tool} | {what} | ≤ {limit:.2} | {measured} | {verdict} |")?;
        }
        Ok(())
    }
}

fn verdict(ratio: f64, limit: f64) -> String {
    if ratio <= limit { "reached".into() } else { format!("**missed by {:.0} %**", (ratio / limit - 1.0) * 100.0) }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::tools::{Places, all};

    #[test]
    fn goals_say_by_how_much_they_are_missed() {
        let (tools, _) = all(&Places { zucchini: Some("z".into()), ..Places::default() }).unwrap();
        let trial = |len: u64, seconds: u64| {
            let usage = Usage { wall: Duration::from_secs(seconds), cpu: Duration::ZERO, peak_bytes: 700 };
            Trial::Done { patch_len: len, create: usage, apply: usage }
        };
        let case = |pair: &str, ours: u64, theirs: u64| Case {
            pair: pair.into(),
            title: String::new(),
            old_len: 40,
            new_len: 60,
            trials: tools.iter().map(|tool| if tool.is_ours() { trial(ours, 1) } else { trial(theirs, 4) }).collect(),
        };
        let cases = [case("d01", 10, 100), case("d02", 90, 100)];
        let text = Goals { tools: &tools, cases: &cases }.to_string();
        for line in [
            "| small | size / zucchini+xz, mean | ≤ 0.40 | 0.300 | reached |",
            "| small | size / bsdiff, mean | ≤ 0.22 | 0.300 | **missed by 36 %** |",
            "| small | size / best rival of the pair, largest | ≤ 1.00 | 0.900 (d02) | reached |",
            "| small | create peak memory / (old + new), largest | ≤ 6.00 | 7.000 (d01) | **missed by 17 %** |",
            "| small | apply wall / zucchini+xz, mean | ≤ 1.00 | 0.250 | reached |",
        ] {
            let line = line.replace("(d01)", "(d02)");
            assert!(text.contains(&line), "{line}\n{text}");
        }
        let none = Goals { tools: &tools, cases: &[] }.to_string();
        assert!(none.contains("| – | not measured |"), "{none}");
    }
}
