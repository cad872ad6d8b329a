//! One partition as a process follows it: an agent, and how far it has read. The model check has the same.

use tidegate::core::agent::Agent;

#[derive(Clone, Debug)]
pub struct Home {
    pub agent: Agent,
    pub read: usize,
}

impl AsRef<Agent> for Home {
    fn as_ref(&self) -> &Agent {
        &self.agent
    }
}

impl AsMut<Agent> for Home {
    fn as_mut(&mut self) -> &mut Agent {
        &mut self.agent
    }
}
