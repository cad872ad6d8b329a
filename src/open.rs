//! From a configuration to a runtime: the only place that names both a concrete storage and the runtime.

use crate::config::{Config, Storage};
use crate::core::limit::LimitError;
use crate::runtime::clock::{Clock, ManualClock};
use crate::runtime::{Options, Runtime};
use crate::{Error, ErrorKind};

impl Runtime {
    /// Opens a runtime. Never waits for Kafka: sharing starts by itself when the log answers, and until then
    /// [`Runtime::health`] says why it does not. Equal configurations share one runtime in a process.
    ///
    /// # Errors
    /// `Config` when properties contradict each other or the Kafka client refuses one; `Capacity`.
    pub fn open(config: &Config) -> Result<Runtime, Error> {
        match config.storage()? {
            Storage::Memory => {
                Runtime::shared_by(&config.identity(), || Runtime::local(&options(config, Clock::System)))
            }
            Storage::Kafka => Runtime::shared_by(&config.identity(), || open_kafka(config)),
        }
    }

    /// A local runtime whose time stands still until `clock` is moved: for applications' own tests.
    ///
    /// # Errors
    /// As [`Runtime::open`]; `Config` also when the storage is not `memory`.
    pub fn open_with_clock(config: &Config, clock: &ManualClock) -> Result<Runtime, Error> {
        if config.storage()? != Storage::Memory {
            return Err(Error::new(ErrorKind::Config, "a manual clock needs `storage` = `memory`"));
        }
        Runtime::local(&options(config, Clock::Manual(clock.clone())))
    }
}

fn options(config: &Config, clock: Clock) -> Options {
    Options { clock, ttl: config.ttl(), outage: config.outage(), keys_max: config.keys_max(), note: config.note() }
}

#[cfg(feature = "kafka")]
fn open_kafka(config: &Config) -> Result<Runtime, Error> {
    Runtime::shared(&options(config, Clock::System), |events| {
        let log = crate::storage::kafka::KafkaLog::open(config.kafka(), events);
        Ok(Box::new(log.map_err(|why| Error::new(ErrorKind::Config, why.to_string()))?))
    })
}

#[cfg(not(feature = "kafka"))]
fn open_kafka(_config: &Config) -> Result<Runtime, Error> {
    Err(Error::new(ErrorKind::Config, "this build has no Kafka storage; build with the feature `kafka`"))
}

impl From<LimitError> for Error {
    fn from(why: LimitError) -> Error {
        Error::new(ErrorKind::Argument, why.to_string())
    }
}
