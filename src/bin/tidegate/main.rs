//! The `tidegate` program: a worker that spends a limit, and the checker of what workers admitted.

mod check;
mod failure;
mod lifetime;
mod limit;
mod record;
mod text;
mod worker;

use clap::{Parser, Subcommand};
use std::process::ExitCode;

/// One rate limit shared by many processes through Kafka alone.
#[derive(Parser)]
#[command(name = "tidegate", version, max_term_width = 100)]
struct Program {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    Check(check::CheckArgs),
    Worker(worker::WorkerArgs),
}

fn main() -> ExitCode {
    let done = match Program::parse().command {
        Command::Check(args) => check::run(&args),
        Command::Worker(args) => worker::run(&args),
    };
    done.unwrap_or_else(|failure| {
        eprintln!("tidegate: {failure}");
        failure.exit_code()
    })
}
