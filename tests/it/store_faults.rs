//! One fault of the store at a time, at the place where it hurts most, against the real lake: whatever the store does,
//! each epoch is there exactly once.
//!
//! Each test names its row of the fault matrix.

use std::sync::Arc;

use keytrail::lake::{Lake, LakeError};
use object_store::memory::InMemory;
use object_store::path::Path as ObjectPath;
use object_store::{ObjectStore, ObjectStoreExt};

use super::drive::{
    Input, Rows, complaints, empty, integrity, manifests, place, run, without_faults,
};
use super::faulty::{Fault, Faulty, Op};
use super::wait;

/// Records in an epoch.
const SIZE: usize = 40;

const MANIFEST: &str = "ledger/epoch-000000000002.json";
const COMMIT: &str = "activity/_delta_log/00000000000000000002.json";

fn input() -> Input {
    Input::new(31, 8, 3, 120)
}

/// An input, the rows that a run without faults makes of it, and a lake without an epoch.
async fn fresh() -> (Input, Rows, Arc<InMemory>) {
    let (input, empty) = (input(), empty().await);
    let expected = without_faults(&empty, &input, SIZE).await;
    (input, expected, Arc::new(empty.fork()))
}

/// A plan that does `fault` to the first operation of kind `op` at `path`.
fn once(op: Op, path: &'static str, fault: Fault) -> impl Fn(Op, &str, u32) -> Fault {
    move |asked, at, count| {
        if asked == op && at.ends_with(path) && count == 0 {
            fault
        } else {
            Fault::None
        }
    }
}

/// Runs with `plan` from nothing to the end. The run must succeed in spite of it, and leave what a run without faults
/// leaves.
fn survives(plan: impl Fn(Op, &str, u32) -> Fault + Send + Sync + 'static) -> Vec<String> {
    wait(async {
        let (input, expected, inner) = fresh().await;
        let store = Faulty::new(&inner, plan);
        let mut committed = Vec::new();
        run(
            &place(store.clone()),
            &input,
            || SIZE,
            |epoch| committed.push(epoch),
        )
        .await
        .unwrap();
        assert_eq!(complaints(&inner, &expected).await, [""; 0]);
        assert_eq!(
            committed,
            (1..=committed.len() as i64).collect::<Vec<_>>(),
            "each epoch once"
        );
        store.happened()
    })
}

#[test]
fn b1_a_manifest_whose_answer_was_lost_is_one_epoch() {
    let happened = survives(once(Op::Create, MANIFEST, Fault::Lost));
    assert_eq!(happened, [format!("Lost Create lake/{MANIFEST}")]);
}

#[test]
fn b1_a_table_commit_whose_answer_was_lost_doubles_no_row() {
    let happened = survives(once(Op::Create, COMMIT, Fault::Lost));
    assert_eq!(happened, [format!("Lost Create lake/tables/{COMMIT}")]);
}

#[test]
fn b2_a_manifest_that_meets_itself_is_known_as_our_own() {
    let happened = survives(once(Op::Create, MANIFEST, Fault::MetItself));
    assert_eq!(happened.len(), 1);
}

#[test]
fn b2_a_table_commit_that_meets_itself_doubles_no_row() {
    let happened = survives(once(Op::Create, COMMIT, Fault::MetItself));
    assert_eq!(happened.len(), 1);
}

#[test]
fn b3_a_commit_that_fails_after_it_landed_doubles_no_row() {
    let happened = survives(|op, path, count| match op {
        Op::Create if path.ends_with(COMMIT) => Fault::Lost,
        // What the library does after a commit fails too, and so does the first look.
        Op::Get if path.ends_with(COMMIT) && count < 2 => Fault::Refused,
        Op::List if path.ends_with("activity/_delta_log") && count == 3 => Fault::Refused,
        _ => Fault::None,
    });
    assert!(happened.len() >= 2, "{happened:?}");
}

#[test]
fn a_list_that_is_old_hides_no_epoch() {
    let happened = survives(|op, path, _| match op {
        Op::Create if path.contains("/ledger/") || path.contains("/_delta_log/") => {
            Fault::ListedLate
        }
        _ => Fault::None,
    });
    assert!(happened.len() > 10, "{happened:?}");
    // A restart on top of a list that does not show the last manifests yet.
    wait(async {
        let (input, expected, inner) = fresh().await;
        let stopped = Faulty::new(&inner, |op, path, _| match op {
            Op::Create if path.ends_with("ledger/epoch-000000000002.json") => Fault::CrashAfter,
            _ => Fault::None,
        });
        run(&place(stopped), &input, || SIZE, |_| ())
            .await
            .unwrap_err();
        let late = Faulty::new(&inner, |_, _, _| Fault::None);
        late.hide(&["lake/ledger/epoch-000000000002.json"]);
        run(&place(late), &input, || SIZE, |_| ()).await.unwrap();
        assert_eq!(complaints(&inner, &expected).await, [""; 0]);
    });
}

