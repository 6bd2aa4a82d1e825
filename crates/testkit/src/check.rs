//! The central check: over a history, a chain of incremental runs equals a run from scratch at every version.

use deltic_compiler::Task;
use deltic_core::{Grid, Name, Payload};

use crate::lab::{Lab, must};

/// The edits of one version.
pub type Step = Vec<Edit>;

/// One partition put or deleted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Edit {
    /// The input layer, `catalog/layer`.
    pub layer: String,
    /// The partition.
    pub name: Name,
    /// Its new content; `None` deletes it.
    pub payload: Option<Payload>,
}

/// Runs the tasks incrementally over the history on 1, 2 and 8 threads, the last with no memory for rows and with full stages
/// over five ranges of keys, and from scratch at every version; fails with the step and the first layer, table and key that
/// differ in outputs or state. A run over unchanged inputs must commit nothing and run nothing. On 2 threads everything is
/// compiled twice and must give the same results, and at the end everything published is verified.
///
/// Layers with tiles are tile layers, of the `here` grid if it has all these tiles. All other layers are generic.
pub fn check_incremental(tasks: &[Task], history: &[Step]) {
    let mut digests: Vec<Vec<String>> = Vec::new();
    for threads in [1, 2, 8] {
        let mut lab = Lab::new(tasks.to_vec());
        // In the grid of web maps if the other grid does not have all tiles.
        for grid in [Grid::Here, Grid::Mercator] {
            let has =
                |edit: &&Edit| edit.name.tile().is_some_and(|tile| grid == Grid::Here || !Grid::Here.is_on_earth(tile));
            for edit in history.iter().flatten().filter(has) {
                lab = lab.tiles(&edit.layer, grid);
            }
        }
        lab.threads(threads);
        if threads == 8 {
            lab.row_memory(0);
            lab.ranges(5);
        }
        lab.check_determinism(threads == 2);
        let mut chain = Vec::new();
        for (number, step) in history.iter().enumerate() {
            for Edit { layer, name, payload } in step {
                match payload {
                    Some(payload) => lab.put(layer, name, payload.clone()),
                    None => lab.delete(layer, name),
                }
            }
            must(lab.try_run(), &format!("step {number} on {threads} threads"));
            if let Err(difference) = lab.compare_with_scratch() {
                panic!("step {number} on {threads} threads: incremental differs from scratch: {difference}");
            }
            let again = lab.run();
            assert_eq!(again.log(), "", "step {number}: a run over unchanged inputs ran something");
            assert_eq!(again.report.version, None, "step {number}: a run over unchanged inputs made a version");
            let output = lab.output();
            chain.push(format!("{} {}", output.digest(), output.state_digest()));
        }
        if threads == 2 && !history.is_empty() {
            lab.assert_verified();
        }
        digests.push(chain);
    }
    assert!(digests.windows(2).all(|pair| pair[0] == pair[1]), "digests depend on the number of threads");
}
