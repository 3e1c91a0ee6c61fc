//! Who connects: TLS, logging in, and how many at once.

use std::fmt::Debug;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use datafusion_pg_catalog::sql::PostgresCompatibilityParser;
use futures::Sink;
use pgwire::api::auth::StartupHandler;
use pgwire::api::auth::sasl::SASLAuthStartupHandler;
use pgwire::api::auth::sasl::scram::ScramAuth;
use pgwire::api::cancel::{CancelHandler, DefaultCancelHandler};
use pgwire::api::query::{ExtendedQueryHandler, SimpleQueryHandler};
use pgwire::api::{
    ClientInfo, ConnectionManager, METADATA_USER, PgWireConnectionState, PgWireServerHandlers,
};
use pgwire::error::{PgWireError, PgWireResult};
use pgwire::messages::{PgWireBackendMessage, PgWireFrontendMessage};
use pgwire::tokio::{TlsAcceptor, process_socket};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Handle;
use tokio::sync::Semaphore;

use super::answer::Service;
use super::connection::Connection;
use super::login::{Failures, ITERATIONS, Logins, Parameters};
use super::refusal::fatal;
use super::{Audit, ServeError, Settings, tls};
use crate::telemetry::Event;

/// What all connections have in common.
pub(super) struct Shared {
    pub(super) settings: Settings,
    pub(super) audit: Audit,
    pub(super) parser: PostgresCompatibilityParser,
    /// Queries that may run.
    pub(super) running: Arc<Semaphore>,
    /// Where they run.
    pub(super) queries: Handle,
    logins: Arc<Logins>,
    failures: Failures,
    connections: Arc<Semaphore>,
    manager: Arc<ConnectionManager>,
    tls: Option<TlsAcceptor>,
}

/// A server that listens and does not answer yet.
pub struct Server {
    listener: TcpListener,
    shared: Arc<Shared>,
}

impl Debug for Server {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Server")
            .field("settings", &self.shared.settings)
            .finish_non_exhaustive()
    }
}

impl Server {
    /// Checks what is set and begins to listen. Queries run on `queries`, which must have threads for all that may run at once:
    /// one that does not give way must keep no connection waiting.
    ///
    /// # Errors
    ///
    /// Certificates that cannot be used, an address that others can reach without TLS, no users, an address that is taken.
    pub async fn bind(
        settings: Settings,
        audit: Audit,
        queries: Handle,
    ) -> Result<Self, ServeError> {
        let address = settings.address;
        if settings.users.is_empty() {
            return Err(ServeError::NoUsers);
        }
        let tls = match &settings.tls {
            Some((certificate, key)) => Some(tls::acceptor(certificate, key)?),
            None if address.ip().is_loopback() => None,
            None => return Err(ServeError::Plain(address)),
        };
        let listener = TcpListener::bind(address)
            .await
            .map_err(|source| ServeError::Bind { address, source })?;
        let limits = settings.limits;
        let shared = Shared {
            audit,
            parser: PostgresCompatibilityParser::new(),
            running: Arc::new(Semaphore::new(limits.queries_max)),
            queries,
            logins: Arc::new(Logins::new(&settings.users)),
            failures: Failures::default(),
            connections: Arc::new(Semaphore::new(limits.connections_max)),
            manager: Arc::new(ConnectionManager::new()),
            tls,
            settings,
        };
        Ok(Self {
            listener,
            shared: Arc::new(shared),
        })
    }

