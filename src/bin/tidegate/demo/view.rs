//! What there is to see at one moment, whatever it is drawn on.

use super::fleet::Fleet;
use super::worker::{Rates, State};
use crate::check::Finding;
use serde_json::{json, Value};

#[derive(Clone, Debug)]
pub struct Row {
    pub number: usize,
    pub state: State,
    pub share_rate: f64,
    pub rates: Rates,
    pub basis: String,
}

#[derive(Clone, Debug)]
pub struct View {
    /// Seconds since the start, and when it will be over.
    pub t: f64,
    pub end: Option<f64>,
    pub rate: f64,
    pub burst: u64,
    pub rows: Vec<Row>,
    pub fleet: Rates,
    pub broker: String,
    pub broker_running: bool,
    pub finding: Option<Finding>,
}

impl View {
    pub fn of(fleet: &Fleet, rate: u64, burst: u64, t: f64, end: Option<f64>, finding: Option<Finding>) -> View {
        let rows: Vec<Row> = fleet
            .workers
            .iter()
            .map(|worker| Row {
                number: worker.number,
                state: worker.state,
                share_rate: worker.share_rate,
                rates: worker.rates(),
                basis: worker.basis.replace('_', " "),
            })
            .collect();
        let broker = match fleet.broker_pid() {
            Some(pid) => format!("librdkafka's mock cluster (pid {pid})"),
            None => "Kafka".into(),
        };
        let total = |of: fn(&Rates) -> f64| rows.iter().map(|row| of(&row.rates)).sum();
        let fleet_rates = Rates {
            granted: total(|rates| rates.granted),
            denied: total(|rates| rates.denied),
            waited: total(|rates| rates.waited),
            records: total(|rates| rates.records),
        };
        View {
            t,
            end,
            rate: rate as f64,
            burst,
            rows,
            fleet: fleet_rates,
            broker,
            broker_running: fleet.broker.running,
            finding,
        }
    }

    /// The rates of all shares together.
    pub fn shared(&self) -> f64 {
        self.rows.iter().map(|row| row.share_rate).sum()
    }

    pub fn as_json(&self) -> Value {
        let rows: Vec<Value> = self.rows.iter().map(Row::as_json).collect();
        json!({
            "event": "second", "t": round(self.t), "admitted_per_s": round(self.fleet.granted), "limit_per_s": self.rate,
            "denied_per_s": round(self.fleet.denied), "waits_per_s": round(self.fleet.waited),
            "log_records_per_s": round(self.fleet.records), "broker_running": self.broker_running, "workers": rows,
            "worst_window": self.finding.as_ref().map(|finding| json!({
                "admitted": finding.worst.admitted as f64, "allowed": finding.worst_allowed(),
                "length_s": finding.worst.length() as f64 / 1e9, "excess": finding.excess,
            })),
        })
    }
}

impl Row {
    fn as_json(&self) -> Value {
        json!({
            "worker": self.number, "state": state_name(self.state), "share_per_s": round(self.share_rate),
            "admitted_per_s": round(self.rates.granted), "denied_per_s": round(self.rates.denied),
            "waits_per_s": round(self.rates.waited), "basis": self.basis,
        })
    }
}

pub fn state_name(state: State) -> &'static str {
    match state {
        State::Starting => "starting",
        State::Running => "running",
        State::Killed => "killed",
        State::Ended => "ended",
    }
}

fn round(number: f64) -> f64 {
    (number * 100.0).round() / 100.0
}
