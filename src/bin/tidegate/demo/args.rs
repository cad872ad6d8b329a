//! What can be asked of the demonstration.

use crate::failure::Failure;
use clap::Args;
use tidegate::{Limit, Nanos};

/// Watch several processes share one limit, through a kill -9 and a stopped broker
///
/// Without arguments it needs nothing: it starts an embedded broker (librdkafka's mock cluster, in a process of its own)
/// and four workers that ask for permits as fast as they can, draws what happens, kills one worker with kill -9 and lets
/// it return, stops the broker for some seconds, and ends with a verdict: whether in any window of any length more than
/// burst + rate x length was admitted. The verdict rests on what the workers recorded, checked as `tidegate check` does.
///
/// With --bootstrap-servers the same runs on a real Kafka, whose brokers are left alone.
///
/// On a terminal it draws a table; otherwise it prints a line each second. NO_COLOR is honoured.
///
/// Exit code: 0 the limit held, 1 it was broken, 2 bad arguments, 3 the demonstration could not run, 130 Ctrl-C.
#[derive(Args, Clone, Debug)]
pub struct DemoArgs {
    /// Permits per second that all workers together may take
    #[arg(long, value_name = "N", default_value_t = 1_000, value_parser = clap::value_parser!(u64).range(1..))]
    pub rate: u64,
    /// Permits that may be taken at once; below the number of workers they take turns [default: twice the rate]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub burst: Option<u64>,
    /// How many workers share the limit
    #[arg(long, value_name = "N", default_value_t = 4, value_parser = clap::value_parser!(u32).range(1..=64))]
    pub processes: u32,
    /// How long to watch, once all workers share
    #[arg(long, value_name = "N", default_value_t = 30, value_parser = clap::value_parser!(u32).range(5..=86_400))]
    pub seconds: u32,
    /// Kill no worker and stop no broker
    #[arg(long)]
    pub no_faults: bool,
    /// JSON, one object a line: `second`, `note`, and at the end `verdict`
    #[arg(long)]
    pub json: bool,
    /// Share through this Kafka instead of the embedded broker
    #[arg(long, value_name = "HOST:PORT,..")]
    pub bootstrap_servers: Option<String>,
    /// The state topic on that Kafka; it is created if it does not exist, and stays
    #[arg(long, value_name = "NAME", default_value = "tidegate-demo")]
    pub topic: String,
    /// Any further property of the workers, of Tidegate or librdkafka; may be repeated
    #[arg(long = "set", value_name = "NAME=VALUE")]
    pub properties: Vec<String>,
}

impl DemoArgs {
    pub fn burst(&self) -> u64 {
        self.burst.unwrap_or(self.rate.saturating_mul(2))
    }

    pub fn limit(&self) -> Result<Limit, Failure> {
        Limit::token_bucket(self.rate, Nanos::from_secs(1), self.burst())
            .map_err(|why| Failure::usage(format!("--rate, --burst: {why}")))
    }
}
