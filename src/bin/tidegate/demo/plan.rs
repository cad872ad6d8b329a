//! When what is done to the fleet, as parts of the time that the demonstration lasts.

use std::time::Duration;

/// The worker that is killed.
pub const VICTIM: usize = 2;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    Kill,
    Return,
    StopBroker,
    StartBroker,
}

/// Times count from when all workers share.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    pub length: Duration,
    /// The workers' time-to-live: short, so that one sees a killed worker's share return.
    pub ttl: Duration,
    pub steps: Vec<(Duration, Step)>,
}

impl Plan {
    /// `processes` share; `own_broker`: it may be stopped.
    pub fn new(seconds: u32, processes: u32, own_broker: bool, faults: bool) -> Plan {
        let length = Duration::from_secs(seconds.into());
        let ttl = (length / 10).clamp(Duration::from_millis(500), Duration::from_secs(3));
        let mut steps = Vec::new();
        if faults && processes > 1 {
            steps.push((length * 20 / 100, Step::Kill));
            // Late enough that the others have taken over what it had.
            steps.push((length * 20 / 100 + ttl * 2 + Duration::from_millis(500), Step::Return));
        }
        if faults && own_broker {
            let away = (length / 6).min(Duration::from_secs(5));
            steps.push((length * 65 / 100, Step::StopBroker));
            steps.push((length * 65 / 100 + away, Step::StartBroker));
        }
        Plan { length, ttl, steps }
    }

    /// How long the broker is away.
    pub fn outage(&self) -> Duration {
        let at = |wanted| self.steps.iter().find(|(_, step)| *step == wanted).map_or(Duration::ZERO, |(at, _)| *at);
        at(Step::StartBroker) - at(Step::StopBroker)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_step_comes_after_the_one_before_and_within_the_time() {
        for seconds in [5, 8, 30, 86_400] {
            let plan = Plan::new(seconds, 4, true, true);
            assert_eq!(plan.steps.len(), 4);
            assert!(plan.steps.windows(2).all(|pair| pair[0].0 < pair[1].0), "{plan:?}");
            assert!(plan.steps.iter().all(|(at, _)| *at < plan.length), "{plan:?}");
            assert!(
                plan.outage() > plan.ttl * 5 / 6 && plan.outage() <= Duration::from_secs(5).max(plan.ttl),
                "{plan:?}"
            );
        }
    }

    #[test]
    fn what_is_not_ours_or_not_wanted_is_not_touched() {
        let steps = |processes, own_broker, faults| Plan::new(30, processes, own_broker, faults).steps;
        assert_eq!(steps(4, true, false), []);
        assert!(steps(4, false, true).iter().all(|(_, step)| matches!(step, Step::Kill | Step::Return)));
        assert!(steps(1, true, true).iter().all(|(_, step)| matches!(step, Step::StopBroker | Step::StartBroker)));
    }
}
