//! `tidegate check`: whether what all processes admitted together stayed within the limit, in every window.

mod bound;
mod certain;
mod finding;
mod queue;
mod source;
mod spread;
#[cfg(test)]
mod tests;

pub use finding::Finding;

use crate::failure::Failure;
use crate::limit::LimitArgs;
use crate::text::{amount, nanos, thousands};
use clap::Args;
use serde_json::json;
use std::path::PathBuf;
use std::process::ExitCode;

/// Check the recorded admissions of all workers against their limit, in every window of every length
///
/// Reads the files that `tidegate worker --out FILE` (and the workers in other languages) wrote, merges them, and looks
/// for the window in which most was admitted beyond burst + rate x length. The arithmetic is exact.
///
/// A decision was taken at some moment between the two times that were recorded with it. The excess reported is the one
/// that is certain: no choice of these moments brings it below. Beside it stands what it would be if all decisions had
/// been taken as early, or as late, as possible.
///
/// Exit code: 0 the limit held, 1 it was broken, 2 bad arguments or files.
///
/// Example: tidegate check worker-*.rec --permits 1000 --period-ms 1000 --burst 2000
#[derive(Args)]
pub struct CheckArgs {
    /// Files of recorded admissions, one of each worker
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// One JSON object instead of text
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    limit: LimitArgs,
}

pub fn run(args: &CheckArgs) -> Result<ExitCode, Failure> {
    let finding = Finding::of(&args.files, &args.limit.limit()?)?;
    if args.json {
        println!("{}", as_json(&finding));
    } else {
        print!("{}", as_text(&finding, args.files.len()));
    }
    Ok(if finding.held() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

pub fn as_json(finding: &Finding) -> serde_json::Value {
    json!({
        "held": finding.held(),
        "excess": finding.excess,
        "excess_if_before": finding.excess_if_before,
        "excess_if_after": finding.excess_if_after,
        "admitted": finding.admitted,
        "admissions": finding.admissions,
        "seconds": finding.duration() as f64 / 1e9,
        "ideal": finding.ideal(),
        "utilisation": finding.utilisation(),
        "worst_window": {
            "start_ns": finding.worst.start,
            "length_ns": finding.worst.length(),
            "admitted": finding.worst.admitted as f64,
            "allowed": finding.worst_allowed(),
        },
        "uncertainty_max_ns": finding.interval_longest,
        "uncertainty_p99_ns": finding.interval_p99,
        "torn_files": finding.torn,
    })
}

fn as_text(finding: &Finding, files: usize) -> String {
    if finding.admissions == 0 {
        return format!("Nothing was admitted in {}.\n", crate::text::count(files, "file"));
    }
    let verdict = if finding.held() {
        "The limit held: in no window of any length was more admitted than burst + rate x length.".into()
    } else {
        let permits = if finding.excess == 1.0 { "permit" } else { "permits" };
        format!("The limit was BROKEN: {} {permits} too many in one window.", exact(finding.excess))
    };
    let worst = &finding.worst;
    let torn = match finding.torn {
        0 => String::new(),
        n => format!("torn records    {n} at the end of files: their writers were killed\n"),
    };
    format!(
        "{verdict}\n\n\
         worst window    {} admitted of {} allowed, {} long, {} after the first admission\n\
         excess          {} certain; {} if all decisions were taken as early as possible, {} as late as possible\n\
         uncertainty     of the moment of a decision: at most {}, 99 % within {}\n\
         admitted        {} permits in {} by {}\n\
         utilisation     {:.2} % of the {} that one ideal bucket would have admitted\n{torn}",
        thousands(clamp(worst.admitted)),
        amount(finding.worst_allowed()),
        nanos(worst.length()),
        nanos(worst.start - finding.first),
        exact(finding.excess),
        exact(finding.excess_if_before),
        exact(finding.excess_if_after),
        nanos(finding.interval_longest),
        nanos(finding.interval_p99),
        thousands(finding.admitted),
        nanos(finding.duration()),
        crate::text::count(files, "process file"),
        finding.utilisation() * 100.0,
        amount(finding.ideal()),
    )
}

/// However small, an excess is never shown as 0.
fn exact(permits: f64) -> String {
    match permits {
        0.0 => "0".into(),
        n if n < 0.001 => format!("{n:.1e}"),
        n if n < 1_000.0 => format!("{n:.3}").trim_end_matches('0').trim_end_matches('.').to_owned(),
        n => amount(n),
    }
}

fn clamp(wide: u128) -> u64 {
    u64::try_from(wide).unwrap_or(u64::MAX)
}
