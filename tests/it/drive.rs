//! One writer in the hands of a test: records in memory → engine → the real lake, epoch by epoch, in one thread, so that
//! what happens does not depend on how threads run. And what every lake must hold in the end.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use arrow::array::AsArray;
use futures::TryStreamExt;
use futures::future::LocalBoxFuture;
use keytrail::engine::{Engine, EvidenceEpoch};
use keytrail::lake::{
    Demands, InputRange, Integrity, Lake, LakeError, Manifest, Place, Secret, states_between,
    verify_at,
};
use keytrail::model::RawRecord;
use object_store::memory::InMemory;
use object_store::path::Path as ObjectPath;
use object_store::{ObjectStore, ObjectStoreExt};
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

use super::estate;

/// Where lakes in memory are.
pub(super) const ROOT: &str = "memory:///lake";

/// Rows that every run must end with: sorted digests by table.
pub(super) type Rows = BTreeMap<String, Vec<Vec<u8>>>;

/// The lake in `store`.
pub(super) fn place(store: Arc<dyn ObjectStore>) -> Place {
    Place::new(store, ROOT.parse().unwrap()).unwrap()
}

/// Nobody else writes: what is not sealed now will not be.
const AT_ONCE: Demands = Demands {
    key: None,
    anchor: None,
    patience: Duration::ZERO,
};

/// A key that is kept elsewhere: a store that is no folder has no place for one.
pub(super) fn integrity() -> Integrity {
    Integrity {
        signing_key: Some(Secret::new("ab".repeat(32))),
        ..Integrity::default()
    }
}

/// What a source holds.
pub(super) struct Input {
    pub(super) records: Vec<RawRecord>,
    lanes: Vec<Arc<str>>,
}

impl Input {
    /// A small estate's logs in two partitions.
    pub(super) fn new(seed: u64, identities: u32, days: u32, events: u64) -> Self {
        let records = estate::records(estate::estate(seed, identities, days, events), 2);
        let lanes = estate::lanes(&records);
        Self { records, lanes }
    }
}

/// Reads from where the ledger of `place` ends to the end of `input`, in epochs of as many records as `size` says, and
/// tells `committed` of each epoch that is true.
pub(super) fn run<'a>(
    place: &'a Place,
    input: &'a Input,
    size: impl FnMut() -> usize + 'a,
    committed: impl FnMut(i64) + 'a,
) -> LocalBoxFuture<'a, Result<(), LakeError>> {
    // An engine is large, and so is a future that holds one.
    Box::pin(run_here(place, input, size, committed))
}

async fn run_here(
    place: &Place,
    input: &Input,
    mut size: impl FnMut() -> usize,
    mut committed: impl FnMut(i64),
) -> Result<(), LakeError> {
    let (mut lake, recovered) = Box::pin(Lake::open_at(place, "main", 2, &integrity())).await?;
    let mut engine = Engine::new(estate::params());
    for state in states_between(place, 0, recovered.epoch)? {
        engine.recall(&state.bytes).unwrap();
    }
    let mut next: BTreeMap<(String, i32), i64> = recovered
        .positions
        .iter()
        .map(|((_, topic, partition), read)| ((topic.clone(), *partition), read.next))
        .collect();
    let from = |next: &BTreeMap<(String, i32), i64>, record: &RawRecord| {
        let position = &record.position;
        let key = (position.topic.to_string(), position.partition);
        next.get(&key).copied().unwrap_or(0)
    };
    let rest: Vec<&RawRecord> = input
        .records
        .iter()
        .filter(|record| record.position.offset >= from(&next, record))
        .collect();
    let mut rest = rest.as_slice();
    while !rest.is_empty() {
        let (now, later) = rest.split_at(size().clamp(1, rest.len()));
        rest = later;
        let now: Vec<RawRecord> = now.iter().map(|record| (*record).clone()).collect();
        let (epoch, snapshot) = lake.next();
        let context = estate::context(epoch, &input.lanes, rest.is_empty());
        let evidence = estate::apply(&mut engine, &now, &context);
        let inputs = ranges(&now, &mut next, &evidence);
        let state = engine.state(snapshot);
        let pending = lake.stage(evidence, Vec::new(), &context, inputs, (&state, snapshot))?;
        let manifest = Box::pin(lake.commit(pending)).await?;
        committed(manifest.epoch);
    }
    Ok(())
}

fn ranges(
    records: &[RawRecord],
    next: &mut BTreeMap<(String, i32), i64>,
    evidence: &EvidenceEpoch,
) -> Vec<InputRange> {
    let mut ranges: BTreeMap<(Arc<str>, i32), InputRange> = BTreeMap::new();
    for record in records {
        let position = &record.position;
        let key = (position.topic.clone(), position.partition);
        let begun = next
            .entry((position.topic.to_string(), position.partition))
            .or_default();
        let range = ranges.entry(key.clone()).or_insert_with(|| InputRange {
            cluster: "test".to_owned(),
            topic: position.topic.to_string(),
            partition: position.partition,
            from: *begun,
            to: *begun,
            bytes: 0,
            skipped: 0,
            gaps: Vec::new(),
            last_offset: None,
            last_record_sha256: None,
            counts: evidence
                .counts
                .partitions
                .get(&key)
                .cloned()
                .unwrap_or_default(),
        });
        range.bytes += record.bytes() as u64;
        range.to = position.offset + 1;
        *begun = range.to;
    }
    ranges.into_values().collect()
}

