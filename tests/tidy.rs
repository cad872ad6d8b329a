//! The walls between the layers stand.

#![allow(clippy::unwrap_used, reason = "a test fails where something is wrong")]

use std::path::{Path, PathBuf};

fn sources(folder: &str) -> Vec<(PathBuf, String)> {
    let mut found = Vec::new();
    let mut folders = vec![Path::new(env!("CARGO_MANIFEST_DIR")).join(folder)];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                found.push((path.clone(), std::fs::read_to_string(path).unwrap()));
            }
        }
    }
    assert!(!found.is_empty(), "{folder} holds no source: the test looks in the wrong place");
    found
}

/// Code before the tests of a file, without comments.
fn code(source: &str) -> String {
    let code = source.split("#[cfg(test)]").next().unwrap();
    code.lines().filter(|line| !line.trim_start().starts_with("//")).collect::<Vec<_>>().join("\n")
}

fn none_of(folder: &str, words: &[&str]) {
    for (path, source) in sources(folder) {
        let code = code(&source);
        for word in words {
            assert!(!code.contains(word), "{} uses `{word}`", path.display());
        }
    }
}

#[test]
fn core_knows_no_clock_thread_lock_io_float_or_hash_order() {
    let outside =
        ["std::time", "std::thread", "std::sync", "std::io", "std::fs", "std::net", "f32", "f64", "HashMap", "HashSet"];
    none_of("src/core", &outside);
    none_of(
        "src/core",
        &["crate::runtime", "crate::storage", "crate::ffi", "crate::error", "libc::", "unsafe {", "println!"],
    );
}

#[test]
fn runtime_knows_storage_only_as_a_trait_and_nothing_of_kafka_or_c() {
    none_of("src/runtime", &["storage::kafka", "storage::memory", "rdkafka", "crate::ffi", "extern crate"]);
}

#[test]
fn storage_knows_neither_the_protocol_nor_the_runtime() {
    none_of("src/storage", &["crate::runtime", "crate::core", "crate::ffi"]);
}

#[test]
fn only_the_ffi_and_the_fork_hooks_are_called_from_c() {
    for (path, source) in sources("src") {
        let allowed = ["src/ffi/", "src/runtime/fork.rs", "src/storage/kafka/"]
            .iter()
            .any(|part| path.to_string_lossy().contains(part));
        assert!(allowed || !code(&source).contains("extern \"C\""), "{}", path.display());
    }
}

#[test]
fn the_library_never_prints_or_exits() {
    for folder in ["src/core", "src/runtime", "src/storage", "src/ffi"] {
        none_of(folder, &["println!", "eprintln!", "dbg!", "process::exit", "todo!", "unimplemented!"]);
    }
}

#[test]
fn every_file_says_what_it_is() {
    for (path, source) in sources("src") {
        let tests = path.to_string_lossy().ends_with("tests.rs");
        assert!(tests || source.starts_with("//!"), "{} does not begin with a module comment", path.display());
    }
}
