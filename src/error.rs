//! What went wrong, as a status that programs act on and words that people act on.

use std::fmt;

/// What kind of failure it is. The numbers are those of the C ABI and never change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(i32)]
pub enum ErrorKind {
    /// An argument was null, out of range, not UTF-8, or of the wrong size.
    Argument = -1,
    /// A property is unknown, has no such value, or contradicts another.
    Config = -2,
    /// The runtime was closed.
    Closed = -3,
    /// Kafka refused or could not be reached.
    Storage = -4,
    /// A named maximum was hit.
    Capacity = -5,
    /// The key was released, or its runtime closed.
    Stale = -6,
    /// The process was forked: open a runtime of its own in the child.
    Forked = -7,
    /// A panic inside Tidegate; the runtime refuses every further call.
    Bug = -100,
}

/// A failure with its story.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Error {
    kind: ErrorKind,
    message: String,
}

impl Error {
    /// A failure of `kind`; `message` names the property or argument and the cure.
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Error {
        Error { kind, message: message.into() }
    }

    /// What kind of failure it is.
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// What happened and what to do about it.
    pub fn message(&self) -> &str {
        &self.message
    }

    /// Whether the same call may succeed later without anything being changed.
    pub fn is_retriable(&self) -> bool {
        self.kind == ErrorKind::Storage
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Error {}
