//! Why a command did not do its work, and the exit code that says so.

use std::fmt;
use std::process::ExitCode;

/// What was asked for makes no sense: clap's own code for it.
const USAGE: u8 = 2;
/// It was a good question, but the machine did not play along.
const FAILED: u8 = 3;

#[derive(Debug)]
pub struct Failure {
    code: u8,
    message: String,
}

impl Failure {
    /// The arguments, or the files they name, are wrong.
    pub fn usage(message: impl Into<String>) -> Failure {
        Failure { code: USAGE, message: message.into() }
    }

    /// The work could not be done.
    pub fn failed(message: impl Into<String>) -> Failure {
        Failure { code: FAILED, message: message.into() }
    }

    pub fn exit_code(&self) -> ExitCode {
        ExitCode::from(self.code)
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl From<tidegate::Error> for Failure {
    fn from(why: tidegate::Error) -> Failure {
        match why.kind() {
            tidegate::ErrorKind::Argument | tidegate::ErrorKind::Config => Failure::usage(why.message()),
            _ => Failure::failed(why.message()),
        }
    }
}
