//! The reference pages say what the code does.

#[test]
fn the_reference_of_the_properties_is_the_one_in_the_code() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/reference/config.md");
    let page = format!(
        "# Properties\n\n\
         Printed from `src/config.rs`. Everything else is a property of librdkafka by its own name\n\
         (<https://github.com/confluentinc/librdkafka/blob/master/CONFIGURATION.md>) and passed through unchanged; those on\n\
         which exactness rests (`acks`, `enable.idempotence`, `auto.offset.reset`, ..) are refused with the reason.\n\n{}",
        tidegate::Config::reference()
    );
    if std::env::var_os("TIDEGATE_UPDATE_REFERENCE").is_some() {
        std::fs::create_dir_all(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/reference")).unwrap();
        std::fs::write(path, &page).unwrap();
    }
    let committed = std::fs::read_to_string(path).unwrap_or_default();
    assert!(
        committed == page,
        "docs/reference/config.md is out of date: TIDEGATE_UPDATE_REFERENCE=1 cargo test --test reference"
    );
}
