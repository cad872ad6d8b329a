//! The walkthrough in Rust prints what it does in every other language.

#[path = "walkthrough/walkthrough.rs"]
mod walkthrough;

#[test]
fn the_walkthrough_in_rust_prints_what_it_prints_in_every_language() -> std::io::Result<()> {
    let mut printed = Vec::new();
    walkthrough::walk(&mut printed)?;
    assert_eq!(String::from_utf8_lossy(&printed), include_str!("walkthrough/expected.txt"));
    Ok(())
}
