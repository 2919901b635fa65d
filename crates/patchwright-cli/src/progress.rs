//! Bars on a terminal, for work that lasts.

use std::io::IsTerminal;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use patchwright::{Progress, Quiet};

use crate::console::Console;
use crate::text::escape;

/// Work that is done sooner shows nothing: a bar that flashes tells nobody anything.
const PATIENCE: Duration = Duration::from_millis(300);
const TICK: Duration = Duration::from_millis(100);

/// Where a verb reports how far it is: bars if somebody watches, nobody otherwise.
pub(crate) fn progress(console: &Console) -> Box<dyn Progress> {
    let watched = !console.json && !console.quiet && std::io::stderr().is_terminal();
    if watched { Box::new(Bars::start()) } else { Box::new(Quiet) }
}

/// One bar for each task that has begun, the innermost last; it is the one that is shown and advanced.
struct Bars {
    state: Arc<State>,
    ticker: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct State {
    tasks: Mutex<Vec<Task>>,
    over: AtomicBool,
}

struct Task {
    bar: ProgressBar,
    began: Instant,
}

impl Bars {
    fn start() -> Self {
        let state = Arc::new(State::default());
        let seen = Arc::clone(&state);
        // Some tasks advance seldom; the clock on the bar shows that they live. Without a thread there are no bars.
        let ticker = thread::Builder::new().name("progress".to_owned()).spawn(move || seen.tick()).ok();
        Self { state, ticker }
    }
}

impl Progress for Bars {
    fn begin(&self, task: &str, total: u64) {
        let bar = ProgressBar::with_draw_target(Some(total), ProgressDrawTarget::hidden());
        bar.set_style(style(total));
        bar.set_message(escape(task));
        let mut tasks = self.state.tasks();
        if let Some(outer) = tasks.last() {
            hide(&outer.bar);
        }
        tasks.push(Task { bar, began: Instant::now() });
    }

    fn advance(&self, bytes: u64) {
        if let Some(task) = self.state.tasks().last() {
            task.bar.inc(bytes);
        }
    }

    fn end(&self) {
        if let Some(task) = self.state.tasks().pop() {
            hide(&task.bar);
        }
    }
}

impl Drop for Bars {
    fn drop(&mut self) {
        self.state.over.store(true, Ordering::Relaxed);
        if let Some(ticker) = self.ticker.take() {
            ticker.thread().unpark();
            let _ = ticker.join();
        }
        self.state.tasks().drain(..).for_each(|task| hide(&task.bar));
    }
}

impl State {
    /// A panic elsewhere must not become a second one here.
    fn tasks(&self) -> MutexGuard<'_, Vec<Task>> {
        self.tasks.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Shows the innermost task once it has lasted, and keeps its clock going.
    fn tick(&self) {
        while !self.over.load(Ordering::Relaxed) {
            if let Some(task) = self.tasks().last().filter(|task| task.began.elapsed() >= PATIENCE) {
                if task.bar.is_hidden() {
                    task.bar.set_draw_target(ProgressDrawTarget::stderr());
                }
                task.bar.tick();
            }
            thread::park_timeout(TICK);
        }
    }
}

/// Takes a bar off the terminal without a trace.
fn hide(bar: &ProgressBar) {
    if !bar.is_hidden() {
        bar.set_draw_target(ProgressDrawTarget::hidden());
    }
}

fn style(total: u64) -> ProgressStyle {
    let template = if total == 0 {
        "{msg} {elapsed}"
    } else {
        "{msg:10} [{bar:30}] {percent:>3}% of {binary_total_bytes}, {elapsed}"
    };
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar()).progress_chars("=> ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tasks_nest_and_advance_from_many_threads() {
        let bars = Bars::start();
        bars.advance(1);
        bars.end();
        bars.begin("outer", 100);
        bars.begin("inner", 8);
        thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| (0..2).for_each(|_| bars.advance(1)));
            }
        });
        assert_eq!(bars.state.tasks().last().unwrap().bar.position(), 8);
        bars.end();
        bars.advance(5);
        assert_eq!(bars.state.tasks().last().unwrap().bar.position(), 5);
        bars.end();
        assert!(bars.state.tasks().is_empty());
    }

    #[test]
    fn templates_are_valid() {
        for template in ["{msg} {elapsed}", "{msg:10} [{bar:30}] {percent:>3}% of {binary_total_bytes}, {elapsed}"] {
            assert!(ProgressStyle::with_template(template).is_ok());
        }
    }
}
