//! The walkthrough (README.md beside this file) in Rust: `cargo run --example walkthrough`.

use std::io::{stdout, Result, Write};
use std::time::Duration;
use tidegate::runtime::{acquire, decision, release};
use tidegate::{Config, Decision, Error, ErrorKind, KeyId, Limit, Nanos, Runtime};

/// A status by its name in C.
fn name(status: i32) -> &'static str {
    match status {
        decision::OK => "OK",
        decision::DENIED => "DENIED",
        decision::NEVER => "NEVER",
        decision::TIMED_OUT => "TIMED_OUT",
        kind if kind == ErrorKind::Argument as i32 => "TIDEGATE_E_ARGUMENT",
        kind if kind == ErrorKind::Config as i32 => "TIDEGATE_E_CONFIG",
        kind if kind == ErrorKind::Stale as i32 => "TIDEGATE_E_STALE",
        _ => "another failure",
    }
}

fn failed<T>(result: std::result::Result<T, Error>) -> &'static str {
    result.err().map_or("OK", |error| name(error.kind() as i32))
}

fn yes(yes: bool) -> &'static str {
    if yes {
        "yes"
    } else {
        "no"
    }
}

/// Writes the lines of `expected.txt`.
pub fn walk(out: &mut impl Write) -> Result<()> {
    writeln!(out, "version {}, ABI 1", env!("CARGO_PKG_VERSION"))?;
    let mut config = Config::new();
    writeln!(out, "unknown property: {}", failed(config.set("no.such.property", "1")))?;
    config.set("storage", "memory").map_err(std::io::Error::other)?;
    let runtime = Runtime::open(&config).map_err(std::io::Error::other)?;
    let storage = runtime.storage();
    let (shared, persistent) = (yes(storage.shared), yes(storage.persistent));
    writeln!(out, "storage: {}, shared: {shared}, persistent: {persistent}", storage.backend)?;

    let limit = Limit::token_bucket(5, Nanos::from_secs(1), 5).map_err(std::io::Error::other)?;
    let limiter = runtime.limiter("walkthrough", limit).map_err(std::io::Error::other)?;
    let (permits, burst) = (limit.permits(), limit.burst().whole());
    writeln!(out, "limiter {:?}: {permits} permits per 1000 ms, burst {burst}", limiter.name())?;
    let id: KeyId = limiter.key_id("tenant-1").map_err(std::io::Error::other)?;
    let granted = (0..5).filter(|_| acquire::try_acquire(id, 1).is_granted()).count();
    writeln!(out, "acquired {granted} of 5")?;
    let Decision { status, retry_after_ns, .. } = acquire::try_acquire(id, 1);
    writeln!(out, "sixth: {}, retry within 200 ms: {}", name(status), yes(retry_after_ns <= 200_000_000))?;
    writeln!(out, "peek: {}", name(acquire::peek(id).status))?;
    let came = acquire::acquire(id, 1, Duration::from_secs(2));
    writeln!(out, "acquire with a timeout of 2 s: {}", name(came.status))?;
    let late = acquire::acquire(id, 5, Duration::from_millis(1));
    writeln!(out, "acquire with a timeout of 1 ms for 5: {}", name(late.status))?;
    writeln!(out, "six at once: {}", name(acquire::try_acquire(id, 6).status))?;
    writeln!(out, "zero: {}", name(acquire::try_acquire(id, 0).status))?;
    let status = tidegate::runtime::status(id).map_err(std::io::Error::other)?;
    writeln!(out, "granted by this process: {}", status.granted)?;
    release(id).map_err(std::io::Error::other)?;
    writeln!(out, "released twice: {}", failed(release(id)))?;
    writeln!(out, "health: {}", format!("{:?}", runtime.health().state).to_lowercase())?;
    drop(limiter);
    runtime.close(Duration::from_secs(1)).map_err(std::io::Error::other)
}

#[allow(dead_code, reason = "the test takes `walk` alone")]
fn main() -> Result<()> {
    walk(&mut stdout().lock())
}
