//! Upkeep between epochs: what is due is done in a thread of its own while epochs go on, and takes effect between two of
//! them. Trouble with it is told and stops nothing: evidence that comes in is worth more than files in good order.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;

use super::{PipelineError, Settings};
use crate::lake::{Act, Garbage, Lake, LakeError, Task, UpkeepParams};
use crate::model::Micros;
use crate::telemetry::Event;

/// How long after trouble it is looked again.
const LOOK_AFTER_TROUBLE: i64 = Micros::HOUR;

/// How often files are looked for that nobody needs.
const GARBAGE_EVERY: i64 = Micros::DAY;

type Running = JoinHandle<(Task, Result<bool, LakeError>)>;

/// Upkeep of one run.
#[derive(Debug)]
pub(super) struct Upkeep {
    params: Option<UpkeepParams>,
    running: Option<Running>,
    stop: Arc<AtomicBool>,
    next_look: Micros,
    next_garbage: Option<Micros>,
}

impl Upkeep {
    /// Nothing is done without `params`.
    pub(super) fn new(params: Option<UpkeepParams>) -> Self {
        Self {
            params,
            running: None,
            stop: Arc::default(),
            next_look: Micros::MIN,
            next_garbage: None,
        }
    }

    /// What can be done between two epochs without making the second wait: takes up what the thread has finished, or gives
    /// it something to do. `now` is when the epoch before was cut.
    pub(super) fn turn(&mut self, lake: &mut Lake, runtime: &tokio::runtime::Runtime, now: Micros) {
        let Some(params) = self.params else {
            return;
        };
        match runtime.block_on(lake.checkpoint(&params)) {
            Ok(None) => (),
            Ok(Some(table)) => Event::Checkpointed { table }.tell(),
            Err(error) => trouble("checkpoint", &error),
        }
        if let Err(error) = self.step(lake, runtime, &params, now) {
            trouble("upkeep", &error);
            self.next_look = now.plus(LOOK_AFTER_TROUBLE);
        }
    }

    fn step(
        &mut self,
        lake: &mut Lake,
        runtime: &tokio::runtime::Runtime,
        params: &UpkeepParams,
        now: Micros,
    ) -> Result<(), LakeError> {
        if let Some(running) = self.running.take() {
            if !running.is_finished() {
                self.running = Some(running);
                return Ok(());
            }
            let (task, done) = running
                .join()
                .unwrap_or_else(|panic| std::panic::resume_unwind(panic));
            if done? {
                let act = runtime.block_on(lake.finish_upkeep(task, now))?;
                Event::KeptUp {
                    kind: act.kind.name(),
                    table: act.table,
                    files_before: act.files_before,
                    files_after: act.files_after,
                    rows: act.rows,
                    lost: act.lost,
                }
                .tell();
            }
        }
        if now < self.next_look {
            return Ok(());
        }
        if let Some(mut task) = lake.plan_upkeep(params, now) {
            let stop = self.stop.clone();
            self.running = Some(std::thread::spawn(move || {
                let done = task.run(&stop);
                (task, done)
            }));
            return Ok(());
        }
        self.next_look = now.plus(params.look_every);
        // Not at once: a service that restarts often would look through all its files each time.
        let due = *self.next_garbage.get_or_insert(now.plus(Micros::HOUR));
        if now >= due {
            self.next_garbage = Some(now.plus(GARBAGE_EVERY));
            let garbage = lake.remove_garbage(params, now)?;
            Event::Swept {
                orphans: garbage.orphans,
                replaced: garbage.replaced,
                states: garbage.states,
                bytes: garbage.bytes,
            }
            .tell();
        }
        Ok(())
    }
}

impl Drop for Upkeep {
    /// What is not finished is given up, so that a stop does not wait for it.
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(running) = self.running.take() {
            // Whatever it came to, nothing of it is visible.
            drop(running.join());
        }
    }
}

fn trouble(what: &str, error: &LakeError) {
    let reason = error.to_string();
    Event::UpkeepTrouble {
        what,
        reason: &reason,
        integrity: error.integrity(),
    }
    .tell();
}

/// Does everything that is due in the lake of `settings` at once. Gives what was done, in order, what was removed, and whether
/// a removal of rows waits for the next epoch.
///
/// # Errors
///
/// What the lake cannot do: it is damaged, not reachable, or another writer has it.
pub fn keep_up_once(
    settings: &Settings,
    params: &UpkeepParams,
    now: Micros,
) -> Result<(Vec<Act>, Garbage, bool), PipelineError> {
    let runtime = super::runtime()?;
    let opened = Lake::open(
        &settings.lake,
        &settings.job,
        settings.snapshot_epochs,
        &settings.integrity,
    );
    let (mut lake, _) = runtime.block_on(opened)?;
    let stop = AtomicBool::new(false);
    let mut acts = Vec::new();
    while let Some(mut task) = lake.plan_upkeep(params, now) {
        task.run(&stop)?;
        let act = runtime.block_on(lake.finish_upkeep(task, now))?;
        let lost = act.lost;
        acts.push(act);
        if lost {
            break;
        }
    }
    while runtime.block_on(lake.checkpoint(params))?.is_some() {}
    let garbage = lake.remove_garbage(params, now)?;
    Ok((acts, garbage, lake.upkeep_waits()))
}
