//! What people stated, on its way from the inbox into an epoch.

use std::sync::Arc;

use super::{PipelineError, Settings, run};
use crate::ingest::{Cutter, Nothing, Positions, RawEpoch, RecordSource, Stop};
use crate::lake::{Inbox, LakeError};
use crate::live::View;
use crate::telemetry::Event;

/// Takes what people stated into the lake of `settings`, which has no other writer, and reads nothing.
pub fn take_statements(settings: &Settings) -> Result<(), PipelineError> {
    let settings = Settings {
        finite: false,
        upkeep: None,
        rejects: None,
        ..settings.clone()
    };
    let nothing = |_: &Positions| Ok(Box::new(Nothing) as Box<dyn RecordSource>);
    let view = Arc::new(View::default());
    run(&settings, nothing, &view, &Stop::default()).map(drop)
}

/// The next epoch, with what people stated until it was cut. An inbox that cannot be read holds no evidence up: what waits
/// there waits for the next epoch.
pub(super) fn cut_one(cutter: &mut Cutter, inbox: &mut Inbox) -> Result<RawEpoch, PipelineError> {
    let mut epoch = cutter.cut()?;
    match inbox.take() {
        Ok(taken) => {
            for (name, reason) in &taken.refused {
                Event::StatementRefused { name, reason }.tell();
            }
            epoch.statements = taken.statements;
            taken
                .trouble
                .into_iter()
                .for_each(|error| trouble(Err(error)));
        }
        Err(error) => trouble(Err(error)),
    }
    Ok(epoch)
}

/// Says what is wrong with the inbox, if anything is.
pub(super) fn trouble(result: Result<(), LakeError>) {
    if let Err(error) = result {
        let reason = error.to_string();
        Event::InboxTrouble { reason: &reason }.tell();
    }
}
