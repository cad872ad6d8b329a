//! Admissions into a file, through a buffer that a thread of its own empties often: kill -9 loses little.

use crate::failure::Failure;
use crate::record::{Admission, SIZE};
use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::sync::{mpsc, Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

/// Half of what tests/workers/README.md allows.
const FLUSH_EVERY: Duration = Duration::from_millis(25);
/// Whole records, so that a full buffer never tears one.
const BUFFER: usize = 4_096 * SIZE;

struct Buffer {
    file: File,
    bytes: Vec<u8>,
    /// After the first failure nothing more is written: half a record in the middle would spoil all that follow.
    failure: Option<std::io::Error>,
}

pub struct Recorder {
    buffer: Arc<Mutex<Buffer>>,
    stop_flushing: mpsc::Sender<()>,
    flusher: JoinHandle<()>,
    path: String,
}

impl Recorder {
    pub fn create(path: &Path) -> Result<Recorder, Failure> {
        let shown = path.display().to_string();
        let file = File::create(path).map_err(|e| Failure::usage(format!("--out {shown}: {e}")))?;
        let buffer = Arc::new(Mutex::new(Buffer { file, bytes: Vec::with_capacity(BUFFER), failure: None }));
        let (stop_flushing, stopped) = mpsc::channel::<()>();
        let flushed = buffer.clone();
        let flusher = std::thread::spawn(move || {
            while stopped.recv_timeout(FLUSH_EVERY) == Err(mpsc::RecvTimeoutError::Timeout) {
                lock(&flushed).flush();
            }
        });
        Ok(Recorder { buffer, stop_flushing, flusher, path: shown })
    }

    #[inline]
    pub fn record(&self, admission: Admission) {
        let mut buffer = lock(&self.buffer);
        buffer.bytes.extend_from_slice(&admission.to_bytes());
        if buffer.bytes.len() >= BUFFER {
            buffer.flush();
        }
    }

    /// Writes the rest.
    pub fn finish(self) -> Result<(), Failure> {
        drop(self.stop_flushing);
        let _ = self.flusher.join();
        let mut buffer = lock(&self.buffer);
        buffer.flush();
        match buffer.failure.take() {
            None => Ok(()),
            Some(e) => Err(Failure::failed(format!("--out {}: admissions could not be written: {e}", self.path))),
        }
    }
}

impl Buffer {
    fn flush(&mut self) {
        if self.failure.is_none() && !self.bytes.is_empty() {
            self.failure = self.file.write_all(&self.bytes).err();
        }
        self.bytes.clear();
    }
}

fn lock(buffer: &Mutex<Buffer>) -> MutexGuard<'_, Buffer> {
    buffer.lock().unwrap_or_else(PoisonError::into_inner)
}
