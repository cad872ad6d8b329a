//! What an HTTP server tells its clients of a limit: the values of three header fields, as text.
//!
//! `RateLimit-Policy: "orders";q=100;w=60` is the rule, `RateLimit: "orders";r=50;t=30` where the client stands,
//! `Retry-After: 30` when to come back after a refusal. The values of several limits are joined with `, `.
//!
//! Seconds are whole and rounded up: no client is told a faster rule or an earlier time than is true. Numbers end at
//! 999,999,999,999,999, the largest integer of a structured field. Cost: one small allocation for each value.
//!
//! Source: draft-ietf-httpapi-ratelimit-headers-11 (2026), structured fields RFC 9651, `Retry-After` RFC 9110.

use super::units::{mul_div, Nanos, SECOND};
use std::fmt::Write;

/// The field that carries [`Fields::policy`].
pub const POLICY: &str = "RateLimit-Policy";
/// The field that carries [`Fields::limit`].
pub const LIMIT: &str = "RateLimit";
/// The field that carries [`Fields::retry_after`].
pub const RETRY_AFTER: &str = "Retry-After";

/// RFC 9651, 3.3.1: fifteen digits.
const INTEGER_MAX: u64 = 999_999_999_999_999;

/// A limit and where one client stands with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quota<'a> {
    /// Name of the limit.
    pub name: &'a str,
    /// Permits in ..
    pub permits: u64,
    /// .. each period.
    pub period: Nanos,
    /// Whole permits that are left.
    pub remaining: u64,
    /// After a refusal, when it is worth asking again; [`Nanos::NEVER`] if it never is. `None` after a grant.
    pub retry_after: Option<Nanos>,
}

/// Values of the header fields.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fields {
    /// Of [`POLICY`].
    pub policy: String,
    /// Of [`LIMIT`].
    pub limit: String,
    /// Of [`RETRY_AFTER`]; `None`: leave the field out.
    pub retry_after: Option<String>,
}

/// The values for one limit.
///
/// The time in `limit` is, after a refusal, that of `retry_after`, so that the two never contradict; after a grant it
/// is how long the rule takes to give back what is missing, and left out if nothing is.
pub fn fields(quota: &Quota<'_>) -> Fields {
    let name = string(quota.name);
    let retry_after = quota.retry_after.filter(|wait| *wait != Nanos::NEVER).map(seconds);
    let missing = quota.permits.saturating_sub(quota.remaining);
    let refill = Nanos(mul_div(quota.period.0, missing, quota.permits));
    let until = if quota.retry_after.is_some() { retry_after } else { Some(seconds(refill)).filter(|_| missing > 0) };
    let until = until.map_or(String::new(), |seconds| format!(";t={seconds}"));
    Fields {
        policy: format!("{name};q={};w={}", integer(quota.permits), seconds(quota.period).max(1)),
        limit: format!("{name};r={}{until}", integer(quota.remaining)),
        retry_after: retry_after.map(|seconds| seconds.to_string()),
    }
}

/// The same as lines of an HTTP header, each `Name: value` and CRLF.
pub fn lines(quota: &Quota<'_>) -> String {
    let fields = fields(quota);
    let mut lines = format!("{POLICY}: {}\r\n{LIMIT}: {}\r\n", fields.policy, fields.limit);
    if let Some(retry_after) = fields.retry_after {
        let _ = write!(lines, "{RETRY_AFTER}: {retry_after}\r\n");
    }
    lines
}

fn integer(number: u64) -> u64 {
    number.min(INTEGER_MAX)
}

fn seconds(time: Nanos) -> u64 {
    time.0.div_ceil(SECOND)
}

