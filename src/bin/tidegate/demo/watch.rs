//! The checker, over and over while the workers record: it is the same that has the last word.

use crate::check::Finding;
use std::path::PathBuf;
use std::sync::{mpsc, Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tidegate::Limit;

const EVERY: Duration = Duration::from_millis(500);
/// Checking takes at most one part in so many of a processor.
const REST: u32 = 4;

pub struct Watch {
    shared: Arc<Mutex<Shared>>,
    /// Dropped: the thread ends.
    _alive: mpsc::Sender<()>,
}

#[derive(Default)]
struct Shared {
    files: Vec<PathBuf>,
    newest: Option<Finding>,
}

impl Watch {
    pub fn start(limit: Limit) -> Watch {
        let shared = Arc::new(Mutex::new(Shared::default()));
        let (alive, ended) = mpsc::channel::<()>();
        let theirs = shared.clone();
        std::thread::spawn(move || {
            let mut pause = EVERY;
            while ended.recv_timeout(pause) == Err(mpsc::RecvTimeoutError::Timeout) {
                let start = Instant::now();
                let files = lock(&theirs).files.clone();
                if let Ok(finding) = Finding::of(&files, &limit) {
                    lock(&theirs).newest = Some(finding);
                }
                pause = EVERY.max(start.elapsed() * REST);
            }
        });
        Watch { shared, _alive: alive }
    }

    /// What it last found; `files` are looked at from now on.
    pub fn look(&self, files: &[PathBuf]) -> Option<Finding> {
        let mut shared = lock(&self.shared);
        if shared.files.len() != files.len() {
            shared.files = files.to_vec();
        }
        shared.newest.clone()
    }
}

fn lock(shared: &Mutex<Shared>) -> std::sync::MutexGuard<'_, Shared> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}
