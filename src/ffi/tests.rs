//! What the boundary promises whatever C hands over. The rest of the ABI is tested from C (`tests/c`).

use super::boundary::boundary;
use super::status::{TIDEGATE_E_BUG, TIDEGATE_OK};

#[test]
fn a_panic_becomes_a_status_and_a_result_stays_a_result() {
    let quiet = std::panic::take_hook();
    std::panic::set_hook(Box::new(|_| {}));
    let status = boundary!(TIDEGATE_E_BUG, { panic!("on purpose") });
    std::panic::set_hook(quiet);
    assert_eq!(status, TIDEGATE_E_BUG);
    assert_eq!(boundary!(TIDEGATE_E_BUG, { TIDEGATE_OK }), TIDEGATE_OK);
}

#[test]
fn every_exported_function_goes_through_the_boundary() {
    let sources = [
        include_str!("clock.rs"),
        include_str!("config.rs"),
        include_str!("error.rs"),
        include_str!("events.rs"),
        include_str!("headers.rs"),
        include_str!("key.rs"),
        include_str!("limiter.rs"),
        include_str!("observe.rs"),
        include_str!("pacing.rs"),
        include_str!("runtime.rs"),
        include_str!("status.rs"),
        include_str!("text.rs"),
        include_str!("tickets.rs"),
        include_str!("tiers.rs"),
        include_str!("version.rs"),
    ];
    let mut exports = 0;
    for source in sources {
        for function in source.split("#[no_mangle]").skip(1) {
            let body = function.split("\n}\n").next().unwrap();
            assert!(body.contains("boundary!("), "no boundary in:{body}");
            exports += 1;
        }
    }
    assert!(exports >= 41, "only {exports} found: the test looks in the wrong place");
}
