//! The parts of a task that call user code.

use serde::Serialize;

/// The part of a task that failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Phase {
    /// Deciding whether an input is compiled.
    Filter,
    /// Mapping an input key to output keys.
    MapKey,
    /// The front-end.
    Front,
    /// The back-end.
    Back,
    /// The dependency graph.
    Graph,
}

impl std::fmt::Display for Phase {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Phase::Filter => "filter of",
            Phase::MapKey => "mapping the key of",
            Phase::Front => "front-end of",
            Phase::Back => "back-end of",
            Phase::Graph => "dependency graph of",
        })
    }
}

impl Phase {
    /// The phase as data has it.
    pub(crate) fn id(self) -> &'static str {
        match self {
            Phase::Filter => "filter",
            Phase::MapKey => "map-key",
            Phase::Front => "front",
            Phase::Back => "back",
            Phase::Graph => "graph",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn phases_have_one_name_as_data() {
        for phase in [Phase::Filter, Phase::MapKey, Phase::Front, Phase::Back, Phase::Graph] {
            assert_eq!(serde_json::to_value(phase).unwrap(), phase.id());
        }
    }
}
