//! What a runtime says about itself. Copies: call as often as you like.

use super::boundary::{answer, boundary, bug, fill_struct, output, own_runtime};
use super::error::tidegate_error_t;
use super::runtime::tidegate_runtime_t;
use super::status::tidegate_status_t;
use super::text::{give_text, tidegate_text_t};
use crate::runtime::clock::nanos;
use crate::runtime::snapshot_json;
use crate::HealthState;

/// Decisions are made from shares that are renewed, or from local limits.
pub const TIDEGATE_HEALTH_OK: i32 = 0;
/// The log was not reached or read yet.
pub const TIDEGATE_HEALTH_CONNECTING: i32 = 1;
/// Something is wrong, and decisions follow the outage policy.
pub const TIDEGATE_HEALTH_DEGRADED: i32 = 2;
/// Sharing cannot go on until somebody acts.
pub const TIDEGATE_HEALTH_FAILED: i32 = 3;
/// The runtime was closed.
pub const TIDEGATE_HEALTH_CLOSED: i32 = 4;

/// This process alone.
pub const TIDEGATE_STORAGE_MEMORY: u32 = 1;
/// Apache Kafka.
pub const TIDEGATE_STORAGE_KAFKA: u32 = 2;

/// What the storage knows about itself.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct tidegate_storage_info_t {
    /// sizeof(tidegate_storage_info_t)
    pub struct_size: u32,
    /// TIDEGATE_STORAGE_*
    pub backend: u32,
    /// 1 if other processes share it, else 0.
    pub is_shared: u32,
    /// 1 if it outlives the processes, else 0.
    pub is_persistent: u32,
    /// Partitions of the log; 0 until known.
    pub partitions: u32,
    /// Copies of each partition; 0 until known.
    pub replication: u32,
    /// From append to acknowledgement, over the last 1024; 0 before the first.
    pub append_p50_ns: u64,
    /// The same, 99th percentile.
    pub append_p99_ns: u64,
    /// Since the last acknowledgement; UINT64_MAX before the first.
    pub ack_age_ns: u64,
}

/// Counters of a runtime. They only grow, but for keys, keys_idle, waiting, partitions_followed, sessions_valid, what is said of
/// a snapshot, and permits, where a reservation is given back, a wait ends well or a limiter is forgotten.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct tidegate_metrics_t {
    /// sizeof(tidegate_metrics_t)
    pub struct_size: u32,
    /// 0
    pub reserved: u32,
    /// Live keys.
    pub keys: u64,
    /// Permits granted.
    pub permits_granted: u64,
    /// Permits refused.
    pub permits_refused: u64,
    /// Of the granted, those without any share, in an outage, under the policy allow.
    pub permits_allowed: u64,
    /// Calls of tidegate_key_acquire() that wait now.
    pub waiting: u64,
    /// Partitions of the log that are read.
    pub partitions_followed: u64,
    /// Of these, those in which this process's shares are valid now.
    pub sessions_valid: u64,
    /// Records written, with those said again.
    pub records_sent: u64,
    /// Records said again because the first was not read back in time.
    pub records_resent: u64,
    /// Records read.
    pub records_read: u64,
    /// Bytes in the log that are no records.
    pub records_refused: u64,
    /// Sessions of this process that others ended, or that broke off.
    pub sessions_lost: u64,
    /// Sessions of others that this process ended for their silence.
    pub evictions_sent: u64,
    /// Times another process's state differed from this one's.
    pub digest_mismatches: u64,
    /// Times the log could not be read on and was read anew.
    pub gaps: u64,
    /// Buckets of local limits that no key stands for and that are not full again yet: remembered.
    pub keys_idle: u64,
    /// Of the refused, those that a limit in shadow mode let pass.
    pub permits_shadowed: u64,
    /// Of the sessions lost, while this process's clock said they were valid: a clock or a virtual machine stood still.
    pub sessions_lost_while_valid: u64,
    /// Times another process's state was compared with this one's.
    pub digests_compared: u64,
    /// Snapshots written.
    pub snapshots_written: u64,
    /// Snapshots that this process started from.
    pub snapshots_restored: u64,
    /// The age of the newest snapshot of a partition, the oldest of all; 0 = none known.
    pub snapshot_age_ms: u64,
    /// The offset that it stands for.
    pub snapshot_offset: u64,
    /// Times a partition was declared empty, because nothing was left of its state and nobody was there.
    pub resets: u64,
}

/// What the storage knows about itself.
///
/// # Safety
/// `info_out` points at `struct_size` writable bytes that begin with that size; other pointers are NULL or valid.
#[no_mangle]
pub unsafe extern "C" fn tidegate_runtime_storage_info(
    runtime: *const tidegate_runtime_t,
    info_out: *mut tidegate_storage_info_t,
    error_out: *mut *mut tidegate_error_t,
) -> tidegate_status_t {
    // SAFETY: as promised by the caller.
    let fill = || unsafe {
        let info = own_runtime(runtime)?.storage();
        let filled = tidegate_storage_info_t {
            struct_size: 0,
            backend: if info.backend == "memory" { TIDEGATE_STORAGE_MEMORY } else { TIDEGATE_STORAGE_KAFKA },
            is_shared: info.shared.into(),
            is_persistent: info.persistent.into(),
            partitions: info.partitions,
            replication: info.replication,
            append_p50_ns: nanos(info.append_p50).0,
            append_p99_ns: nanos(info.append_p99).0,
            ack_age_ns: info.ack_age.map_or(u64::MAX, |age| nanos(age).0),
        };
        fill_struct(info_out, filled, "info_out")
    };
    // SAFETY: as promised by the caller.
    unsafe { answer(boundary!(Err(bug()), { fill() }), error_out) }
}

