//! What callers and the background thread hand each other. Callers never wait for the thread in a decision.

use super::driver::Driver;
use super::inner::Inner;
use super::limit_of::LimitOf;
use super::report::Report;
use super::slot::KeyId;
use super::validity::OwnValidity;
use crate::core::agent::BucketStatus;
use crate::core::limit::Limit;
use crate::lock::Mutex;
use crate::storage::{LogStore, StorageEvent};
use crate::{Error, ErrorKind};
use crossbeam::channel::{self, Receiver, Sender};
use crossbeam::queue::ArrayQueue;
use std::panic::{catch_unwind, AssertUnwindSafe};
use std::sync::{Arc, Weak};
use std::thread::JoinHandle;
use std::time::Duration;

/// Most events of the storage that wait for the thread; the storage stops reading beyond.
const EVENTS_MAX: usize = 8_192;
/// Most refused buckets that wait to be looked at; one beyond is told again with its next refusal.
const ACTIVITY_MAX: usize = 65_536;
/// Most commands that wait for the thread; a caller beyond waits for room.
const COMMANDS_MAX: usize = 1_024;

/// What a caller wants of the thread.
#[derive(Debug)]
pub(super) enum Command {
    /// Give everything back and end; the answer says whether that was confirmed in time.
    Close(Duration, Sender<bool>),
    /// Give a limit other numbers, in every partition; the answer comes when all have them.
    Define(Arc<LimitOf>, Limit, Sender<Result<(), Error>>),
    /// What the fleet does with a bucket.
    Status(KeyId, Sender<BucketStatus>),
}

/// Both sides hold it.
#[derive(Debug)]
pub(super) struct Desk {
    /// Slots whose buckets were refused, each at most once.
    pub(super) activity: ArrayQueue<u32>,
    /// Keys that were given back; at most one entry a slot.
    released: Mutex<Vec<KeyId>>,
    pub(super) report: Mutex<Report>,
    /// Where buckets stand that have no home yet: never valid.
    pub(super) lobby: OwnValidity,
}

impl Desk {
    /// The keys that were given back and not looked at yet.
    pub(super) fn take_released(&self) -> Vec<KeyId> {
        std::mem::take(&mut *self.released.lock())
    }
}

/// The callers' side.
#[derive(Debug)]
pub(super) struct Link {
    desk: Arc<Desk>,
    events: Sender<StorageEvent>,
    commands: Sender<Command>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

/// The thread's side, before it runs.
pub(super) struct Far {
    pub(super) desk: Arc<Desk>,
    pub(super) events: Receiver<StorageEvent>,
    pub(super) commands: Receiver<Command>,
}

/// A link, its far side, and the channel for the storage.
pub(super) fn link() -> Result<(Link, Far, Sender<StorageEvent>), Error> {
    let lobby = OwnValidity::take().ok_or_else(super::inner::too_many_runtimes)?;
    let desk = Arc::new(Desk {
        activity: ArrayQueue::new(ACTIVITY_MAX),
        released: Mutex::default(),
        report: Mutex::default(),
        lobby,
    });
    let (event_in, events) = channel::bounded(EVENTS_MAX);
    let (command_in, commands) = channel::bounded(COMMANDS_MAX);
    let link = Link { desk: desk.clone(), events: event_in.clone(), commands: command_in, thread: Mutex::new(None) };
    Ok((link, Far { desk, events, commands }, event_in))
}

impl Link {
    /// Whether `desk` is the one between caller and thread here.
    pub(super) fn is_at(&self, desk: &Arc<Desk>) -> bool {
        Arc::ptr_eq(&self.desk, desk)
    }

    /// Starts the thread for `inner`.
    pub(super) fn start(
        &self,
        mut driver: Driver,
        storage: Box<dyn LogStore>,
        inner: Weak<Inner>,
    ) -> Result<(), Error> {
        // Asked before the first report: what kind of storage it is does not depend on whether it answers.
        self.desk.report.lock().storage = storage.info();
        let run = move || {
            let mut storage = storage;
            let ended = catch_unwind(AssertUnwindSafe(|| driver.run(storage.as_mut())));
            if ended.is_err() {
                if let Some(inner) = inner.upgrade() {
                    inner.poison();
                }
            }
        };
        let thread = std::thread::Builder::new().name("tidegate".into()).spawn(run);
        let thread =
            thread.map_err(|why| Error::new(ErrorKind::Capacity, format!("no thread could be started: {why}")))?;
        *self.thread.lock() = Some(thread);
        Ok(())
    }

    /// Where buckets stand that have no home yet.
    pub(super) fn lobby(&self) -> u32 {
        self.desk.lobby.index()
    }

    /// A bucket was refused. False = no room to say so.
    pub(super) fn tell(&self, key: KeyId) -> bool {
        let first = self.desk.activity.is_empty();
        let told = self.desk.activity.push(key.index()).is_ok();
        if first {
            self.wake();
        }
        told
    }

    /// A key was given back.
    pub(super) fn release(&self, key: KeyId) {
        self.desk.released.lock().push(key);
        self.wake();
    }

    /// The keys that were given back and not looked at yet.
    pub(super) fn take_released(&self) -> Vec<KeyId> {
        self.desk.take_released()
    }

    /// What the thread last saw.
    pub(super) fn report(&self) -> Report {
        self.desk.report.lock().clone()
    }

    /// Has a limit changed in every partition; `None` if that is not confirmed in `timeout`.
    pub(super) fn define(&self, limit: &Arc<LimitOf>, new: Limit, timeout: Duration) -> Option<Result<(), Error>> {
        self.ask(timeout, |reply| Command::Define(limit.clone(), new, reply))
    }

    /// What the fleet does with a bucket; `None` if the thread does not answer in `timeout`.
    pub(super) fn status(&self, key: KeyId, timeout: Duration) -> Option<BucketStatus> {
        self.ask(timeout, |reply| Command::Status(key, reply))
    }

    /// Has the thread carry out a command and waits for its answer; `None` if there is none in `timeout`.
    fn ask<T>(&self, timeout: Duration, command: impl FnOnce(Sender<T>) -> Command) -> Option<T> {
        let (reply, answer) = channel::bounded(1);
        self.commands.send_timeout(command(reply), timeout).ok()?;
        self.wake();
        answer.recv_timeout(timeout).ok()
    }

    /// Ends the thread. False if the goodbye was not confirmed within `timeout`.
    pub(super) fn close(&self, timeout: Duration) -> bool {
        let (reply, answer) = channel::bounded(1);
        let confirmed = self.commands.send(Command::Close(timeout, reply)).is_ok() && {
            self.wake();
            answer.recv().unwrap_or(false)
        };
        if let Some(thread) = self.thread.lock().take() {
            let _ = thread.join();
        }
        confirmed
    }

    fn wake(&self) {
        // A full channel means that the thread is awake.
        let _ = self.events.try_send(StorageEvent::Wake);
    }
}
