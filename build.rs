//! The C header, and how the shared library is linked.

use std::path::PathBuf;

/// The files that the header is made of, in the order in which a reader meets them.
const SOURCES: [&str; 15] = [
    "version", "status", "error", "text", "config", "runtime", "limiter", "key", "tickets", "tiers", "pacing",
    "events", "headers", "observe", "clock",
];

/// What only C has a use for.
const MACROS: &str = r#"
// A string literal as the two arguments that it is here: pointer and byte count.
#define TIDEGATE_STR(literal) ("" literal), (sizeof("" literal) - 1)

// Nanoseconds in a millisecond.
#define TIDEGATE_MS ((uint64_t)1000000)
"#;

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rerun-if-changed=cbindgen.toml");
    println!("cargo:rerun-if-changed=src/ffi");
    let root = PathBuf::from(variable("CARGO_MANIFEST_DIR"));
    let config = cbindgen::Config::from_file(root.join("cbindgen.toml")).expect("cbindgen.toml is readable");
    let mut builder = cbindgen::Builder::new().with_config(config);
    let version = ["MAJOR", "MINOR", "PATCH"].map(|part| {
        let number = variable(&format!("CARGO_PKG_VERSION_{part}"));
        format!("#define TIDEGATE_VERSION_{part} {number}")
    });
    builder = builder.with_after_include(format!("\n{}\n{MACROS}", version.join("\n")));
    for source in SOURCES {
        builder = builder.with_src(root.join("src/ffi").join(source).with_extension("rs"));
    }
    // Into the build folder; the committed copy in include/ is compared with it by tests/header.rs.
    let mut header = Vec::new();
    builder.generate().expect("the header can be generated").write(&mut header);
    let header = without_safety_sections(&String::from_utf8(header).expect("the header is UTF-8"));
    std::fs::write(PathBuf::from(variable("OUT_DIR")).join("tidegate.h"), header).expect("OUT_DIR is writable");

    if variable("CARGO_CFG_TARGET_OS") == "linux" {
        // The number of the ABI is in the name that programs are bound to, as TIDEGATE_ABI_VERSION.
        println!("cargo:rustc-cdylib-link-arg=-Wl,-soname,libtidegate.so.1");
        // Threads run in it: a host that unloads its plugins must not pull the code from under them.
        println!("cargo:rustc-cdylib-link-arg=-Wl,-z,nodelete");
    }
}

/// Rust asks every unsafe function for a section on safety; in C it would only repeat the rules at the top.
fn without_safety_sections(header: &str) -> String {
    let mut kept: Vec<&str> = Vec::new();
    let mut inside = false;
    for line in header.lines() {
        inside = (inside || line == "// # Safety") && line.starts_with("//");
        if line == "// # Safety" {
            while kept.last().is_some_and(|line| *line == "//") {
                kept.pop();
            }
        }
        if !inside {
            kept.push(line);
        }
    }
    kept.join("\n") + "\n"
}

fn variable(name: &str) -> String {
    std::env::var(name).unwrap_or_else(|_| panic!("cargo sets {name}"))
}
