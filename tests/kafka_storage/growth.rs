//! Partitions added by somebody. The longest wait of all tests: in a module of its own so that it starts early.

use crate::harness::*;
use rdkafka::admin::NewPartitions;
use std::time::{Duration, Instant};
use tidegate::storage::StorageEvent;

#[test]
fn added_partitions_are_reported() {
    let Some(address) = kafka() else { return };
    let settings = fresh(&address);
    let user = User::ready(settings.clone());
    let (admin, options) = admin(&address);
    let claims = settings.claims_topic();
    wait(admin.create_partitions([&NewPartitions::new(&claims, 13)], &options)).unwrap()[0].as_ref().unwrap();
    // The topic is looked at every 30 s.
    let deadline = Instant::now() + Duration::from_secs(40);
    let event = loop {
        match user.events.recv_deadline(deadline).expect("word of the added partition") {
            event @ StorageEvent::Topics { .. } => break event,
            _ => continue,
        }
    };
    assert_eq!(event, StorageEvent::Topics { partitions: 13, replication: 1 });
}
