//! What a watch says when it cannot measure, that it recovers, and that it ends.

use crate::harness::*;
use crate::lag::*;
use crate::login::{listener, user};
use crossbeam::channel::{unbounded, RecvTimeoutError};
use std::time::{Duration, Instant};
use tidegate::storage::kafka::KafkaSettings;
use tidegate::storage::{Lag, LagGuard, LogStore, Watch};
use tidegate::ErrorKind;

fn zero() -> Result<Lag, String> {
    Ok(Lag { records: 0, older: vec![] })
}

#[test]
fn an_unknown_group_is_told_in_words_until_it_commits() {
    let Some(address) = kafka() else { return };
    let (group, topic) = (fresh_topic(), fresh_topic());
    create(&address, &topic, 1);
    for topics in [vec![topic.as_str()], vec![]] {
        let group = format!("{group}-{}", topics.len());
        let lag = watched(&lags(fresh(&address)), watch(&group, &topics));
        let message = lag.failure();
        assert!(message.contains(&group) && message.contains("check its name"), "{message}");
        commit(&address, &group, &topic, &[(0, 0)]);
        assert_eq!(lag.until(Result::is_ok), zero());
    }
}

#[test]
fn a_missing_topic_is_told_in_words_until_it_appears() {
    let Some(address) = kafka() else { return };
    let (group, topic, missing) = (fresh_topic(), fresh_topic(), fresh_topic());
    create(&address, &topic, 1);
    commit(&address, &group, &topic, &[(0, 0)]);
    let lag = watched(&lags(fresh(&address)), watch(&group, &[&topic, &missing]));
    let message = lag.failure();
    assert!([&group, &missing].iter().all(|name| message.contains(*name)), "{message}");
    assert!(message.contains("no such topic") && !message.contains(&format!("`{topic}`")), "{message}");
    assert!(lag.next(3).iter().all(Result::is_err), "it goes on trying, and saying so");
    create(&address, &missing, 2);
    append(&address, &missing, &[3, 4], Duration::ZERO);
    lag.until_behind(7);
}

#[test]
fn whoever_may_not_see_the_group_or_a_topic_is_told_which_right_is_missing() {
    let (Some(address), Some(open)) = (listener("LOGIN"), kafka()) else { return };
    let (group, mine, hidden) = (fresh_topic(), fresh_topic(), format!("hidden-{}", fresh_topic()));
    for topic in [&mine, &hidden] {
        create(&open, topic, 1);
        append(&open, topic, &[5], Duration::ZERO);
        commit(&open, &group, topic, &[(0, 2)]);
    }
    let denied = |who: &str, topics: &[&str], right: String| {
        let message = watched(&lags(user(&address, who)), watch(&group, topics)).failure();
        assert!(message.contains(&right) && !message.contains("-secret"), "{message}");
    };
    denied("uses", &[&mine], format!("Describe on the group `{group}`"));
    denied("watches", &[&mine, &hidden], format!("Describe on the topic `{hidden}`"));
    watched(&lags(user(&address, "ann")), watch(&group, &[])).until_behind(6);
    // Describe is enough; of topics that are not named, those are left out that may not be seen.
    let watches = lags(user(&address, "watches"));
    watched(&watches, watch(&group, &[&mine])).until_behind(3);
    watched(&watches, watch(&group, &[])).until_behind(3);
    let shown = format!("{watches:?}");
    assert!(!shown.contains("secret"), "{shown}");
}

#[test]
fn a_wrong_password_names_the_properties_and_not_the_password() {
    let Some(address) = listener("LOGIN") else { return };
    let settings = user(&address, "ann").with("sasl.password", "wr0ngpass");
    let message = watched(&lags(settings), watch("t-g", &["t-t"])).failure();
    assert!(message.contains("`sasl.password`") && !message.contains("wr0ngpass"), "{message}");
}

fn ends_within_about_a_second(guard: LagGuard) {
    let start = Instant::now();
    drop(guard);
    assert!(start.elapsed() < Duration::from_millis(1500), "{:?}", start.elapsed());
}

#[test]
fn without_a_broker_it_says_so_and_ends_all_the_same() {
    let lag = watched(&lags(KafkaSettings::new("127.0.0.1:1")), watch("readers", &[]));
    // While it asks in vain.
    std::thread::sleep(Duration::from_millis(300));
    ends_within_about_a_second(lag.guard);
    // A broker that takes connections and never answers.
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let silent = KafkaSettings::new(&listener.local_addr().unwrap().to_string());
    let lag = watched(&lags(silent), watch("readers", &[]));
    std::thread::sleep(Duration::from_millis(300));
    ends_within_about_a_second(lag.guard);
    let lag = watched(&lags(KafkaSettings::new("127.0.0.1:1")), watch("readers", &[]));
    let message = lag.failure();
    assert!(["readers", "127.0.0.1:1", "refused"].iter().all(|part| message.contains(part)), "{message}");
    ends_within_about_a_second(lag.guard);
}

#[test]
fn dropping_the_guard_ends_the_watch_and_closing_the_log_does_not() {
    let Some(address) = kafka() else { return };
    let (group, topic) = (fresh_topic(), fresh_topic());
    create(&address, &topic, 1);
    commit(&address, &group, &topic, &[(0, 0)]);
    let mut log = User::open(fresh(&address)).log;
    let lag = watched(&log.lag_source().unwrap(), watch(&group, &[&topic]));
    lag.next(1);
    log.close(Duration::from_secs(5));
    drop(log);
    assert_eq!(lag.next(2), [zero(), zero()]);
    ends_within_about_a_second(lag.guard);
    while lag.reports.try_recv().is_ok() {}
    // The thread let go of the report.
    assert_eq!(lag.reports.recv_timeout(5 * OFTEN), Err(RecvTimeoutError::Disconnected));
}

#[test]
fn a_report_may_end_its_own_watch() {
    let Some(address) = kafka() else { return };
    let (hand, taken) = unbounded::<LagGuard>();
    let (sender, reports) = unbounded();
    let report = Box::new(move |report| {
        drop(taken.recv_timeout(PATIENCE));
        let _ = sender.send(report);
    });
    let guard = lags(fresh(&address)).watch(watch(&fresh_topic(), &[]), report).unwrap();
    hand.send(guard).unwrap();
    assert!(reports.recv_timeout(PATIENCE).is_ok());
    assert_eq!(reports.recv_timeout(PATIENCE), Err(RecvTimeoutError::Disconnected));
}

#[test]
fn a_watch_that_cannot_work_is_refused_at_once() {
    let lags = lags(KafkaSettings::new("127.0.0.1:1"));
    let wide: Vec<String> = (0..65).map(|i| i.to_string()).collect();
    let good = watch("g", &["t"]);
    for wrong in [
        Watch { group: String::new(), ..good.clone() },
        Watch { group: "g".repeat(256), ..good.clone() },
        Watch { topics: wide, ..good.clone() },
        Watch { topics: vec!["a/b".into()], ..good.clone() },
        Watch { every: Duration::from_millis(99), ..good.clone() },
        Watch { every: Duration::from_secs(3601), ..good.clone() },
        Watch { older_than: vec![Duration::ZERO; 5], ..good.clone() },
    ] {
        let refusal = lags.watch(wrong.clone(), Box::new(|_| {})).map(drop).expect_err("refused");
        assert_eq!(refusal.kind(), ErrorKind::Argument, "{wrong:?}");
    }
    lags.watch(good, Box::new(|_| {})).map(drop).expect("possible");
}
