//! The embedded broker: librdkafka's mock cluster in a process of its own, told what to do on its standard input.

use crate::failure::Failure;
use clap::Args;
use std::process::ExitCode;

/// Partitions of the demonstration's topic.
#[cfg(feature = "kafka")]
pub const PARTITIONS: u32 = 3;

/// librdkafka's mock cluster; `down` and `up` on standard input stop and start it, its end ends it
#[derive(Args)]
pub struct MockBrokerArgs {
    /// The state topic
    #[arg(long, value_name = "NAME")]
    topic: String,
    #[arg(long, hide = true, value_name = "PID")]
    parent: Option<u32>,
}

#[cfg(feature = "kafka")]
pub fn run(args: &MockBrokerArgs) -> Result<ExitCode, Failure> {
    use serde_json::json;
    if let Some(parent) = args.parent {
        crate::lifetime::end_with(parent);
    }
    let broker =
        tidegate::storage::kafka::mock::MockBroker::start(1, &args.topic, PARTITIONS).map_err(Failure::failed)?;
    println!("{}", json!({"event": "ready", "bootstrap_servers": broker.bootstrap_servers()}));
    for line in std::io::stdin().lines().map_while(Result::ok) {
        match line.trim() {
            "down" => broker.set_down(true),
            "up" => broker.set_down(false),
            other => eprintln!("`{other}` is neither `down` nor `up`"),
        }
    }
    Ok(ExitCode::SUCCESS)
}

#[cfg(not(feature = "kafka"))]
pub fn run(_: &MockBrokerArgs) -> Result<ExitCode, Failure> {
    Err(Failure::usage("this build has no Kafka storage; build with the feature `kafka`"))
}
