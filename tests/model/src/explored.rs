//! What every world is to the checker: states that are told apart by one number, a model of a scenario that counts what was
//! seen, and promises that a state may have broken.

/// A promise that was broken, and how.
#[derive(Clone, Debug)]
pub struct Wrong<P> {
    pub promise: P,
    pub text: String,
}

/// In a module that has `Scenario`, `Seen`, `Action`, `State` with its `id` and `seal`, `promise`, and `Model::{begin, possible, act}`.
macro_rules! model {
    () => {
        /// A scenario, and what was seen while exploring it.
        pub struct Model {
            pub scenario: Scenario,
            seen: [std::sync::atomic::AtomicU64; Seen::ALL.len()],
        }

        impl Model {
            pub fn new(scenario: Scenario) -> Model {
                Model { scenario, seen: Default::default() }
            }

            pub fn saw(&self, seen: Seen) {
                self.seen[seen as usize].fetch_add(1, std::sync::atomic::Ordering::Relaxed);
            }

            pub fn times(&self, seen: Seen) -> u64 {
                self.seen[seen as usize].load(std::sync::atomic::Ordering::Relaxed)
            }
        }

        impl Hash for State {
            fn hash<H: Hasher>(&self, hasher: &mut H) {
                self.id.hash(hasher);
            }
        }

        impl PartialEq for State {
            fn eq(&self, other: &State) -> bool {
                self.id == other.id
            }
        }

        #[cfg(feature = "checker")]
        impl stateright::Model for Model {
            type State = State;
            type Action = Action;

            fn init_states(&self) -> Vec<State> {
                vec![self.begin()]
            }

            fn actions(&self, state: &State, actions: &mut Vec<Action>) {
                self.possible(state, actions);
            }

            fn next_state(&self, last: &State, action: Action) -> Option<State> {
                let mut state = last.clone();
                self.act(&mut state, action);
                state.seal();
                (state.id != last.id).then_some(state)
            }

            fn within_boundary(&self, state: &State) -> bool {
                state.under_way.len() <= self.scenario.under_way
            }

            fn properties(&self) -> Vec<stateright::Property<Model>> {
                promise::properties()
            }
        }
    };
}
pub(crate) use model;

/// In a module that has `Promise`, `Model` and `State`: each promise as the checker knows it.
macro_rules! promises {
    ($($promise:ident: $words:literal),* $(,)?) => {
        #[cfg(feature = "checker")]
        pub(crate) fn properties() -> Vec<stateright::Property<Model>> {
            fn kept(state: &State, promise: Promise) -> bool {
                state.wrong.as_ref().is_none_or(|wrong| wrong.promise != promise)
            }
            vec![$(stateright::Property::always($words, |_, state| kept(state, Promise::$promise))),*]
        }
    };
}
pub(crate) use promises;
