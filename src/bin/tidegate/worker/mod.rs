//! `tidegate worker`: one process that spends a shared limit and records what it was granted, for tests and the demo.
//!
//! The same program exists in every language that Tidegate has; tests/workers/README.md says what they all do.

mod counts;
mod recorder;
mod spend;

use crate::failure::Failure;
use crate::limit::LimitArgs;
use clap::{Args, ValueEnum};
use counts::{basis_name, health_name, Counts};
use recorder::Recorder;
use serde_json::json;
use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{mpsc, Arc};
use std::time::{Duration, Instant};
use tidegate::{Config, Key, Runtime};

const TICK: Duration = Duration::from_millis(250);
const CLOSE_TIMEOUT: Duration = Duration::from_secs(5);
/// How soon a signal or the end of the time is noticed.
const LOOK: Duration = Duration::from_millis(10);

/// Spend a shared limit as fast as it allows, and record every admission
///
/// Prints one JSON object a line: `ready`, then a `tick` every 250 ms with the counts so far, the process's share and
/// what its decisions rest on, and `done` after a clean close; `error` and exit code 1 when it fails. SIGTERM and
/// Ctrl-C end it cleanly.
///
/// Each admission is recorded in 24 bytes, little-endian: CLOCK_BOOTTIME in ns just before the call and just after it,
/// and the permits. `tidegate check` reads the records of all workers.
#[derive(Args)]
pub struct WorkerArgs {
    /// The Kafka brokers; without them the limit is local to this process
    #[arg(long, value_name = "HOST:PORT,..")]
    bootstrap_servers: Option<String>,
    /// The topic that holds the shared state [default: the library's]
    #[arg(long, value_name = "NAME")]
    topic: Option<String>,
    /// Name of the limiter: all workers with the same name share it
    #[arg(long, value_name = "NAME", default_value = "worker")]
    limiter: String,
    /// The key: each value has a bucket of its own
    #[arg(long, value_name = "VALUE", default_value = "")]
    key: String,
    /// How long to run; 0 = until SIGTERM
    #[arg(long, value_name = "N", default_value_t = 0)]
    seconds: u64,
    /// Silence in milliseconds after which the others take this worker's share [default: the library's]
    #[arg(long, value_name = "N")]
    ttl_ms: Option<u64>,
    /// keep_share, deny or allow: what to do when the log is away [default: the library's]
    #[arg(long, value_name = "POLICY")]
    on_outage: Option<String>,
    /// Any further property of Tidegate or librdkafka; may be repeated
    #[arg(long = "set", value_name = "NAME=VALUE")]
    properties: Vec<String>,
    /// How permits are asked for
    #[arg(long, value_enum, default_value_t = Mode::Spin)]
    mode: Mode,
    /// At most so many tries per second; 0 = no pause after a grant
    #[arg(long, value_name = "N", default_value_t = 0)]
    pace: u64,
    /// The file that admissions are recorded in
    #[arg(long, value_name = "FILE", required_unless_present = "no_record")]
    out: Option<PathBuf>,
    /// Only count admissions: for measuring speed
    #[arg(long, conflicts_with = "out")]
    no_record: bool,
    /// End when this process, which started this one, ends.
    #[arg(long, hide = true, value_name = "PID")]
    parent: Option<u32>,
    #[command(flatten)]
    limit: LimitArgs,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Mode {
    /// try_acquire in a loop, with a pause of 0.2 ms after a refusal
    Spin,
    /// acquire with a time-out of 1 s
    Wait,
}

pub fn run(args: &WorkerArgs) -> Result<ExitCode, Failure> {
    if let Some(parent) = args.parent {
        crate::lifetime::end_with(parent);
    }
    let limit = args.limit.limit()?;
    let config = args.config()?;
    let done = Runtime::open(&config).map_err(Failure::from).and_then(|runtime| {
        let limiter = runtime.limiter(&args.limiter, limit)?;
        let key = limiter.key(&args.key)?;
        let records_sent = work(args, &runtime, &key)?;
        drop((key, limiter));
        runtime.close(CLOSE_TIMEOUT)?;
        Ok(records_sent)
    });
    match done {
        Ok(mut line) => {
            line["event"] = json!("done");
            say(&line);
            Ok(ExitCode::SUCCESS)
        }
        Err(failure) => {
            say(&json!({"event": "error", "message": failure.to_string()}));
            eprintln!("tidegate: {failure}");
            Ok(ExitCode::FAILURE)
        }
    }
}

/// Spends until told to stop; returns the last line's counts.
fn work(args: &WorkerArgs, runtime: &Runtime, key: &Key) -> Result<serde_json::Value, Failure> {
    let stop = Arc::new(AtomicBool::new(false));
    for signal in [libc::SIGTERM, libc::SIGINT, libc::SIGHUP] {
        signal_hook::flag::register(signal, stop.clone())
            .map_err(|e| Failure::failed(format!("cannot catch signal {signal}: {e}")))?;
    }
    let recorder = args.out.as_deref().map(Recorder::create).transpose()?;
    let counts = Counts::default();
    say(&json!({"event": "ready"}));
    let start = Instant::now();
    let end = (args.seconds > 0).then(|| start + Duration::from_secs(args.seconds));
    let (spender_ended, ended) = mpsc::channel::<()>();
    let spent = std::thread::scope(|scope| {
        let (recorder, counts, stop) = (recorder.as_ref(), &counts, &*stop);
        let spender = scope.spawn(move || {
            let result = spend::spend(key, args.mode, args.pace, recorder, counts, stop);
            drop(spender_ended);
            result
        });
        let mut tick = start + TICK;
        while let Err(mpsc::RecvTimeoutError::Timeout) = ended.recv_timeout(LOOK) {
            let now = Instant::now();
            if now >= tick {
                tick += TICK;
                if !say(&tick_line(counts, runtime, key)) {
                    stop.store(true, Ordering::Relaxed);
                }
            }
            if end.is_some_and(|end| now >= end) {
                stop.store(true, Ordering::Relaxed);
            }
        }
        spender.join().map_err(|_| Failure::failed("the spending thread panicked"))?
    });
    spent?;
    recorder.map_or(Ok(()), Recorder::finish)?;
    let metrics = runtime.metrics();
    Ok(json!({
        "granted": counts.granted(), "denied": counts.denied(), "waited": counts.waited(),
        "records_sent": metrics.records_sent, "records_read": metrics.records_read,
        "sessions_lost": metrics.sessions_lost, "seconds": start.elapsed().as_secs_f64(),
    }))
}

fn tick_line(counts: &Counts, runtime: &Runtime, key: &Key) -> serde_json::Value {
    let (health, metrics) = (runtime.health(), runtime.metrics());
    let mut line = json!({
        "event": "tick", "granted": counts.granted(), "denied": counts.denied(), "waited": counts.waited(),
        "share_rate": 0.0, "share_burst": 0.0, "processes": 0, "basis": basis_name(counts.basis()),
        "health": health_name(health.state), "health_message": health.message,
        "records_sent": metrics.records_sent,
    });
    line["denied_by"] = counts.denied_by().map(|(basis, denied)| (basis.to_owned(), json!(denied))).collect();
    if let Ok(status) = key.status() {
        let local = status.basis == tidegate::Basis::Local;
        let (rate, burst) = if local { (status.rate, status.burst) } else { (status.share.rate, status.share.burst) };
        line["share_rate"] = json!(rate.0 as f64 / 1e9);
        line["share_burst"] = json!(burst.0 as f64 / 1e6);
        line["processes"] = json!(status.processes);
    }
    line
}

/// One line; false when nobody listens any more.
fn say(line: &serde_json::Value) -> bool {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{line}").and_then(|()| out.flush()).is_ok()
}

impl WorkerArgs {
    fn config(&self) -> Result<Config, Failure> {
        let mut config = Config::new();
        let ttl = self.ttl_ms.map(|ms| ms.to_string());
        let named = [
            ("bootstrap.servers", self.bootstrap_servers.as_ref()),
            ("topic", self.topic.as_ref()),
            ("ttl.ms", ttl.as_ref()),
            ("on.outage", self.on_outage.as_ref()),
        ];
        for (name, value) in named {
            if let Some(value) = value {
                config.set(name, value)?;
            }
        }
        for property in &self.properties {
            let (name, value) = property
                .split_once('=')
                .ok_or_else(|| Failure::usage(format!("--set {property}: expected NAME=VALUE")))?;
            config.set(name, value)?;
        }
        Ok(config)
    }
}
