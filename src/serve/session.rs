//! The lake as one connection sees it: as of the last epoch, but within a transaction always as of the same.

use std::sync::Arc;
use std::time::{Duration, Instant};

use datafusion::error::DataFusionError;
use datafusion_pg_catalog::pg_catalog::context::EmptyContextProvider;
use datafusion_pg_catalog::setup_pg_catalog;
use tokio::runtime::Handle;
use tokio::task::JoinError;

use super::functions::functions;
use crate::lake::{self, Place};
use crate::query::{Access, CATALOG, QueryError, Session};

/// How often it is looked whether there is a newer epoch.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// A session and when it was last known to be the newest.
struct Fresh {
    session: Arc<Session>,
    looked: Instant,
}

/// What one connection sees.
#[derive(Default)]
pub(super) struct Sessions {
    newest: Option<Fresh>,
    transaction: bool,
    /// Whether the transaction has read: what it read it reads again.
    pinned: bool,
}

impl Sessions {
    /// A transaction begins.
    pub(super) const fn begin(&mut self) {
        self.transaction = true;
    }

    /// It ends.
    pub(super) const fn end(&mut self) {
        self.transaction = false;
        self.pinned = false;
    }

    /// The session in which a statement is answered: of the last epoch, or of the one that the transaction has read.
    pub(super) async fn current(
        &mut self,
        queries: &Handle,
        place: &Place,
        access: Access,
    ) -> Result<Arc<Session>, QueryError> {
        let pinned = std::mem::replace(&mut self.pinned, self.transaction);
        let looked = Instant::now();
        if let Some(fresh) = &mut self.newest {
            if pinned || fresh.looked.elapsed() < LOOK_EVERY {
                return Ok(Arc::clone(&fresh.session));
            }
            if !newer(place, &fresh.session).await? {
                fresh.looked = looked;
                return Ok(Arc::clone(&fresh.session));
            }
        }
        let opened = queries.spawn(open(place.clone(), access)).await;
        let session = Arc::new(opened.map_err(broken)??);
        self.newest = Some(Fresh {
            session: Arc::clone(&session),
            looked,
        });
        Ok(session)
    }
}

async fn open(place: Place, access: Access) -> Result<Session, QueryError> {
    let session = Session::open_for(&place, access).await?;
    setup_pg_catalog(session.context(), CATALOG, EmptyContextProvider).map_err(|error| *error)?;
    for function in functions() {
        session.context().register_udf(function);
    }
    Ok(session)
}

async fn newer(place: &Place, session: &Session) -> Result<bool, QueryError> {
    let place = place.clone();
    let last = tokio::task::spawn_blocking(move || lake::last_epoch(&place));
    Ok(last.await.map_err(broken)?? > session.epoch())
}

/// A task that did not come to its end.
fn broken(error: JoinError) -> QueryError {
    DataFusionError::ExecutionJoin(Box::new(error)).into()
}
