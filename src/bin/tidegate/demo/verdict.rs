//! The end of the demonstration, in plain words and as JSON.

use crate::check::{as_json, Finding};
use crate::text::{amount, nanos};
use serde_json::{json, Value};

/// A killed worker's share until others had it.
#[derive(Clone, Copy, Debug)]
pub struct Idle {
    pub seconds: f64,
    pub permits: f64,
}

pub fn words(finding: &Finding, idle: Option<Idle>) -> String {
    let (admitted, allowed) = (amount(finding.worst.admitted as f64), amount(finding.worst_allowed()));
    let bound = if finding.held() {
        format!(
            "The limit held: in every window of every length, at most burst + rate x length was admitted (worst window: \
             {admitted} of {allowed} allowed)."
        )
    } else {
        format!(
            "The limit was BROKEN: in a window of {}, {admitted} were admitted where burst + rate x length allows {allowed}.",
            nanos(finding.worst.length())
        )
    };
    let share = |permits: f64| permits / finding.ideal() * 100.0;
    let idle = idle.map_or(String::new(), |idle| {
        format!(
            " A killed worker's share lay idle for {:.1} s until the others had it: {:.1} % of the limit.",
            idle.seconds,
            share(idle.permits)
        )
    });
    format!("{bound} Use of the limit: {:.1} %.{idle}", share(finding.admitted as f64))
}

pub fn facts(finding: &Finding, idle: Option<Idle>, text: &str, interrupted: bool) -> Value {
    let mut facts = as_json(finding);
    facts["event"] = json!("verdict");
    facts["text"] = json!(text);
    facts["interrupted"] = json!(interrupted);
    facts["idle_after_kill_s"] = json!(idle.map(|idle| idle.seconds));
    facts["idle_after_kill_permits"] = json!(idle.map(|idle| idle.permits));
    facts
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::Admission;
    use std::io::Write;
    use tidegate::{Limit, Nanos};

    fn finding(permits: u64) -> Finding {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(&Admission { before: 5, after: 6, permits }.to_bytes()).unwrap();
        Finding::of(&[file.path()], &Limit::token_bucket(1, Nanos::from_secs(1), 2_000).unwrap()).unwrap()
    }

    #[test]
    fn a_limit_that_held_is_said_to_have_held() {
        let text = words(&finding(2_000), None);
        assert!(
            text.starts_with("The limit held: in every window") && text.contains("2,000 of 2,000 allowed"),
            "{text}"
        );
        assert!(text.ends_with("Use of the limit: 100.0 %."), "{text}");
    }

    #[test]
    fn a_limit_that_was_broken_is_said_to_have_been_broken() {
        let text = words(&finding(2_001), None);
        assert!(text.starts_with("The limit was BROKEN") && text.contains("2,001 were admitted"), "{text}");
        assert_eq!(facts(&finding(2_001), None, &text, false)["held"], json!(false));
    }

    #[test]
    fn what_a_kill_costs_is_told_apart() {
        let text = words(&finding(1_900), Some(Idle { seconds: 3.25, permits: 100.0 }));
        assert!(text.ends_with("lay idle for 3.2 s until the others had it: 5.0 % of the limit."), "{text}");
    }
}
