//! Health, storage and metrics of a runtime as one JSON object, for people and dashboards.

use super::clock::nanos;
use super::Runtime;
use std::fmt::Write;

/// One JSON object: `{"health": .., "storage": .., "metrics": ..}`.
pub fn snapshot_json(runtime: &Runtime) -> String {
    let (health, storage, metrics) = (runtime.health(), runtime.storage(), runtime.metrics());
    let state = format!("{:?}", health.state).to_lowercase();
    let mut json = String::from("{\"health\": {\"state\": ");
    string(&mut json, &state);
    json.push_str(", \"message\": ");
    string(&mut json, &health.message);
    json.push_str("}, \"storage\": {\"backend\": ");
    string(&mut json, storage.backend);
    let _ = write!(json, ", \"shared\": {}, \"persistent\": {}", storage.shared, storage.persistent);
    numbers(
        &mut json,
        ", ",
        &[
            ("partitions", storage.partitions.into()),
            ("replication", storage.replication.into()),
            ("append_p50_ns", nanos(storage.append_p50).0),
            ("append_p99_ns", nanos(storage.append_p99).0),
            ("appends_failed", storage.appends_failed),
            ("producer_restarts", storage.producer_restarts),
        ],
    );
    let _ = match storage.ack_age {
        Some(age) => write!(json, ", \"ack_age_ns\": {}", nanos(age).0),
        None => write!(json, ", \"ack_age_ns\": null"),
    };
    json.push_str("}, \"metrics\": {");
    numbers(
        &mut json,
        "",
        &[
            ("keys", metrics.keys),
            ("keys_idle", metrics.keys_idle),
            ("permits_granted", metrics.permits_granted),
            ("permits_refused", metrics.permits_refused),
            ("permits_allowed", metrics.permits_allowed),
            ("permits_shadowed", metrics.permits_shadowed),
            ("waiting", metrics.waiting),
            ("partitions_followed", metrics.partitions_followed),
            ("sessions_valid", metrics.sessions_valid),
            ("records_sent", metrics.records_sent),
            ("records_resent", metrics.records_resent),
            ("records_read", metrics.records_read),
            ("records_refused", metrics.records_refused),
            ("sessions_lost", metrics.sessions_lost),
            ("sessions_lost_while_valid", metrics.sessions_lost_while_valid),
            ("evictions_sent", metrics.evictions_sent),
            ("digest_mismatches", metrics.digest_mismatches),
            ("gaps", metrics.gaps),
            ("digests_compared", metrics.digests_compared),
            ("snapshots_written", metrics.snapshots_written),
            ("snapshots_restored", metrics.snapshots_restored),
            ("snapshot_age_ms", metrics.snapshot_age_ms),
            ("snapshot_offset", metrics.snapshot_offset),
            ("resets", metrics.resets),
        ],
    );
    json.push_str("}}");
    json
}

fn numbers(json: &mut String, before: &str, fields: &[(&str, u64)]) {
    let mut before = before;
    for (name, number) in fields {
        let _ = write!(json, "{before}\"{name}\": {number}");
        before = ", ";
    }
}

/// A JSON string: RFC 8259, section 7.
fn string(json: &mut String, text: &str) {
    json.push('"');
    for c in text.chars() {
        match c {
            '"' | '\\' => json.extend(['\\', c]),
            c if c < ' ' => {
                let _ = write!(json, "\\u{:04x}", u32::from(c));
            }
            c => json.push(c),
        }
    }
    json.push('"');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_snapshot_is_json_whatever_stands_in_the_messages() {
        let mut json = String::new();
        string(&mut json, "a \"b\" \\ \n ü");
        assert_eq!(serde_json::from_str::<String>(&json).unwrap(), "a \"b\" \\ \n ü");
        let runtime = Runtime::local(&crate::Options::default()).unwrap();
        let snapshot: serde_json::Value = serde_json::from_str(&snapshot_json(&runtime)).unwrap();
        assert_eq!(snapshot["storage"]["backend"], "memory");
        assert_eq!(snapshot["health"]["state"], "ok");
        assert_eq!(snapshot["metrics"]["keys"], 0);
    }
}
