//! The `tidegate` program: a worker that spends a limit, the checker of what workers admitted, and the demonstration.

#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a program, not the library")]

mod check;
mod demo;
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
#[command(
    name = "tidegate",
    version,
    max_term_width = 100,
    after_help = "Start with `tidegate demo`: it needs nothing."
)]
struct Program {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    Demo(demo::DemoArgs),
    Check(check::CheckArgs),
    Worker(worker::WorkerArgs),
    #[command(hide = true)]
    MockBroker(demo::MockBrokerArgs),
}

fn main() -> ExitCode {
    let done = match Program::parse().command {
        Command::Demo(args) => demo::run(&args),
        Command::Check(args) => check::run(&args),
        Command::Worker(args) => worker::run(&args),
        Command::MockBroker(args) => demo::run_mock_broker(&args),
    };
    done.unwrap_or_else(|failure| {
        eprintln!("tidegate: {failure}");
        failure.exit_code()
    })
}
