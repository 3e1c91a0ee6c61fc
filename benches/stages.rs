//! Decode, the hundred rules of `tests/rules` and the engine alone, one thread each, in memory.
//!
//! `cargo bench --bench stages -- 200000` (events; 100,000 unless given).

use std::sync::Arc;
use std::time::Instant;

use keytrail::engine::{Engine, EpochContext};
use keytrail::model::{DecodedRecord, Micros};
use keytrail::{decode, simulate};

#[path = "../tests/support/estate.rs"]
mod estate;

fn main() {
    let events: u64 = std::env::args()
        .find_map(|argument| argument.parse().ok())
        .unwrap_or(100_000);
    let mut params: simulate::Params = estate::estate(1, 5_000, 3, events);
    params.records_per_object = 200;
    let records = estate::records(params, 1);
    let bytes: usize = records.iter().map(keytrail::model::RawRecord::bytes).sum();
    let decoding = estate::decoding();

    let begun = Instant::now();
    let opened: Vec<_> = records
        .iter()
        .map(|record| decode::open(record, &decoding))
        .collect();
    let opening = begun.elapsed();
    let begun = Instant::now();
    #[cfg_attr(not(feature = "sigma"), allow(unused_mut))]
    let mut decoded: Vec<DecodedRecord<'_>> = opened.iter().map(decode::Opened::decode).collect();
    let decode = begun.elapsed();
    let elements: usize = decoded.iter().map(|record| record.pieces.len()).sum();

    #[cfg(feature = "sigma")]
    let rules = hundred_rules(&mut decoded);

    let lanes: Vec<Arc<str>> = estate::lanes(&records);
    let mut engine = Engine::new(estate::params());
    let context = EpochContext {
        epoch: 1,
        now: estate::START.plus(400 * Micros::DAY),
        lanes,
        idle: Vec::new(),
        seal: true,
        statements: Vec::new(),
    };
    let begun = Instant::now();
    let evidence = engine.apply(&decoded, &context);
    let apply = begun.elapsed();
    let begun = Instant::now();
    let state = engine.state(true).to_bytes().len();
    let write = begun.elapsed();

    println!("{elements} records, {:.0} MB", bytes as f64 / 1e6);
    for (what, took) in [
        ("open (unwrap, hash, redact)", opening),
        ("decode", decode),
        ("engine, rows and digests included", apply),
    ] {
        let seconds = took.as_secs_f64();
        println!(
            "{what}: {:.0} events/s, {:.2} µs each",
            elements as f64 / seconds,
            seconds * 1e6 / elements as f64
        );
    }
    #[cfg(feature = "sigma")]
    for (count, hits, took) in rules {
        println!(
            "{count} Sigma rules with {hits} hits: {:.2} µs for each event",
            took.as_secs_f64() * 1e6 / elements as f64
        );
    }
    println!(
        "state: {state} bytes in {write:?}, {} identities, {} rows",
        engine.sizes()["identities"],
        evidence.tree_size
    );
}

/// Holds every record against the rules, takes the hits away again, and says how many there were and how long it took:
/// first those rules that name an event or a service, as nearly all public ones do, then the whole hundred.
#[cfg(feature = "sigma")]
fn hundred_rules(decoded: &mut [DecodedRecord<'_>]) -> [(usize, usize, std::time::Duration); 2] {
    let mut files = Vec::new();
    let folder = std::fs::read_dir("tests/rules/hundred").expect("it runs in the project's folder");
    for entry in folder {
        let path = entry.expect("its entries can be read").path();
        files.push(keytrail::rules::RuleFile {
            name: path.display().to_string(),
            text: std::fs::read_to_string(&path).expect("a rule is a text"),
        });
    }
    let naming = |file: &&keytrail::rules::RuleFile| {
        let names = ["eventName:", "eventSource:", "operationName:"];
        names.iter().any(|name| file.text.contains(name))
    };
    let some: Vec<_> = files.iter().filter(naming).cloned().collect();
    [some, files].map(|files| {
        let rules = keytrail::rules::RuleSet::compile(&files).rules;
        let begun = Instant::now();
        keytrail::detect::rules::read(&rules, decoded);
        let took = begun.elapsed();
        let pieces = decoded.iter_mut().flat_map(|record| &mut record.pieces);
        let hits = pieces.map(|piece| std::mem::take(&mut piece.hits).len());
        let hits = hits.sum();
        library(&files, decoded);
        (rules.len(), hits, took)
    })
}

/// The library's own engine over the same records and rules, for comparison: it parses every record once.
#[cfg(feature = "sigma")]
fn library(files: &[keytrail::rules::RuleFile], decoded: &[DecodedRecord<'_>]) {
    let mut engine = rsigma_eval::Engine::new();
    for file in files {
        let parsed = rsigma_parser::parse_sigma_yaml(&file.text).expect("the rules are sound");
        engine.add_collection(&parsed).expect("the rules are sound");
    }
    let source = |product: &str, service: &str| rsigma_parser::LogSource {
        product: Some(product.to_owned()),
        service: Some(service.to_owned()),
        ..rsigma_parser::LogSource::default()
    };
    let sources: std::collections::BTreeMap<&str, _> = [
        ("cloudtrail", source("aws", "cloudtrail")),
        ("azure_activity", source("azure", "activitylogs")),
        ("entra_audit", source("azure", "auditlogs")),
        ("entra_signin", source("azure", "signinlogs")),
        (
            "graph_activity",
            source("azure", "microsoftgraphactivitylogs"),
        ),
    ]
    .into();
    let (mut hits, mut events) = (0, 0);
    let begun = Instant::now();
    for piece in decoded.iter().flat_map(|record| &record.pieces) {
        let keytrail::model::Decoded::Event(event) = &piece.decoded else {
            continue;
        };
        let json: serde_json::Value = serde_json::from_str(piece.text).expect("it was decoded");
        let view = rsigma_eval::event::JsonEvent::borrow(&json);
        if let Some(source) = sources.get(event.source.name()) {
            hits += engine.evaluate_with_logsource(&view, source).len();
        }
        events += 1;
    }
    println!(
        "the library's engine with {} rules, {hits} hits: {:.2} µs for each event",
        files.len(),
        begun.elapsed().as_secs_f64() * 1e6 / f64::from(events)
    );
}
