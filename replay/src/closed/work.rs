//! Work on several threads whose results come in order.

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

/// `work(0)` to `work(n - 1)`, by so many threads.
pub(super) fn in_order<T: Send>(jobs: usize, n: usize, work: impl Fn(usize) -> T + Sync) -> Vec<T> {
    let jobs = jobs.clamp(1, n.max(1));
    if jobs == 1 {
        return (0..n).map(work).collect();
    }
    let next = AtomicUsize::new(0);
    let done = Mutex::new(Vec::with_capacity(n));
    thread::scope(|scope| {
        for _ in 0..jobs {
            scope.spawn(|| {
                loop {
                    let at = next.fetch_add(1, Ordering::Relaxed);
                    if at >= n {
                        return;
                    }
                    let result = work(at);
                    done.lock().expect("no thread panicked with it").push((at, result));
                }
            });
        }
    });
    let mut done = done.into_inner().expect("no thread panicked with it");
    done.sort_unstable_by_key(|(at, _)| *at);
    done.into_iter().map(|(_, result)| result).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_come_in_order_whoever_made_them() {
        for jobs in [1, 2, 7, 100] {
            assert_eq!(in_order(jobs, 50, |n| n * n), (0..50).map(|n| n * n).collect::<Vec<_>>());
        }
        assert!(in_order(4, 0, |n| n).is_empty());
    }
}
