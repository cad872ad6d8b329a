//! The limit on the command line: the same three arguments for those who spend it and for the one who checks it.

use crate::failure::Failure;
use clap::Args;
use tidegate::{Limit, Nanos};

#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "The limit of the whole fleet")]
pub struct LimitArgs {
    /// Permits let through in each period
    #[arg(long, value_name = "N")]
    permits: u64,
    /// The period in milliseconds
    #[arg(long, value_name = "N", default_value_t = 1_000)]
    period_ms: u64,
    /// Permits that may be taken at once; 0 = as many as `--permits`
    #[arg(long, value_name = "N", default_value_t = 0)]
    burst: u64,
}

impl LimitArgs {
    pub fn limit(&self) -> Result<Limit, Failure> {
        Limit::token_bucket(self.permits, Nanos::from_millis(self.period_ms), self.burst)
            .map_err(|why| Failure::usage(format!("--permits, --period-ms, --burst: {why}")))
    }
}
