//! Processes that the demonstration starts: this same program, whose lines of JSON arrive in one channel.
//!
//! They end when their handle is dropped, and by the kernel's hand when this process ends without dropping it. Each has
//! a process group of its own: a Ctrl-C on the terminal is for the demonstration alone, which then ends them in order.

use crate::failure::Failure;
use serde_json::Value;
use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::Sender;

/// What a child says: `id` is what it was started as; no line: it has ended.
pub struct Said {
    pub id: usize,
    pub line: Option<Value>,
}

pub struct Process {
    child: Child,
    errors: PathBuf,
}

impl Process {
    /// Starts this program with `arguments`. Call from the main thread: the kernel ends children with their *thread*.
    pub fn start(id: usize, arguments: &[String], errors: &Path, to: Sender<Said>) -> Result<Process, Failure> {
        let cannot = |e: std::io::Error| Failure::failed(format!("cannot start a process: {e}"));
        let mut child = Command::new(std::env::current_exe().map_err(cannot)?)
            .args(arguments)
            .arg("--parent")
            .arg(std::process::id().to_string())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(File::create(errors).map_err(cannot)?)
            .process_group(0)
            .spawn()
            .map_err(cannot)?;
        if let Some(out) = child.stdout.take() {
            std::thread::spawn(move || {
                for line in BufReader::new(out).lines().map_while(Result::ok) {
                    let said = Said { id, line: Some(serde_json::from_str(&line).unwrap_or_default()) };
                    if to.send(said).is_err() {
                        return;
                    }
                }
                let _ = to.send(Said { id, line: None });
            });
        }
        Ok(Process { child, errors: errors.to_owned() })
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// A line for its standard input.
    pub fn tell(&mut self, line: &str) {
        if let Some(stdin) = &mut self.child.stdin {
            let _ = writeln!(stdin, "{line}");
        }
    }

    /// kill -9, and gone when this returns.
    pub fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// Asks it to end; it may take its time.
    pub fn ask_to_end(&mut self) {
        if let (Ok(None), Ok(pid)) = (self.child.try_wait(), i32::try_from(self.child.id())) {
            // SAFETY: kill touches no memory; the child was not waited for yet, so its id is still its own.
            unsafe { libc::kill(pid, libc::SIGTERM) };
        }
    }

    /// The last line that it wrote to standard error.
    pub fn last_words(&self) -> String {
        let text = std::fs::read_to_string(&self.errors).unwrap_or_default();
        text.lines().last().unwrap_or("it said nothing").to_owned()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}
