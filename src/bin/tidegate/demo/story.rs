//! The demonstration in time: waits until all workers share, does what the plan says when it is due, and tells what
//! it sees of it.

use super::args::DemoArgs;
use super::fleet::Fleet;
use super::plan::{Plan, Step, VICTIM};
use super::screen::Screen;
use super::verdict::Idle;
use super::view::View;
use super::watch::Watch;
use super::worker::{State, Worker};
use crate::failure::Failure;
use crate::text::{amount, count};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use tidegate::Limit;

/// How long it may take until all workers share: a real Kafka may have to create the topic first.
const START_TIMEOUT: Duration = Duration::from_secs(30);
/// How soon a Ctrl-C is noticed.
const LOOK: Duration = Duration::from_millis(50);
/// Shares that add up to so much of the limit are all of it.
const ALL: f64 = 0.99;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    Told,
    /// By a signal, or because nobody reads any more.
    Interrupted,
}

pub struct Story {
    args: DemoArgs,
    plan: Plan,
    fleet: Fleet,
    watch: Watch,
    start: Instant,
    /// When all workers shared.
    shared: Option<Instant>,
    steps_done: usize,
    killed: Option<(Instant, f64)>,
    idle: Option<Idle>,
    returned: Option<Instant>,
    outage: Option<Outage>,
}

struct Outage {
    /// What each worker had last told when it began.
    told: Vec<Option<(Instant, u64)>>,
    kept_told: bool,
}

impl Story {
    pub fn begin(args: &DemoArgs, limit: Limit, plan: Plan, screen: &mut Screen) -> Result<Story, Failure> {
        let start = Instant::now();
        let fleet = Fleet::start(args, &plan)?;
        let text = match fleet.broker_pid() {
            Some(_) => "embedded broker (librdkafka's mock cluster)".into(),
            None => format!("sharing through the topic {}-claims", args.topic),
        };
        let _ = screen.note(0.0, "started", &format!("{text}; {} started", count(fleet.workers.len(), "worker")));
        Ok(Story {
            args: args.clone(),
            plan,
            fleet,
            watch: Watch::start(limit),
            start,
            shared: None,
            steps_done: 0,
            killed: None,
            idle: None,
            returned: None,
            outage: None,
        })
    }

    /// Tells it to its end.
    pub fn tell(&mut self, screen: &mut Screen, stop: &AtomicBool) -> Result<Ending, Failure> {
        let mut frame = self.start;
        loop {
            self.fleet.listen(frame.min(Instant::now() + LOOK));
            if stop.load(Ordering::Relaxed) {
                return Ok(Ending::Interrupted);
            }
            if let Some(trouble) = self.fleet.trouble() {
                return Err(Failure::failed(trouble));
            }
            let mut told = self.wait_for_all(screen)?;
            if let Some(shared) = self.shared {
                told = told.and(self.do_what_is_due(shared, screen)?);
                told = told.and(self.tell_of_the_killed(screen)).and(self.tell_of_the_outage(screen));
                if shared.elapsed() >= self.plan.length {
                    let _ = screen.show(&self.view());
                    return Ok(Ending::Told);
                }
            }
            if Instant::now() >= frame {
                frame += screen.period();
                told = told.and(screen.show(&self.view()));
            }
            if told.is_err() {
                return Ok(Ending::Interrupted);
            }
        }
    }

    pub fn end(self) -> (Fleet, Option<Idle>) {
        (self.fleet, self.idle)
    }

    fn t(&self) -> f64 {
        self.start.elapsed().as_secs_f64()
    }

    fn view(&self) -> View {
        let end = self.shared.map(|shared| (shared + self.plan.length).duration_since(self.start).as_secs_f64());
        let finding = self.watch.look(&self.fleet.files).filter(|finding| finding.admissions > 0);
        View::of(&self.fleet, self.args.rate, self.args.burst(), self.t(), end, finding)
    }

    fn wait_for_all(&mut self, screen: &mut Screen) -> Result<std::io::Result<()>, Failure> {
        if self.shared.is_some() {
            return Ok(Ok(()));
        }
        if self.fleet.workers.iter().all(|worker| worker.joined) {
            self.shared = Some(Instant::now());
            return Ok(screen.note(self.t(), "shared", "all workers share the limit"));
        }
        if self.start.elapsed() < START_TIMEOUT {
            return Ok(Ok(()));
        }
        let waiting = self.fleet.workers.iter().find(|worker| !worker.joined);
        let why = waiting.map_or("", |worker| worker.health.as_str());
        Err(Failure::failed(format!("not all workers have a share after {} s: {why}", START_TIMEOUT.as_secs())))
    }

