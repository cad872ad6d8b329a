//! Real brokers that are killed and come back: a cluster of this test's own.

use crate::harness::*;
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};
use tidegate::storage::kafka::{KafkaSettings, Replication};
use tidegate::storage::{LogStore, StorageEvent};

/// Longer than the brokers take to agree on another leader.
const SENDING: Duration = Duration::from_secs(8);

pub struct Cluster {
    child: Child,
    stdin: Option<ChildStdin>,
    stdout: BufReader<ChildStdout>,
    pub address: String,
}

impl Cluster {
    pub fn start(brokers: u32) -> Cluster {
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/kafka/cluster.py");
        let mut command = Command::new("python3");
        command.args([script, "--brokers", &brokers.to_string()]).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().expect("python3");
        let (stdin, stdout) = (child.stdin.take(), BufReader::new(child.stdout.take().unwrap()));
        let mut cluster = Cluster { child, stdin, stdout, address: String::new() };
        cluster.address = cluster.line();
        assert!(!cluster.address.is_empty(), "the cluster did not start");
        cluster
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.stdout.read_line(&mut line).unwrap();
        line.trim().to_owned()
    }

    pub fn tell(&mut self, what: &str) -> String {
        writeln!(self.stdin.as_mut().unwrap(), "{what}").unwrap();
        self.line()
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        drop(self.stdin.take());
        let _ = self.child.wait();
    }
}

#[test]
fn a_killed_leader_and_a_cluster_that_comes_late_keep_the_order_and_next_to_everything() {
    if kafka().is_none() {
        return;
    }
    let mut cluster = Cluster::start(3);
    for node in 1..=3 {
        cluster.tell(&format!("kill {node}"));
    }
    let settings = KafkaSettings { replication: Replication::Factor(3), ..fresh(&cluster.address) };
    let mut user = User::open(settings.clone());
    let (message, fatal) = user.trouble();
    assert!(!fatal && message.contains("bootstrap.servers"), "{message}");
    for node in 1..=3 {
        cluster.tell(&format!("restart {node}"));
    }
    // While not all are back, three copies are impossible: that is trouble, and then over.
    let back = Instant::now();
    let topics = user.until(|e| matches!(e, StorageEvent::Topics { .. }));
    println!("known {:?} after the brokers were started", back.elapsed());
    assert_eq!(topics, StorageEvent::Topics { partitions: 12, replication: 3 });
    user.read(0);
    user.caught_up(0);

    let mut sent = 0;
    let (mut read, mut longest) = (Vec::new(), Duration::ZERO);
    let mut last = Instant::now();
    let (start, mut killed) = (Instant::now(), false);
    while start.elapsed() < PATIENCE && !(start.elapsed() > SENDING && read.len() == sent) {
        if start.elapsed() < SENDING {
            user.append(0, &sent.to_string());
            sent += 1;
        }
        // Read back means: in sync on two brokers at least. Earlier, the leader may be the only one.
        if !killed && read.len() > 50 {
            let leader = cluster.tell(&format!("leader {} 0", settings.claims_topic()));
            cluster.tell(&format!("kill {leader}"));
            killed = true;
        }
        while let Ok(event) = user.events.recv_timeout(Duration::from_millis(10)) {
            match event {
                StorageEvent::Record { partition: 0, bytes, .. } => {
                    read.push(bytes);
                    longest = longest.max(last.elapsed());
                    last = Instant::now();
                }
                StorageEvent::Gap { reason, .. } => panic!("gap: {reason}"),
                other => println!("{:?}: {other:?}", start.elapsed()),
            }
        }
    }
    println!("{:?}", user.log.info());
    println!("{sent} records, longest gap between read-backs {longest:?}");
    assert!(killed, "nothing was read while all brokers were there");
    // A storage may lose an append, and whoever appends waits for the read-back. No reader may miss what is in the log.
    let mut other = User::ready(settings);
    other.read(0);
    let mut there = Vec::new();
    other.until(|event| {
        if let StorageEvent::Record { partition: 0, bytes, .. } = event {
            there.push(bytes.clone());
        }
        matches!(event, StorageEvent::CaughtUp { partition: 0 })
    });
    assert!(read == there, "{} read, and another reader finds {}", read.len(), there.len());
    let mut all = numbers(0, sent).into_iter();
    assert!(read.iter().all(|number| all.any(|sent| sent == *number)), "each record once, in order");
    assert!(sent - read.len() <= sent / 100, "{} of {sent} are in the log", read.len());
    let info = user.log.info();
    assert_eq!((info.appends_failed, info.producer_restarts), (0, 0));
}
