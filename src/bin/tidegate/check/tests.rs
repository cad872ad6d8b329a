//! What the checker promises about files of admissions.

use super::*;
use crate::record::Admission;
use std::io::Write;
use tempfile::NamedTempFile;
use tidegate::{Limit, Nanos};

const MS: u64 = 1_000_000;

/// 1000 per second, burst 20.
fn limit() -> Limit {
    Limit::token_bucket(1_000, Nanos::from_secs(1), 20).unwrap()
}

fn file(admissions: &[(u64, u64, u64)]) -> NamedTempFile {
    let mut file = NamedTempFile::new().unwrap();
    for &(before, after, permits) in admissions {
        file.write_all(&Admission { before, after, permits }.to_bytes()).unwrap();
    }
    file.flush().unwrap();
    file
}

/// Two processes that take turns: the burst at once, then one permit a millisecond, for a second.
fn two_processes_within_the_limit() -> [Vec<(u64, u64, u64)>; 2] {
    let start = 5_000 * MS;
    let mut turns = [vec![(start, start + 100, 10)], vec![(start + 50, start + 90, 10)]];
    for i in 1..=1_000 {
        // Decided at the full millisecond after the last, recorded as a little before to a little after.
        let at = start + 100 + i * MS;
        turns[i as usize % 2].push((at - 30, at + 30, 1));
    }
    turns
}

fn finding(files: &[NamedTempFile]) -> Finding {
    let paths: Vec<_> = files.iter().map(NamedTempFile::path).collect();
    Finding::of(&paths, &limit()).unwrap()
}

#[test]
fn processes_that_use_the_whole_limit_together_are_within_it() {
    let found = finding(&two_processes_within_the_limit().map(|records| file(&records)));
    assert!(found.held(), "{found:?}");
    assert_eq!((found.admitted, found.excess), (1_020, 0.0));
    assert!((found.utilisation() - 1.0).abs() < 1e-3, "{}", found.utilisation());
}

#[test]
fn a_planted_excess_of_one_permit_is_found() {
    let mut records = two_processes_within_the_limit();
    let (at, after, _) = records[0][200];
    records[0].insert(200, (at, after, 1));
    let found = finding(&records.map(|records| file(&records)));
    assert!(!found.held());
    assert!((0.99..=1.0).contains(&found.excess), "{}", found.excess);
    assert!(found.excess <= found.excess_if_before.min(found.excess_if_after));
}

#[test]
fn each_file_alone_being_within_the_limit_proves_nothing() {
    let records = vec![(0, 0, 20)];
    assert!(finding(&[file(&records)]).held());
    let found = finding(&[file(&records), file(&records)]);
    assert_eq!(found.excess, 20.0);
}

#[test]
fn the_order_of_files_and_of_records_does_not_matter() {
    let mut records = two_processes_within_the_limit();
    records[1].insert(100, (5_500 * MS, 5_500 * MS + 1, 3));
    let tidy = finding(&records.clone().map(|records| file(&records)));
    records.reverse();
    records.iter_mut().for_each(|records| records.reverse());
    let shuffled = finding(&records.map(|records| file(&records)));
    assert!(!tidy.held());
    assert_eq!((tidy.worst, tidy.excess), (shuffled.worst, shuffled.excess));
    assert_eq!(tidy.excess_if_before, shuffled.excess_if_before);
}

#[test]
fn half_a_record_at_the_end_is_left_out_and_told() {
    let mut torn = file(&[(1, 2, 5)]);
    torn.write_all(&[9; 13]).unwrap();
    torn.flush().unwrap();
    let found = finding(&[torn]);
    assert_eq!((found.admitted, found.torn), (5, 1));
    assert!(as_text(&found, 1).contains("torn records"));
}

#[test]
fn decisions_that_may_have_been_taken_in_time_are_no_excess() {
    // 25 at one moment, if all had been taken at the last; but five of them may have been taken 5 ms earlier.
    let found = finding(&[file(&[(MS, 6 * MS, 5), (6 * MS, 6 * MS, 20)])]);
    assert!(found.held() && found.excess_if_after == 5.0, "{found:?}");
    assert_eq!(found.interval_longest, 5 * MS);
}

#[test]
fn a_file_that_is_none_of_ours_is_refused_with_its_name() {
    let wrong = file(&[(2, 1, 1)]);
    let error = Finding::of(&[wrong.path()], &limit()).unwrap_err().to_string();
    assert!(error.contains(&wrong.path().display().to_string()) && error.contains("24 bytes"), "{error}");
    assert!(Finding::of(&["/no/such/file"], &limit()).unwrap_err().to_string().contains("/no/such/file"));
}

#[test]
fn files_without_admissions_say_so() {
    let found = finding(&[file(&[])]);
    assert!(found.held() && as_text(&found, 1).starts_with("Nothing was admitted"));
}

#[test]
fn a_broken_limit_is_said_in_plain_words_and_as_json() {
    let found = finding(&[file(&[(7 * MS, 7 * MS, 21)])]);
    let text = as_text(&found, 1);
    assert!(
        text.starts_with("The limit was BROKEN: 1 permit too many") && text.contains("21 admitted of 20 allowed"),
        "{text}"
    );
    let json = as_json(&found);
    assert_eq!((json["held"].as_bool(), json["excess"].as_f64()), (Some(false), Some(1.0)));
    assert_eq!(json["worst_window"]["allowed"].as_f64(), Some(20.0));
}
