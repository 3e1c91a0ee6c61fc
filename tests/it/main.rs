//! Everything that needs the shell, in one binary, so that it links once.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

#[path = "../support/broker.rs"]
mod broker;
#[path = "../support/estate.rs"]
mod estate;
#[cfg(feature = "sigma")]
#[path = "../support/plain_sigma.rs"]
mod plain_sigma;
#[path = "../support/proxy.rs"]
mod proxy;

mod chaos;
mod cli;
mod continuity;
mod drive;
mod enrich;
mod evidence;
mod faulty;
mod hostile;
mod ingest;
mod integrity;
mod investigate;
mod kafka;
mod lake;
mod pages;
#[cfg(feature = "postgres")]
mod postgres;
mod power_cut;
mod rejects;
mod reports;
mod reviews;
#[cfg(feature = "sigma")]
mod rules;
mod s3;
mod schemas;
mod simulation;
mod slt;
mod sql;
mod statements;
mod store_faults;
mod suppress;
mod tamper;
mod upkeep;

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::Arc;
use std::time::Duration;

use keytrail::config::Config;
use keytrail::ingest::{Files, Listing, RecordSource, Stop};
use keytrail::lake::Integrity;
use keytrail::live::View;
use keytrail::pipeline::{self, PipelineError, Settings};
use keytrail::simulate::Simulation;

/// As the program has it.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Writes an estate's messages as files below `folder`: a file an hour, a message a line.
fn write_estate(params: keytrail::simulate::Params, folder: &Path) -> keytrail::simulate::Totals {
    let mut simulation = Simulation::new(params);
    std::fs::create_dir_all(folder).unwrap();
    for (hour, batch) in simulation.by_ref().enumerate() {
        let mut lines = Vec::new();
        for message in batch.messages {
            lines.extend(message.payload);
            lines.push(b'\n');
        }
        std::fs::write(folder.join(format!("{hour:06}.ndjson")), lines).unwrap();
    }
    simulation.totals()
}

/// Settings of a finite run over files.
fn settings(lake: &Path, epoch_bytes: usize) -> Settings {
    let config = Config::default();
    Settings {
        lake: lake.to_owned(),
        job: "main".to_owned(),
        epoch_age: Duration::from_secs(600),
        epoch_bytes,
        snapshot_epochs: 4,
        integrity: Integrity::default(),
        lease: config.lake.lease.duration(),
        decode: config.decoding().unwrap(),
        engine: config
            .engine(config.identity.lateness_of_files(false))
            .unwrap(),
        upkeep: None,
        finite: true,
        rejects: None,
    }
}

/// Replays `from` into the lake of `settings`.
fn replay(settings: &Settings, from: &[PathBuf]) -> Result<Arc<View>, PipelineError> {
    let view = Arc::new(View::default());
    pipeline::run(
        settings,
        |positions| {
            let files = Files::new(Listing::of(from)?, positions.clone(), 16 << 20);
            Ok(Box::new(files) as Box<dyn RecordSource>)
        },
        &view,
        &Stop::default(),
    )?;
    Ok(view)
}

/// Runs the program itself, with no settings of whoever runs the tests.
fn keytrail(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_keytrail"))
        .args(arguments)
        .env_remove("KEYTRAIL_DATA")
        .env_remove("KEYTRAIL_CONFIG")
        .output()
        .unwrap()
}

/// Says aloud, past the test harness, that something cannot be tried here.
fn skip(what: &str) {
    let line = format!("SKIPPED: {what}\n");
    std::io::stderr().write_all(line.as_bytes()).unwrap();
}

/// Waits for what an async function gives.
fn wait<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap()
        .block_on(future)
}