    /// Where it listens: the port that was found where none was asked for.
    pub fn address(&self) -> std::io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// Answers until `stop` is ready. Whoever is connected then is cut off.
    pub async fn run(self, stop: impl Future<Output = ()>) {
        let mut stop = std::pin::pin!(stop);
        let mut clients = tokio::task::JoinSet::new();
        loop {
            let accepted = tokio::select! {
                () = &mut stop => return,
                _ = clients.join_next(), if !clients.is_empty() => continue,
                accepted = self.listener.accept() => accepted,
            };
            match accepted {
                Ok((socket, peer)) => {
                    let shared = Arc::clone(&self.shared);
                    clients.spawn(Box::pin(serve(shared, socket, peer)));
                }
                // Too many open files, most likely: others will close theirs.
                Err(error) => {
                    Event::AcceptFailed { reason: &error }.tell();
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
            }
        }
    }
}

async fn serve(shared: Arc<Shared>, socket: TcpStream, peer: SocketAddr) {
    let full = || Event::ClientRefused {
        peer,
        reason: "serve.connections_max is reached",
    };
    let Ok(_permit) = Arc::clone(&shared.connections).try_acquire_owned() else {
        return full().tell();
    };
    if shared.failures.too_many(peer.ip()) {
        let reason = "too many logins from there have failed";
        return Event::ClientRefused { peer, reason }.tell();
    }
    let connection = Arc::new(Connection::new(Arc::clone(&shared), peer));
    let handlers = Handlers {
        startup: Arc::new(Startup::new(&shared, &connection)),
        service: Arc::new(Service(Arc::clone(&connection))),
        cancel: Arc::new(DefaultCancelHandler::new(Arc::clone(&shared.manager))),
    };
    let idle = connection.idle(shared.settings.limits.idle_time_max);
    tokio::select! {
        () = idle => (),
        () = connection.stranger() => (),
        // A client that has left, or that speaks something else, is its own affair.
        _ = process_socket(socket, shared.tls.clone(), handlers) => (),
    }
}

struct Handlers {
    startup: Arc<Startup>,
    service: Arc<Service>,
    cancel: Arc<DefaultCancelHandler>,
}

impl PgWireServerHandlers for Handlers {
    fn simple_query_handler(&self) -> Arc<impl SimpleQueryHandler> {
        Arc::clone(&self.service)
    }

    fn extended_query_handler(&self) -> Arc<impl ExtendedQueryHandler> {
        Arc::clone(&self.service)
    }

    fn startup_handler(&self) -> Arc<impl StartupHandler> {
        Arc::clone(&self.startup)
    }

    fn cancel_handler(&self) -> Arc<impl CancelHandler> {
        Arc::clone(&self.cancel)
    }
}

/// Lets in whoever proves to know a password, over TLS if there is a certificate.
struct Startup {
    scram: SASLAuthStartupHandler<Parameters>,
    shared: Arc<Shared>,
    connection: Arc<Connection>,
}

impl Startup {
    fn new(shared: &Arc<Shared>, connection: &Arc<Connection>) -> Self {
        let mut scram = ScramAuth::new(Arc::clone(&shared.logins) as _);
        scram.set_iterations(ITERATIONS);
        let scram = SASLAuthStartupHandler::new(Arc::new(Parameters))
            .with_scram(scram)
            .with_connection_manager(Arc::clone(&shared.manager));
        Self {
            scram,
            shared: Arc::clone(shared),
            connection: Arc::clone(connection),
        }
    }
}

#[async_trait]
impl StartupHandler for Startup {
    async fn on_startup<C>(
        &self,
        client: &mut C,
        message: PgWireFrontendMessage,
    ) -> PgWireResult<()>
    where
        C: ClientInfo + Sink<PgWireBackendMessage> + Unpin + Send + Sync,
        C::Error: Debug,
        PgWireError: From<<C as Sink<PgWireBackendMessage>>::Error>,
    {
        if self.shared.tls.is_some() && !client.is_secure() {
            return Err(fatal("28000", "this server wants TLS: sslmode=require"));
        }
        let outcome = self.scram.on_startup(client, message).await;
        let user = client.metadata().get(METADATA_USER);
        let user = user.map(String::as_str).unwrap_or_default();
        if outcome.is_err() {
            let peer = client.socket_addr();
            self.shared.failures.add(peer.ip());
            Event::LoginFailed { peer, user }.tell();
            // The library answers and closes, but goes on to listen. Nothing is answered to who has no role.
            debug_assert!(self.connection.role().is_none());
        } else if matches!(client.state(), PgWireConnectionState::ReadyForQuery)
            && let Some(role) = self.shared.logins.role(user)
        {
            self.connection.logged_in(user, role);
        }
        outcome
    }
}