    fn do_what_is_due(&mut self, shared: Instant, screen: &mut Screen) -> Result<std::io::Result<()>, Failure> {
        let mut told = Ok(());
        while let Some((at, step)) = self.plan.steps.get(self.steps_done).copied() {
            if shared.elapsed() < at {
                break;
            }
            self.steps_done += 1;
            let (what, text) = self.take(step)?;
            told = told.and(screen.note(self.t(), what, &text));
        }
        Ok(told)
    }

    fn take(&mut self, step: Step) -> Result<(&'static str, String), Failure> {
        Ok(match step {
            Step::Kill => {
                let share = self.fleet.worker(VICTIM).share_rate;
                self.fleet.kill(VICTIM);
                if share > 0.0 && !self.is_tiny() {
                    self.killed = Some((Instant::now(), share));
                }
                ("killed", format!("worker {VICTIM} killed with kill -9; the others see that its lock is free"))
            }
            Step::Return => {
                self.fleet.start_worker(VICTIM)?;
                self.returned = Some(Instant::now());
                ("returned", format!("worker {VICTIM} started again"))
            }
            Step::StopBroker => {
                self.fleet.set_broker(false);
                self.outage = Some(Outage { told: self.told(), kept_told: false });
                let seconds = self.plan.outage().as_secs_f64();
                let who = if self.is_tiny() {
                    "whoever holds the burst goes on"
                } else {
                    "decisions go on with the last shares"
                };
                ("broker_stopped", format!("broker stopped for {seconds:.1} s: {who}"))
            }
            Step::StartBroker => {
                self.fleet.set_broker(true);
                let before = self.outage.take().map_or(Vec::new(), |outage| outage.told);
                let grown = before.into_iter().zip(self.told()).filter_map(|(before, now)| growth(before?, now?));
                let rate: f64 = grown.sum();
                let (used, rate) = (rate / self.args.rate as f64 * 100.0, amount(rate));
                (
                    "broker_started",
                    format!("broker is back; meanwhile {rate}/s were admitted, {used:.0} % of the limit"),
                )
            }
        })
    }

    fn tell_of_the_killed(&mut self, screen: &mut Screen) -> std::io::Result<()> {
        if let Some((since, share)) = self.killed {
            let others: f64 = self.fleet.workers.iter().map(|worker| worker.share_rate).sum();
            let back = self.fleet.worker(VICTIM).state == State::Running;
            if others >= self.args.rate as f64 * ALL || back {
                let seconds = since.elapsed().as_secs_f64();
                self.killed = None;
                self.idle = Some(Idle { seconds, permits: share * seconds });
                let text = format!("the others have its share, {seconds:.1} s after it was killed");
                screen.note(self.t(), "share_taken_over", &text)?;
            }
        }
        if let Some(since) = self.returned {
            let share = self.fleet.worker(VICTIM).share_rate;
            if share >= self.args.rate as f64 / self.fleet.workers.len() as f64 / 2.0 {
                self.returned = None;
                let (seconds, share) = (since.elapsed().as_secs_f64(), amount(share));
                let text = format!("worker {VICTIM} has a share of {share}/s, {seconds:.1} s after its start");
                screen.note(self.t(), "share_returned", &text)?;
            }
        }
        Ok(())
    }

    fn tell_of_the_outage(&mut self, screen: &mut Screen) -> std::io::Result<()> {
        let t = self.t();
        let kept = self.fleet.workers.iter().all(|worker| worker.basis == "kept_share");
        match &mut self.outage {
            Some(outage) if kept && !outage.kept_told => {
                outage.kept_told = true;
                screen.note(t, "shares_kept", "shares cannot be renewed now: they are kept (on.outage = keep_share)")
            }
            _ => Ok(()),
        }
    }

    /// A burst smaller than the number of workers is passed around through the log: nobody has a lasting share.
    fn is_tiny(&self) -> bool {
        self.args.burst() < self.fleet.workers.len() as u64
    }

    fn told(&self) -> Vec<Option<(Instant, u64)>> {
        self.fleet.workers.iter().map(Worker::last_told).collect()
    }
}

/// How fast a count grew, per second.
fn growth((from, before): (Instant, u64), (to, now): (Instant, u64)) -> Option<f64> {
    let seconds = to.duration_since(from).as_secs_f64();
    (seconds > 0.0).then(|| now.saturating_sub(before) as f64 / seconds)
}
