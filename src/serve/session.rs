//! The lake as one connection sees it: as of the last epoch, but within a transaction always as of the same.

use std::sync::Arc;
use std::time::{Duration, Instant};

use datafusion_pg_catalog::pg_catalog::context::EmptyContextProvider;
use datafusion_pg_catalog::setup_pg_catalog;

use super::Role;
use super::functions::functions;
use crate::lake::{self, Place};
use crate::query::{Access, CATALOG, QueryError, Session};

/// How often it is looked whether there is a newer epoch.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// A session and when it was last known to be the newest.
pub(super) struct Fresh {
    session: Arc<Session>,
    looked: Instant,
}

/// The session in which a statement is answered: `held` unless there is a newer epoch and the connection may see it.
pub(super) async fn current(
    held: &mut Option<Fresh>,
    place: &Place,
    (role, memory_max): (Role, usize),
    stays: bool,
) -> Result<Arc<Session>, QueryError> {
    if let Some(fresh) = held.as_mut() {
        let recent = stays || fresh.looked.elapsed() < LOOK_EVERY;
        if recent || !newer(place, &fresh.session).await? {
            if !recent {
                fresh.looked = Instant::now();
            }
            return Ok(Arc::clone(&fresh.session));
        }
    }
    let access = Access {
        memory_max,
        hidden: role.hidden(),
    };
    let session = Session::open_for(place, access).await?;
    setup_pg_catalog(session.context(), CATALOG, EmptyContextProvider).map_err(|error| *error)?;
    functions()
        .into_iter()
        .for_each(|function| session.context().register_udf(function));
    let session = Arc::new(session);
    *held = Some(Fresh {
        session: Arc::clone(&session),
        looked: Instant::now(),
    });
    Ok(session)
}

async fn newer(place: &Place, session: &Session) -> Result<bool, QueryError> {
    let place = place.clone();
    let last = tokio::task::spawn_blocking(move || lake::last_epoch(&place));
    let last = last
        .await
        .map_err(|error| QueryError::Write(error.into()))??;
    Ok(last > session.epoch())
}
