//! How far the work is: a line on stderr, where somebody watches.

use super::choice::Choice;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use simoom_scenarios::Watch;
use std::sync::atomic::{AtomicU64, Ordering};

/// A bar over the runs of a sweep, or over the requests of a single run.
pub(super) struct Progress {
    bar: ProgressBar,
    is_one: bool,
    failed: AtomicU64,
}

impl Progress {
    pub(super) fn new(choice: &Choice<'_>) -> Self {
        let count = choice.count();
        let is_one = count == 1;
        let shows = if is_one {
            "[{bar:30}] {pos}/{len} requests, {msg}"
        } else {
            "[{bar:30}] {pos}/{len} runs{msg}, {eta} left"
        };
        // Not drawn where stderr is no terminal.
        let bar = ProgressBar::with_draw_target(Some(count), ProgressDrawTarget::stderr());
        let style = ProgressStyle::with_template(shows).expect("the template is right");
        bar.set_style(style.progress_chars("=> "));
        Self { bar, is_one, failed: AtomicU64::new(0) }
    }

    /// A run says how far it is; what others say of one among many is no news.
    pub(super) fn watch(&self, watch: &Watch) {
        if self.is_one {
            self.bar.set_length(watch.requests);
            self.bar.set_position(watch.completed);
            let seconds = watch.now.as_nanos() as f64 / 1e9;
            self.bar.set_message(format!("{seconds:.2} simulated seconds"));
        }
    }

    /// A run is over.
    pub(super) fn finished(&self, ok: bool) {
        if !ok {
            let failed = self.failed.fetch_add(1, Ordering::Relaxed) + 1;
            self.bar.set_message(format!(", {failed} failed"));
        }
        if !self.is_one {
            self.bar.inc(1);
        }
    }

    /// Says something else in place of the bar.
    pub(super) fn say(&self, what: String) {
        self.bar.set_style(ProgressStyle::with_template("{msg}").expect("the template is right"));
        self.bar.set_message(what);
        self.bar.tick();
    }

    /// Writes to the terminal without the bar in between.
    pub(super) fn suspend(&self, write: impl FnOnce()) {
        self.bar.suspend(write);
    }

    /// Takes the line away.
    pub(super) fn clear(&self) {
        self.bar.finish_and_clear();
    }
}
