//! All who answer for one key.

use super::native::{by_id, by_text, library};
use super::peers::{self, Limit};
use super::rounds::Contender;

/// Fresh buckets; the permits of a dry one are used up.
pub fn contenders(limit: Limit) -> Vec<Contender<'static>> {
    let library = library();
    let permits = limit.numbers().permits;
    let [held, idle] = ["held", "idle"].map(|how| library.limiter(&format!("{permits}, {how}"), limit));
    let text = "tenant-00000001";
    let (key, try_acquire, by_value) = (library.key(held, text), library.key_try_acquire, library.limiter_try_acquire);
    let (governor, safe) = (peers::governor(limit), peers::governor_safe(limit));
    let (leaky, unfair) = (peers::leaky(limit, true), peers::leaky(limit, false));
    let crab = peers::Crab::new(limit, 1);
    let contenders = vec![
        Contender::new("tidegate, by id", move |_| by_id(try_acquire, key)),
        Contender::new("tidegate, by text", move |_| by_text(by_value, idle, text)),
        Contender::new(peers::GOVERNOR, move |_| governor.check().is_ok()),
        Contender::new(peers::GOVERNOR_SAFE, move |_| safe.check().is_ok()),
        Contender::new(peers::LEAKY, move |_| leaky.try_acquire(1)),
        Contender::new(peers::LEAKY_UNFAIR, move |_| unfair.try_acquire(1)),
        Contender::new(peers::CRAB, move |_| crab.check(text)),
    ];
    if matches!(limit, Limit::Dry) {
        contenders.iter().for_each(|contender| contender.call(10));
    }
    contenders
}
