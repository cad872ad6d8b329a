//! Limiters with several tiers: what they are made of, and which bucket of each a context means.

use super::decide::TIERS_MAX;
use super::inner::{check_value, NAME_MAX};
use super::limit_of::LimitOf;
use super::rule::Rule;
use crate::{Error, ErrorKind};
use std::collections::BTreeSet;
use std::sync::Arc;

/// Most dimensions of a context.
pub const SCOPES_MAX: usize = 64;
/// Most that a permit can cost.
pub const WEIGHT_MAX: u64 = 1_000_000;

/// One of the limits that a limiter with several tiers keeps at once.
#[derive(Clone, Debug)]
pub struct Tier {
    /// For people, and in decisions that it refuses.
    pub name: String,
    /// The dimension whose every value has a bucket of its own, such as `topic`; `None` = one bucket for everybody.
    pub scope: Option<String>,
    /// Rate and burst of each bucket, and what happens when they are reached.
    pub rule: Rule,
    /// What one permit costs here; 1 to [`WEIGHT_MAX`].
    pub weight: u64,
}

impl Tier {
    /// A tier with one bucket for everybody.
    pub fn new(name: &str, rule: impl Into<Rule>) -> Tier {
        Tier { name: name.to_owned(), scope: None, rule: rule.into(), weight: 1 }
    }

    /// The same with a bucket for each value of `dimension`.
    pub fn per(self, dimension: &str) -> Tier {
        Tier { scope: Some(dimension.to_owned()), ..self }
    }
}

/// A tier that is in force.
#[derive(Debug)]
pub(super) struct InForce {
    pub(super) name: String,
    pub(super) scope: Scope,
    pub(super) weight: u64,
    pub(super) limit: Arc<LimitOf>,
}

/// What of a context names a tier's bucket.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Scope {
    /// Nothing: there is one.
    Everybody,
    /// The value of this dimension.
    Of(String),
    /// The value itself: a plain limiter has a dimension without a name.
    Plain,
}

/// Checks what does not depend on anything else.
pub(super) fn check(tiers: &[Tier]) -> Result<(), Error> {
    let refuse = |text: String| Err(Error::new(ErrorKind::Argument, text));
    if tiers.is_empty() || tiers.len() > TIERS_MAX {
        return refuse(format!("a limiter has 1 to {TIERS_MAX} tiers, not {}", tiers.len()));
    }
    for (at, tier) in tiers.iter().enumerate() {
        let Tier { name, scope, weight, .. } = tier;
        if name.is_empty() || name.len() > NAME_MAX {
            return refuse(format!("the name of tier {at} has {} bytes; 1 to {NAME_MAX} are allowed", name.len()));
        }
        if tiers[..at].iter().any(|other| other.name == *name) {
            return refuse(format!("two tiers are named `{name}`; give each a name of its own"));
        }
        if scope.as_ref().is_some_and(|scope| scope.is_empty() || scope.len() > NAME_MAX) {
            return refuse(format!("the scope of tier `{name}` must have 1 to {NAME_MAX} bytes, or be left out"));
        }
        if !(1..=WEIGHT_MAX).contains(weight) {
            return refuse(format!("the weight of tier `{name}` is {weight}; 1 to {WEIGHT_MAX} are allowed"));
        }
    }
    Ok(())
}

/// The value of each tier's bucket in a context. A dimension that no tier asks for is left alone; one that a tier asks for
/// and the context lacks is an error, so that no limit is ever skipped in silence.
pub(super) fn values<'a>(tiers: &[InForce], context: &[(&str, &'a str)]) -> Result<[&'a str; TIERS_MAX], Error> {
    let refuse = |text: String| Err(Error::new(ErrorKind::Argument, text));
    if context.len() > SCOPES_MAX {
        return refuse(format!("the context has {} dimensions; at most {SCOPES_MAX} are allowed", context.len()));
    }
    if let Some((at, (twice, _))) =
        context.iter().enumerate().find(|(at, one)| context[..*at].iter().any(|other| other.0 == one.0))
    {
        return refuse(format!(
            "the context names `{twice}` twice (the second time at index {at}); which one is meant?"
        ));
    }
    if !context.is_empty() && tiers.iter().any(|tier| tier.scope == Scope::Plain) {
        return refuse("a limiter without tiers has no dimensions: give a value instead of a context".into());
    }
    let mut values = [""; TIERS_MAX];
    for (tier, place) in tiers.iter().zip(&mut values) {
        let Scope::Of(dimension) = &tier.scope else { continue };
        let Some((_, value)) = context.iter().find(|(name, _)| name == dimension) else {
            let has = context.iter().map(|(name, _)| format!("`{name}`")).collect::<Vec<_>>().join(", ");
            let has = if has.is_empty() { "it is empty".to_owned() } else { format!("it has {has}") };
            return refuse(format!(
                "tier `{}` needs the dimension `{dimension}`, which the context lacks: {has}",
                tier.name
            ));
        };
        check_value(value)?;
        *place = value;
    }
    Ok(values)
}

/// The context that one value means: that of the only dimension there is.
pub(super) fn only<'a>(tiers: &[InForce], value: &'a str) -> Result<[&'a str; TIERS_MAX], Error> {
    check_value(value)?;
    let dimensions =
        || tiers.iter().filter_map(|tier| if let Scope::Of(name) = &tier.scope { Some(name.as_str()) } else { None });
    let first = dimensions().next();
    if dimensions().any(|other| Some(other) != first) {
        let all: Vec<&str> = dimensions().collect::<BTreeSet<_>>().into_iter().collect();
        let text = format!("the tiers of this limiter have several scopes (`{}`): give a context", all.join("`, `"));
        return Err(Error::new(ErrorKind::Argument, text));
    }
    let everybody = tiers.iter().all(|tier| tier.scope == Scope::Everybody);
    if everybody && !value.is_empty() {
        let text = "no tier of this limiter has a scope: its only key is the one of the empty value";
        return Err(Error::new(ErrorKind::Argument, text));
    }
    let mut values = [""; TIERS_MAX];
    for (tier, place) in tiers.iter().zip(&mut values) {
        *place = if tier.scope == Scope::Everybody { "" } else { value };
    }
    Ok(values)
}
