//! What `tidegate demo` and `tidegate check` promise to those who run them.

#![allow(clippy::unwrap_used, reason = "a test fails where something is wrong")]

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, ExitStatus, Stdio};

fn tidegate(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tidegate"));
    command.args(arguments).env_remove("NO_COLOR").stdin(Stdio::null());
    command
}

fn run(command: &mut Command) -> (ExitStatus, String, String) {
    let output = command.output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status, text(output.stdout), text(output.stderr))
}

/// Runs a demonstration with a temporary folder of its own, which must be empty afterwards.
fn demo(arguments: &[&str]) -> (ExitStatus, String, String) {
    let folder = tempfile::tempdir().unwrap();
    let result = run(tidegate(arguments).env("TMPDIR", folder.path()));
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0, "files were left");
    result
}

#[test]
fn the_limit_holds_through_a_kill_and_a_stopped_broker_and_the_demo_says_so() {
    let (status, out, errors) = demo(&["demo", "--seconds", "8", "--json"]);
    assert_eq!(status.code(), Some(0), "{out}{errors}");
    let lines: Vec<serde_json::Value> = out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let notes: Vec<&str> = lines.iter().filter_map(|line| line["what"].as_str()).collect();
    for note in ["killed", "share_taken_over", "returned", "share_returned", "broker_stopped", "broker_started"] {
        assert!(notes.contains(&note), "{note} is missing in {notes:?}");
    }
    let verdict = lines.last().unwrap();
    assert_eq!((verdict["event"].as_str(), verdict["held"].as_bool()), (Some("verdict"), Some(true)), "{verdict}");
    assert_eq!(verdict["excess"].as_f64(), Some(0.0));
    assert!(verdict["text"].as_str().unwrap().starts_with("The limit held"), "{verdict}");
    // What the kill cost is no fault; the rest must have been used, even on a busy machine.
    let use_of_limit = verdict["admitted"].as_f64().unwrap() + verdict["idle_after_kill_permits"].as_f64().unwrap();
    assert!(use_of_limit >= 0.9 * verdict["ideal"].as_f64().unwrap(), "{verdict}");
}

#[test]
fn without_a_terminal_there_are_lines_and_no_escape_codes() {
    let (status, out, errors) = demo(&["demo", "--seconds", "5", "--no-faults", "--processes", "2", "--rate", "500"]);
    assert_eq!(status.code(), Some(0), "{out}{errors}");
    assert!(!out.contains('\x1b') && !out.contains("killed"), "{out}");
    assert!(out.contains("shares 250 250") && out.contains("The limit held"), "{out}");
}

#[test]
fn an_interrupted_demo_ends_its_children_and_still_judges() {
    let folder = tempfile::tempdir().unwrap();
    let mut child = tidegate(&["demo", "--json"]).env("TMPDIR", folder.path()).stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap);
    assert!(lines.any(|line| line.contains("\"shared\"")), "all workers share");
    let ours = format!("{}", folder.path().display());
    assert!(processes_with(&ours) > 0, "the workers record in the folder");
    Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap();
    let last = lines.last().unwrap();
    assert!(last.contains("\"interrupted\":true") && last.contains("\"held\":true"), "{last}");
    assert_eq!(child.wait().unwrap().code(), Some(130));
    assert_eq!(processes_with(&ours), 0, "children were left");
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0, "files were left");
}

/// Processes with `text` in their arguments.
fn processes_with(text: &str) -> usize {
    let arguments = |entry: std::io::Result<std::fs::DirEntry>| std::fs::read(entry.ok()?.path().join("cmdline")).ok();
    let all = std::fs::read_dir("/proc").unwrap().filter_map(arguments);
    all.filter(|arguments| String::from_utf8_lossy(arguments).contains(text)).count()
}

/// A file of admissions of one permit each, all at one moment.
fn record(path: &Path, admissions: u64) -> String {
    let mut file = std::fs::File::create(path).unwrap();
    for _ in 0..admissions {
        [1_000u64, 1_000, 1].iter().for_each(|number| file.write_all(&number.to_le_bytes()).unwrap());
    }
    path.display().to_string()
}

#[test]
fn one_permit_too_many_is_an_exit_code_and_words() {
    let folder = tempfile::tempdir().unwrap();
    let [a, b] = [(1, 5), (2, 6)].map(|(number, count)| record(&folder.path().join(format!("{number}.rec")), count));
    let check = |burst| run(&mut tidegate(&["check", &a, &b, "--permits", "10", "--burst", burst]));
    let (status, out, _) = check("11");
    assert!(status.code() == Some(0) && out.starts_with("The limit held"), "{out}");
    let (status, out, _) = check("10");
    assert!(status.code() == Some(1) && out.starts_with("The limit was BROKEN: 1 permit too many"), "{out}");
}

#[test]
fn bad_usage_is_told_on_standard_error_with_exit_code_2() {
    let cases: &[(&[&str], &str)] = &[
        (&["check", "/no/such.rec", "--permits", "1"], "/no/such.rec"),
        (&["check", "--permits", "1"], "<FILE>"),
        (&["worker", "--permits", "0", "--no-record"], "--permits"),
        (&["worker", "--permits", "1", "--no-record", "--set", "nonsense"], "NAME=VALUE"),
        (&["demo", "--seconds", "1"], "--seconds"),
        (&["demo", "--no-such"], "--no-such"),
    ];
    for (arguments, names) in cases {
        let (status, out, errors) = run(&mut tidegate(arguments));
        assert_eq!(status.code(), Some(2), "{arguments:?}: {out}{errors}");
        assert!(errors.contains(names), "{arguments:?}: {errors}");
    }
}
