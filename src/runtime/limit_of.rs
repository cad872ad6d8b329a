//! A limiter's limit, shared by all its keys.

use crate::core::limit::{Limit, Outage};

/// The limit of one tier, and whose it is.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct LimitOf {
    pub(super) limiter: String,
    pub(super) limit: Limit,
    pub(super) outage: Outage,
    pub(super) limit_id: u128,
}
