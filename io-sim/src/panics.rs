//! Panics that are caught and said, with their place, by whoever runs a world: nothing is printed.

use std::any::Any;
use std::cell::{Cell, RefCell};
use std::fmt;
use std::panic::{AssertUnwindSafe, PanicHookInfo, catch_unwind, set_hook, take_hook};
use std::sync::Once;

/// A panic that was caught.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Panicked {
    /// File, line and column.
    pub at: String,
    /// What it said.
    pub what: String,
}

impl fmt::Display for Panicked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "panicked at {}: {}", self.at, self.what)
    }
}

impl std::error::Error for Panicked {}

/// Runs something whose panic is caught and not printed. What `run` has changed by then stays as
/// it was at that moment: only plain numbers of it can be trusted.
///
/// # Errors
/// The panic.
pub fn catch<R>(run: impl FnOnce() -> R) -> Result<R, Panicked> {
    let (result, at) = noting(|| catch_unwind(AssertUnwindSafe(run)));
    result.map_err(|panic| Panicked { at: at.unwrap_or_default(), what: words_of(&*panic) })
}

/// What a panic says.
pub(crate) fn words_of(panic: &(dyn Any + Send)) -> String {
    let text = match (panic.downcast_ref::<&str>(), panic.downcast_ref::<String>()) {
        (Some(text), _) => text,
        (None, Some(text)) => text.as_str(),
        (None, None) => "a panic without words",
    };
    text.to_owned()
}

thread_local! {
    /// Panics of this thread are noted, not printed.
    pub(crate) static QUIET: Cell<bool> = const { Cell::new(false) };
    static NOTED: RefCell<Option<String>> = const { RefCell::new(None) };
}

/// Runs something that catches its panics; they are not printed, and the place of the last is
/// answered. The hook of the process is replaced once, by one that asks the panicking thread
/// first: other threads print as before.
pub(crate) fn noting<R>(run: impl FnOnce() -> R) -> (R, Option<String>) {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let before = take_hook();
        set_hook(Box::new(move |info: &PanicHookInfo<'_>| {
            let quiet = QUIET.try_with(Cell::get).unwrap_or(false);
            if !quiet {
                return before(info);
            }
            let at = info.location().map(ToString::to_string).unwrap_or_default();
            let _ = NOTED.try_with(|noted| noted.replace(Some(at)));
        }));
    });
    let before = QUIET.replace(true);
    NOTED.set(None);
    let result = run();
    QUIET.set(before);
    (result, NOTED.take())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_is_caught_with_its_words_and_its_place() {
        let line = line!() + 1;
        let panicked = catch(|| panic!("the {}th byte", 7)).unwrap_err();
        assert_eq!(panicked.what, "the 7th byte");
        assert!(panicked.at.contains(&format!("panics.rs:{line}:")), "{}", panicked.at);
        assert_eq!(catch(|| 5), Ok(5));
    }

    #[test]
    fn catching_may_be_nested() {
        let outer = catch(|| {
            let inner = catch(|| panic!("inner"));
            assert_eq!(
                inner.map_err(|panicked: Panicked| panicked.what),
                Err::<(), _>("inner".into())
            );
            panic!("outer");
        });
        assert_eq!(outer.map_err(|panicked| panicked.what), Err::<(), _>("outer".into()));
    }
}
