//! `tidegate demo`: several processes share one limit before one's eyes, while things go wrong.

mod args;
mod broker;
mod child;
mod fleet;
mod folder;
mod plan;
mod screen;
mod story;
mod table;
mod verdict;
mod view;
mod watch;
mod worker;

pub use args::DemoArgs;
pub use broker::{run as run_mock_broker, MockBrokerArgs};

use crate::check::Finding;
use crate::failure::Failure;
use plan::Plan;
use screen::Screen;
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::Arc;
use story::{Ending, Story};

/// What shells call a program that Ctrl-C ended.
const INTERRUPTED: u8 = 130;

pub fn run(args: &DemoArgs) -> Result<ExitCode, Failure> {
    if cfg!(not(feature = "kafka")) {
        return Err(Failure::usage("this build has no Kafka storage; build with the feature `kafka`"));
    }
    let limit = args.limit()?;
    let stop = Arc::new(AtomicBool::new(false));
    for signal in [libc::SIGINT, libc::SIGTERM, libc::SIGHUP] {
        signal_hook::flag::register(signal, stop.clone())
            .map_err(|e| Failure::failed(format!("cannot catch signal {signal}: {e}")))?;
    }
    let plan = Plan::new(args.seconds, args.processes, args.bootstrap_servers.is_none(), !args.no_faults);
    let mut screen = Screen::new(args.json);
    let mut story = Story::begin(args, limit, plan, &mut screen)?;
    let ending = story.tell(&mut screen, &stop)?;
    let (mut fleet, idle) = story.end();
    fleet.end_workers();
    let finding = Finding::of(&fleet.files, &limit)?;
    if finding.admissions == 0 && ending == Ending::Told {
        return Err(Failure::failed("nothing was admitted: there is nothing to judge"));
    }
    let interrupted = ending == Ending::Interrupted && stop.load(Ordering::Relaxed);
    let text = verdict::words(&finding, idle);
    let wrapped = screen.columns().map_or(text.clone(), |columns| crate::text::wrap(&text, columns));
    let _ = screen.verdict(&wrapped, &verdict::facts(&finding, idle, &text, interrupted));
    Ok(match (finding.held(), interrupted) {
        (false, _) => ExitCode::FAILURE,
        (true, true) => ExitCode::from(INTERRUPTED),
        (true, false) => ExitCode::SUCCESS,
    })
}
