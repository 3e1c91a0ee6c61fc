//! One shared copy of every id: the same few thousand stand in millions of rows.

use foldhash::quality::RandomState;
use hashbrown::HashSet;

use crate::model::Uid;

/// How many ids are kept shared. Beyond it the set starts afresh: ids already handed out stay valid, only the sharing
/// of memory is lost for a while.
const SHARED_MAX: usize = 1_000_000;

/// The shared copies, and room to build an id in.
#[derive(Debug, Default)]
pub(super) struct Names {
    /// Looked up only, so its order shows nowhere.
    shared: HashSet<Uid, RandomState>,
    scratch: String,
}

impl Names {
    /// The shared copy of `uid`.
    pub(super) fn intern(&mut self, uid: &str) -> Uid {
        if let Some(shared) = self.shared.get(uid) {
            return shared.clone();
        }
        if self.shared.len() >= SHARED_MAX {
            self.shared.clear();
        }
        let shared: Uid = Uid::from(uid);
        self.shared.insert(shared.clone());
        shared
    }

    /// The shared copy of the concatenation of `parts`, built without an allocation when it is known.
    pub(super) fn join(&mut self, parts: &[&str]) -> Uid {
        let mut scratch = std::mem::take(&mut self.scratch);
        scratch.clear();
        for part in parts {
            scratch.push_str(part);
        }
        let uid = self.intern(&scratch);
        self.scratch = scratch;
        uid
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_ids_share_one_copy() {
        let mut names = Names::default();
        let first = names.intern("aws:role:AROAEXAMPLE");
        let second = names.join(&["aws:role:", "AROAEXAMPLE"]);
        assert!(Uid::ptr_eq(&first, &second));
    }
}