/// How well the runtime is: `state_out` (may be NULL) is a TIDEGATE_HEALTH_*, `message_out` (may be NULL) a sentence
/// that says what is wrong and what decisions rest on now. Free the text.
///
/// # Safety
/// Pointers are NULL or valid for what they are said to be.
#[no_mangle]
pub unsafe extern "C" fn tidegate_runtime_health(
    runtime: *const tidegate_runtime_t,
    state_out: *mut i32,
    message_out: *mut *mut tidegate_text_t,
    error_out: *mut *mut tidegate_error_t,
) -> tidegate_status_t {
    // SAFETY: as promised by the caller.
    let health = || unsafe {
        let health = own_runtime(runtime)?.health();
        if let Some(state) = state_out.as_mut() {
            *state = health.state as i32;
        }
        if let Some(message) = message_out.as_mut() {
            *message = give_text(&health.message);
        }
        Ok(())
    };
    // SAFETY: as promised by the caller.
    unsafe { answer(boundary!(Err(bug()), { health() }), error_out) }
}

/// Counters. Visits every live key: about a millisecond for ten thousand.
///
/// # Safety
/// `metrics_out` points at `struct_size` writable bytes that begin with that size; other pointers are NULL or valid.
#[no_mangle]
pub unsafe extern "C" fn tidegate_runtime_metrics(
    runtime: *const tidegate_runtime_t,
    metrics_out: *mut tidegate_metrics_t,
    error_out: *mut *mut tidegate_error_t,
) -> tidegate_status_t {
    // SAFETY: as promised by the caller.
    let fill = || unsafe {
        let metrics = own_runtime(runtime)?.metrics();
        let filled = tidegate_metrics_t {
            struct_size: 0,
            reserved: 0,
            keys: metrics.keys,
            permits_granted: metrics.permits_granted,
            permits_refused: metrics.permits_refused,
            permits_allowed: metrics.permits_allowed,
            waiting: metrics.waiting,
            partitions_followed: metrics.partitions_followed,
            sessions_valid: metrics.sessions_valid,
            records_sent: metrics.records_sent,
            records_resent: metrics.records_resent,
            records_read: metrics.records_read,
            records_refused: metrics.records_refused,
            sessions_lost: metrics.sessions_lost,
            evictions_sent: metrics.evictions_sent,
            digest_mismatches: metrics.digest_mismatches,
            gaps: metrics.gaps,
            keys_idle: metrics.keys_idle,
            permits_shadowed: metrics.permits_shadowed,
            sessions_lost_while_valid: metrics.sessions_lost_while_valid,
            digests_compared: metrics.digests_compared,
            snapshots_written: metrics.snapshots_written,
            snapshots_restored: metrics.snapshots_restored,
            snapshot_age_ms: metrics.snapshot_age_ms,
            snapshot_offset: metrics.snapshot_offset,
            resets: metrics.resets,
        };
        fill_struct(metrics_out, filled, "metrics_out")
    };
    // SAFETY: as promised by the caller.
    unsafe { answer(boundary!(Err(bug()), { fill() }), error_out) }
}

/// Everything above as one JSON object: {"health": .., "storage": .., "metrics": ..}. Free the text.
///
/// # Safety
/// Pointers are NULL or valid for what they are said to be.
#[no_mangle]
pub unsafe extern "C" fn tidegate_runtime_snapshot(
    runtime: *const tidegate_runtime_t,
    json_out: *mut *mut tidegate_text_t,
    error_out: *mut *mut tidegate_error_t,
) -> tidegate_status_t {
    // SAFETY: as promised by the caller.
    let snapshot = || unsafe {
        let runtime = own_runtime(runtime)?;
        let place = output(json_out, "json_out")?;
        *place = give_text(&snapshot_json(runtime));
        Ok(())
    };
    // SAFETY: as promised by the caller.
    unsafe { answer(boundary!(Err(bug()), { snapshot() }), error_out) }
}

const _: () = assert!(TIDEGATE_HEALTH_OK == HealthState::Ok as i32);
const _: () = assert!(TIDEGATE_HEALTH_CONNECTING == HealthState::Connecting as i32);
const _: () = assert!(TIDEGATE_HEALTH_DEGRADED == HealthState::Degraded as i32);
const _: () = assert!(TIDEGATE_HEALTH_FAILED == HealthState::Failed as i32);
const _: () = assert!(TIDEGATE_HEALTH_CLOSED == HealthState::Closed as i32);