/// Every manifest of a lake, in order.
pub(super) async fn manifests(store: &dyn ObjectStore) -> Vec<Manifest> {
    let ledger = ObjectPath::from("lake/ledger");
    let listed = store.list_with_delimiter(Some(&ledger)).await.unwrap();
    let mut manifests = Vec::new();
    for object in listed.objects {
        let name = object.location.filename().unwrap();
        if name.starts_with("epoch-") && name.ends_with(".json") {
            let bytes = store.get(&object.location).await.unwrap();
            let bytes = bytes.bytes().await.unwrap();
            manifests.push(serde_json::from_slice::<Manifest>(&bytes).unwrap());
        }
    }
    manifests.sort_by_key(|manifest| manifest.epoch);
    manifests
}

/// The rows of a lake, by the files that its manifests name. Tables whose rows depend on where epochs were cut are left
/// out.
pub(super) async fn rows(store: &dyn ObjectStore) -> Rows {
    let mut rows = Rows::new();
    for manifest in manifests(store).await {
        for files in &manifest.tables {
            if ["epochs", "usage", "coverage"].contains(&files.table.as_str()) {
                continue;
            }
            let known = rows.entry(files.table.clone()).or_default();
            for file in &files.files {
                let path = format!("lake/tables/{}/{}", files.table, file.path);
                let bytes = store.get(&ObjectPath::from(path)).await.unwrap();
                known.extend(digests(bytes.bytes().await.unwrap()));
            }
        }
    }
    rows.values_mut().for_each(|digests| digests.sort());
    rows
}

fn digests(parquet: impl parquet::file::reader::ChunkReader + 'static) -> Vec<Vec<u8>> {
    let reader = ParquetRecordBatchReaderBuilder::try_new(parquet).unwrap();
    let mask = ProjectionMask::columns(reader.parquet_schema(), ["_row_digest"]);
    let reader = reader.with_projection(mask).build().unwrap();
    let mut digests = Vec::new();
    for batch in reader {
        let batch = batch.unwrap();
        let column = batch.column(0).as_binary::<i32>();
        digests.extend(column.iter().map(|digest| digest.unwrap().to_vec()));
    }
    digests
}

/// What the lake in `store` says against it: problems that `verify` finds, and rows that differ from `expected`.
pub(super) async fn complaints(store: &Arc<InMemory>, expected: &Rows) -> Vec<String> {
    let mut complaints = problems(store).await;
    let found = rows(store.as_ref()).await;
    for table in expected.keys().chain(found.keys()) {
        let (wanted, found) = (expected.get(table), found.get(table));
        if wanted != found {
            complaints.push(format!(
                "{table} has {} rows, not the {} of a run without faults",
                found.map_or(0, Vec::len),
                wanted.map_or(0, Vec::len)
            ));
        }
    }
    complaints.dedup();
    complaints
}

/// What `verify` finds.
pub(super) async fn problems(store: &Arc<InMemory>) -> Vec<String> {
    let store: Arc<dyn ObjectStore> = Arc::clone(store) as _;
    match Box::pin(verify_at(&place(store), &AT_ONCE)).await {
        Ok(verdict) => verdict
            .problems
            .iter()
            .map(|problem| format!("{}: {}", problem.what, problem.reason))
            .collect(),
        Err(error) => vec![error.to_string()],
    }
}

/// A lake in memory whose tables are created and which holds no epoch: most of a run's time would go into making it.
pub(super) async fn empty() -> InMemory {
    let store = Arc::new(InMemory::new());
    let place = place(Arc::clone(&store) as _);
    let integrity = integrity();
    let opened = Lake::open_at(&place, "main", 2, &integrity);
    let (lake, _) = Box::pin(opened).await.unwrap();
    drop(lake);
    store.fork()
}

/// The rows of `input` in a lake that met no fault, in epochs of `size` records.
pub(super) async fn without_faults(empty: &InMemory, input: &Input, size: usize) -> Rows {
    let store = Arc::new(empty.fork());
    let place = place(Arc::clone(&store) as _);
    run(&place, input, || size, |_| ()).await.unwrap();
    assert_eq!(problems(&store).await, [""; 0]);
    rows(store.as_ref()).await
}

/// Every file of `store` with its content.
pub(super) async fn files(store: &dyn ObjectStore) -> BTreeMap<String, Vec<u8>> {
    let mut files = BTreeMap::new();
    let listed: Vec<_> = store.list(None).try_collect().await.unwrap();
    for object in listed {
        let bytes = store.get(&object.location).await.unwrap();
        files.insert(
            object.location.to_string(),
            bytes.bytes().await.unwrap().to_vec(),
        );
    }
    files
}