/// `text` as a string of a structured field. These hold printable ASCII alone: any other byte becomes `%` and two
/// hexadecimal digits, so that no name breaks out of the header.
fn string(text: &str) -> String {
    let mut quoted = String::from('"');
    for byte in text.bytes() {
        match byte {
            b'"' | b'\\' => quoted.extend(['\\', char::from(byte)]),
            b' '..=b'~' => quoted.push(char::from(byte)),
            _ => {
                let _ = write!(quoted, "%{byte:02X}");
            }
        }
    }
    quoted.push('"');
    quoted
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const QUOTA: Quota<'_> =
        Quota { name: "orders", permits: 100, period: Nanos::from_secs(60), remaining: 50, retry_after: None };

    #[test]
    fn a_grant_tells_the_rule_what_is_left_and_how_long_until_it_is_whole_again() {
        let fields = fields(&QUOTA);
        assert_eq!(fields.policy, r#""orders";q=100;w=60"#);
        assert_eq!(fields.limit, r#""orders";r=50;t=30"#);
        assert_eq!(fields.retry_after, None);
    }

    #[test]
    fn a_refusal_tells_when_to_come_back_the_same_time_in_both_fields() {
        let wait = Nanos(2 * SECOND + 1);
        let fields = fields(&Quota { remaining: 0, retry_after: Some(wait), ..QUOTA });
        assert_eq!(fields.limit, r#""orders";r=0;t=3"#);
        assert_eq!(fields.retry_after.as_deref(), Some("3"), "rounded up");
    }

    #[test]
    fn lines_are_ready_to_be_sent_and_a_grant_has_no_retry_after() {
        let lines = lines(&Quota { retry_after: Some(Nanos(SECOND)), ..QUOTA });
        assert!(lines.starts_with("RateLimit-Policy: \"orders\";q=100;w=60\r\nRateLimit: "));
        assert!(lines.ends_with("\r\nRetry-After: 1\r\n"));
        assert_eq!(super::lines(&QUOTA).matches("\r\n").count(), 2);
    }

    #[test]
    fn whole_seconds_are_not_rounded_and_a_wait_of_nothing_is_0() {
        let retry_after = |wait| fields(&Quota { retry_after: Some(wait), ..QUOTA }).retry_after;
        assert_eq!(retry_after(Nanos(2 * SECOND)).as_deref(), Some("2"));
        assert_eq!(retry_after(Nanos(1)).as_deref(), Some("1"));
        assert_eq!(retry_after(Nanos::ZERO).as_deref(), Some("0"));
    }

    #[test]
    fn who_can_never_succeed_is_told_no_time() {
        let fields = fields(&Quota { retry_after: Some(Nanos::NEVER), ..QUOTA });
        assert_eq!((fields.limit.as_str(), fields.retry_after), (r#""orders";r=50"#, None));
    }

    #[test]
    fn where_nothing_is_missing_there_is_no_time_to_wait() {
        assert_eq!(fields(&Quota { remaining: 100, ..QUOTA }).limit, r#""orders";r=100"#);
        assert_eq!(fields(&Quota { remaining: 250, ..QUOTA }).limit, r#""orders";r=250"#, "a burst above the rate");
        assert_eq!(fields(&Quota { remaining: 99, ..QUOTA }).limit, r#""orders";r=99;t=1"#, "0.6 s, rounded up");
    }

    #[test]
    fn a_window_below_a_second_is_told_as_the_slower_second() {
        assert!(fields(&Quota { period: Nanos(SECOND / 2), ..QUOTA }).policy.ends_with("q=100;w=1"));
        assert!(fields(&Quota { period: Nanos(3 * SECOND / 2), ..QUOTA }).policy.ends_with("q=100;w=2"));
        assert!(fields(&Quota { period: Nanos::ZERO, ..QUOTA }).policy.ends_with("q=100;w=1"), "never 0");
    }

    #[test]
    fn numbers_end_where_structured_fields_end() {
        let fields = fields(&Quota { permits: u64::MAX, remaining: u64::MAX, ..QUOTA });
        assert_eq!(fields.policy, r#""orders";q=999999999999999;w=60"#);
        assert_eq!(fields.limit, r#""orders";r=999999999999999"#);
    }

    #[test]
    fn quotes_and_backslashes_of_a_name_are_escaped_and_what_is_not_ascii_is_encoded() {
        let policy = |name| fields(&Quota { name, ..QUOTA }).policy;
        assert!(policy(r#"a"b\c d~"#).starts_with(r#""a\"b\\c d~";q="#));
        assert!(policy("\u{e9}\r\n\x7f\0").starts_with(r#""%C3%A9%0D%0A%7F%00";q="#));
        assert!(policy("").starts_with(r#""";q="#));
    }

    proptest! {
        /// RFC 9651, 4.2.5, read from the other side.
        #[test]
        fn no_name_breaks_out_of_its_string(name: String, permits: u64, period: u64, remaining: u64, wait: Option<u64>) {
            let period = Nanos(period);
            let fields = fields(&Quota { name: &name, permits, period, remaining, retry_after: wait.map(Nanos) });
            for value in [&fields.policy, &fields.limit] {
                let mut chars = value.strip_prefix('"').unwrap().chars();
                loop {
                    match chars.next().unwrap() {
                        '"' => break,
                        '\\' => prop_assert!(matches!(chars.next(), Some('"' | '\\'))),
                        char => prop_assert!((' '..='~').contains(&char)),
                    }
                }
                let rest = chars.as_str();
                prop_assert!(rest.chars().all(|c| c.is_ascii_digit() || ";=qwrt".contains(c)), "{rest}");
                prop_assert!(rest.split(['=', ';']).all(|part| part.len() <= 15), "{rest}");
            }
        }
    }
}
