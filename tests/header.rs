//! The committed C header is the one that the sources say.

/// Rewrites the committed header instead of comparing it.
const UPDATE: &str = "TIDEGATE_UPDATE_HEADER";

#[test]
fn the_committed_header_is_the_generated_one() {
    let generated = include_str!(concat!(env!("OUT_DIR"), "/tidegate.h"));
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/include/tidegate.h");
    if std::env::var_os(UPDATE).is_some() {
        std::fs::write(path, generated).unwrap();
    }
    let committed = std::fs::read_to_string(path).unwrap_or_default();
    assert!(committed == generated, "include/tidegate.h is out of date: {UPDATE}=1 cargo test --test header");
}