#[test]
fn b4_a_writer_that_was_overtaken_between_ledger_and_table_doubles_no_row() {
    wait(async {
        let (input, expected, inner) = fresh().await;
        let store = Faulty::new(&inner, |_, _, _| Fault::None);
        // While the first writer commits epoch 2 to a table, on a snapshot that it has checked, a second one starts and
        // rolls every table forward.
        let other: Arc<dyn ObjectStore> = inner.clone();
        let overtakes = move || {
            let (_, recovered) =
                wait(Lake::open_at(&place(other), "main", 2, &integrity())).unwrap();
            assert_eq!(recovered.epoch, 2);
            assert!(recovered.tables_moved > 0);
        };
        store.meanwhile(COMMIT, overtakes);
        run(&place(store), &input, || SIZE, |_| ()).await.unwrap();
        assert_eq!(complaints(&inner, &expected).await, [""; 0]);
    });
}

#[test]
fn b4_of_two_writers_of_one_epoch_the_second_stops() {
    wait(async {
        let (input, expected, inner) = fresh().await;
        let store = Faulty::new(&inner, |_, _, _| Fault::None);
        let other: Arc<dyn ObjectStore> = inner.clone();
        let work = move || {
            wait(run(&place(other), &self::input(), || SIZE, |_| ())).unwrap();
        };
        store.meanwhile(MANIFEST, work);
        let error = run(&place(store), &input, || SIZE, |_| ())
            .await
            .unwrap_err();
        assert!(matches!(error, LakeError::Fenced { epoch: 2 }), "{error}");
        assert!(!error.integrity());
        assert_eq!(complaints(&inner, &expected).await, [""; 0]);
    });
}

#[test]
fn b5_an_epoch_is_not_committed_again_when_the_ledger_has_lost_it() {
    wait(async {
        let (input, empty) = (input(), empty().await);
        let inner = Arc::new(empty.fork());
        run(&place(inner.clone()), &input, || SIZE, |_| ())
            .await
            .unwrap();
        let last = manifests(inner.as_ref()).await.len();
        for epoch in 2..=last {
            let path = format!("lake/ledger/epoch-{epoch:012}.json");
            inner.delete(&ObjectPath::from(path)).await.unwrap();
        }
        // The new epoch 2 would find its transaction in the tables already, and its rows would never be seen.
        let error = run(&place(inner.clone()), &input, || SIZE, |_| ())
            .await
            .unwrap_err();
        assert!(error.integrity(), "{error}");
        let text = format!("it stands at epoch {last}, and the ledger ends at 1");
        assert!(error.to_string().contains(&text), "{error}");
    });
}

/// A lake whose last epoch is in the ledger and in no table.
async fn decided_but_not_shown(input: &Input, empty: &InMemory) -> Arc<InMemory> {
    let inner = Arc::new(empty.fork());
    let stops = Faulty::new(&inner, once(Op::Create, MANIFEST, Fault::CrashAfter));
    run(&place(stops), input, || SIZE, |_| ())
        .await
        .unwrap_err();
    inner
}

#[test]
fn b12_a_staged_file_that_is_missing_or_altered_stops_the_roll_forward() {
    wait(async {
        let (input, empty) = (input(), empty().await);
        let expected = without_faults(&empty, &input, SIZE).await;
        let inner = decided_but_not_shown(&input, &empty).await;
        let manifest = manifests(inner.as_ref()).await.pop().unwrap();
        assert_eq!(manifest.epoch, 2);
        for files in &manifest.tables {
            let file = &files.files[0].path;
            let path = ObjectPath::from(format!("lake/tables/{}/{file}", files.table));
            let content = inner.get(&path).await.unwrap().bytes().await.unwrap();
            let mut altered = content.to_vec();
            altered[content.len() / 2] ^= 1;
            inner.put(&path, altered.into()).await.unwrap();
            refuses(&inner, file, "hash").await;
            inner.delete(&path).await.unwrap();
            refuses(&inner, file, "missing").await;
            inner.put(&path, content.into()).await.unwrap();
        }
        run(&place(inner.clone()), &input, || SIZE, |_| ())
            .await
            .unwrap();
        assert_eq!(complaints(&inner, &expected).await, [""; 0]);
    });
}

/// Opening the lake must stop at `file`, with `reason`, as damage.
async fn refuses(inner: &Arc<InMemory>, file: &str, reason: &str) {
    // On a copy: opening moves the tables before the one that stops it.
    let copy: Arc<dyn ObjectStore> = Arc::new(inner.fork());
    let error = Lake::open_at(&place(copy), "main", 2, &integrity())
        .await
        .unwrap_err();
    let text = error.to_string();
    assert!(text.contains(file) && text.contains(reason), "{text}");
    assert!(error.integrity(), "{text}");
}

#[test]
fn b10_a_store_that_ignores_the_condition_of_a_put_is_refused() {
    wait(async {
        let inner = Arc::new(InMemory::new());
        let store = Faulty::new(&inner, |_, _, _| Fault::None);
        store.ignore_conditions();
        let error = Lake::open_at(&place(store), "main", 2, &integrity())
            .await
            .unwrap_err();
        assert!(matches!(error, LakeError::Unfit { .. }), "{error}");
        assert!(error.to_string().contains("If-None-Match"), "{error}");
        let left = super::drive::files(inner.as_ref()).await;
        assert!(
            left.is_empty(),
            "nothing was begun there: {:?}",
            left.keys()
        );
    });
}
