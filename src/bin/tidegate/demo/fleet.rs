//! The processes of a demonstration: the broker, the workers, and the files that they record in.

use super::args::DemoArgs;
use super::child::{Process, Said};
use super::plan::Plan;
use super::worker::{State, Worker};
use crate::failure::Failure;
use std::path::PathBuf;
use std::sync::mpsc::{Receiver, Sender};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// How long the embedded broker may take to start.
const BROKER_START: Duration = Duration::from_secs(10);
/// How long workers may take to end when asked.
const END_TIMEOUT: Duration = Duration::from_secs(3);
const BROKER: usize = 0;

pub struct Broker {
    /// None: a real Kafka.
    process: Option<Process>,
    servers: String,
    pub running: bool,
}

pub struct Fleet {
    args: DemoArgs,
    plan: Plan,
    limiter: String,
    pub broker: Broker,
    pub workers: Vec<Worker>,
    /// What each started process records in; a worker that returned has two.
    pub files: Vec<PathBuf>,
    /// The worker of each child, by the child's id.
    owner: Vec<usize>,
    sender: Sender<Said>,
    said: Receiver<Said>,
    // Last: the processes end before their files go.
    folder: TempDir,
}

impl Fleet {
    pub fn start(args: &DemoArgs, plan: &Plan) -> Result<Fleet, Failure> {
        let folder = super::folder::create()?;
        let (sender, said) = std::sync::mpsc::channel();
        let broker = match &args.bootstrap_servers {
            Some(servers) => Broker { process: None, servers: servers.clone(), running: true },
            None => {
                let arguments = ["mock-broker", "--topic", &args.topic].map(String::from);
                let process = Process::start(BROKER, &arguments, &folder.path().join("broker.err"), sender.clone())?;
                let servers = broker_servers(&process, &said)?;
                Broker { process: Some(process), servers, running: true }
            }
        };
        let workers = (1..=args.processes as usize).map(Worker::new).collect();
        let limiter = format!("demo-{}", std::process::id());
        let (args, plan, owner) = (args.clone(), plan.clone(), vec![BROKER]);
        let mut fleet = Fleet { args, plan, limiter, broker, workers, files: Vec::new(), owner, sender, said, folder };
        for number in 1..=fleet.workers.len() {
            fleet.start_worker(number)?;
        }
        Ok(fleet)
    }

    /// Starts the process of worker `number`, for the first time or again.
    pub fn start_worker(&mut self, number: usize) -> Result<(), Failure> {
        let id = self.owner.len();
        let file = self.folder.path().join(format!("worker-{number}-{id}.rec"));
        std::fs::write(&file, "").map_err(|e| Failure::failed(format!("{}: {e}", file.display())))?;
        let arguments = self.worker_arguments(number, &file.display().to_string());
        let errors = file.with_extension("err");
        let process = Process::start(id, &arguments, &errors, self.sender.clone())?;
        self.owner.push(number);
        self.files.push(file);
        self.worker(number).started(process);
        Ok(())
    }

    fn worker_arguments(&self, number: usize, out: &str) -> Vec<String> {
        let (rate, burst, ttl) = (self.args.rate, self.args.burst(), self.plan.ttl.as_millis());
        // Every fourth waits for its permits instead of asking again and again.
        let mode = if number % 4 == 0 { "wait" } else { "spin" };
        let mut arguments: Vec<String> = vec!["worker".into()];
        let named = [
            ("--bootstrap-servers", self.broker.servers.clone()),
            ("--topic", self.args.topic.clone()),
            ("--limiter", self.limiter.clone()),
            ("--key", "everybody".into()),
            ("--permits", rate.to_string()),
            ("--period-ms", "1000".into()),
            ("--burst", burst.to_string()),
            ("--ttl-ms", ttl.to_string()),
            ("--on-outage", "keep_share".into()),
            ("--mode", mode.into()),
            ("--out", out.into()),
            // A development cluster may have one broker only.
            ("--set", "replication.factor=auto".into()),
        ];
        named.into_iter().for_each(|(name, value)| arguments.extend([name.into(), value]));
        if self.broker.process.is_some() {
            // An empty fetch of the mock cluster waits its whole time.
            arguments.extend(["--set", "fetch.wait.max.ms=5"].map(String::from));
        }
        self.args.properties.iter().for_each(|property| arguments.extend(["--set".into(), property.clone()]));
        arguments
    }

    pub fn worker(&mut self, number: usize) -> &mut Worker {
        &mut self.workers[number - 1]
    }

    /// Listens until `until`, or until something was said.
    pub fn listen(&mut self, until: Instant) {
        let mut next = self.said.recv_timeout(until.saturating_duration_since(Instant::now())).ok();
        while let Some(Said { id, line }) = next {
            self.hear(id, line);
            next = self.said.try_recv().ok();
        }
    }

    fn hear(&mut self, id: usize, line: Option<serde_json::Value>) {
        let number = self.owner[id];
        // A killed process' last lines may still come after its successor was started.
        let newest = self.owner.iter().rposition(|owner| *owner == number) == Some(id);
        if number == BROKER || !newest {
            return;
        }
        let worker = self.worker(number);
        if worker.state == State::Killed {
            return;
        }
        match line {
            Some(line) => worker.hear(&line, Instant::now()),
            None => worker.ended(State::Ended),
        }
    }

    pub fn kill(&mut self, number: usize) {
        let worker = self.worker(number);
        if let Some(mut process) = worker.process.take() {
            process.kill();
        }
        worker.ended(State::Killed);
    }

    pub fn set_broker(&mut self, running: bool) {
        if let Some(process) = &mut self.broker.process {
            process.tell(if running { "up" } else { "down" });
            self.broker.running = running;
        }
    }

    pub fn broker_pid(&self) -> Option<u32> {
        self.broker.process.as_ref().map(Process::pid)
    }

    /// What went wrong, if a worker ended by itself.
    pub fn trouble(&self) -> Option<String> {
        let worker = self.workers.iter().find(|worker| worker.state == State::Ended)?;
        let words = worker.error.clone().or_else(|| worker.process.as_ref().map(Process::last_words));
        Some(format!("worker {} ended by itself: {}", worker.number, words.unwrap_or_default()))
    }

    /// Ends the workers in order, so that all they recorded is in their files.
    pub fn end_workers(&mut self) {
        let running = |fleet: &Fleet| fleet.workers.iter().any(|worker| worker.state == State::Running);
        self.workers.iter_mut().filter_map(|worker| worker.process.as_mut()).for_each(Process::ask_to_end);
        let deadline = Instant::now() + END_TIMEOUT;
        while running(self) && Instant::now() < deadline {
            self.listen(deadline);
        }
        self.workers.iter_mut().for_each(|worker| worker.process = None);
    }
}

/// The address of the embedded broker, once it says so.
fn broker_servers(process: &Process, said: &Receiver<Said>) -> Result<String, Failure> {
    let line = said.recv_timeout(BROKER_START).ok().and_then(|said| said.line);
    let servers = line.as_ref().and_then(|line| line["bootstrap_servers"].as_str());
    let failed = || Failure::failed(format!("the embedded broker did not start: {}", process.last_words()));
    servers.map(str::to_owned).ok_or_else(failed)
}
