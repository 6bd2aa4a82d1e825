//! Rules of the protocol that tests can leave out, to see that the simulation notices. In production code there is one
//! value and every question is answered with no.

/// A rule that is left out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(
    not(any(test, feature = "testing")),
    expect(dead_code, unreachable_pub, reason = "only tests leave rules out, and name them")
)]
pub enum Mutant {
    /// None: the code as it is meant.
    None,
    /// A run that lost makes a later version of packs that are named after its own base.
    LoserRebases,
    /// A new version may refer to what its base does not retain.
    RevivesExpired,
    /// The sweeper marks what the latest version needs and forgets the other retained ones.
    MarksLatestOnly,
    /// The mark skips subtrees of equal digest, wherever they lie.
    MarksByDigest,
    /// A run takes over what a run on another base has done.
    ResumesAnyBase,
    /// The sweeper removes also what a run may still refer to.
    SweepsRunning,
}
