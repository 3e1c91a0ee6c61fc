//! A client that says what PostgreSQL's documentation has one say ("Frontend/Backend Protocol", 54.2), and shows what it hears.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use bytes::BytesMut;
use fallible_iterator::FallibleIterator;
use postgres_protocol::IsNull;
use postgres_protocol::authentication::sasl::{ChannelBinding, ScramSha256};
use postgres_protocol::message::backend::{DataRowBody, ErrorFields, Message};
use postgres_protocol::message::frontend;

/// One row, in the form of texts.
pub(super) type Row = Vec<Option<String>>;

/// Longer than any limit that a test sets: who waits so long waits for ever.
const PATIENCE: Duration = Duration::from_secs(60);

/// Name of the portal from which rows are taken some at a time.
const PORTAL: &str = "p";

/// Why the server did not answer.
#[derive(Debug, PartialEq)]
pub(super) struct Refusal {
    /// SQLSTATE (the documentation's appendix A), empty if the connection was cut.
    pub(super) code: String,
    pub(super) message: String,
}

/// What the server says of a prepared statement or of a portal.
#[derive(Debug, Default)]
pub(super) struct Described {
    /// Types of its parameters (`pg_type.oid`).
    pub(super) params: Vec<u32>,
    /// Names and types of its columns.
    pub(super) columns: Vec<(String, u32)>,
    /// Whether a portal has more rows.
    suspended: bool,
}

pub(super) struct Client {
    socket: TcpStream,
    heard: BytesMut,
    port: u16,
    /// What cancels a query of this connection.
    key: (i32, i32),
}

impl Client {
    pub(super) fn login(port: u16, user: &str, password: &str) -> Result<Self, Refusal> {
        let socket = TcpStream::connect(("127.0.0.1", port)).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        let mut client = Self {
            socket,
            heard: BytesMut::new(),
            port,
            key: (0, 0),
        };
        let mut scram = ScramSha256::new(password.as_bytes(), ChannelBinding::unsupported());
        client.say(|out| {
            let told = [
                ("user", user),
                ("database", "keytrail"),
                ("application_name", "it"),
            ];
            frontend::startup_message(told, out).unwrap();
        });
        loop {
            match client.hear()? {
                Message::AuthenticationSasl(_) => client.say(|out| {
                    let first = scram.message();
                    frontend::sasl_initial_response("SCRAM-SHA-256", first, out).unwrap();
                }),
                Message::AuthenticationSaslContinue(body) => {
                    scram.update(body.data()).unwrap();
                    client.say(|out| frontend::sasl_response(scram.message(), out).unwrap());
                }
                Message::AuthenticationSaslFinal(body) => scram.finish(body.data()).unwrap(),
                Message::BackendKeyData(body) => {
                    client.key = (body.process_id(), body.secret_key())
                }
                Message::ErrorResponse(body) => return Err(refusal(body.fields())),
                Message::ReadyForQuery(_) => return Ok(client),
                _ => {}
            }
        }
    }

    fn say(&mut self, write: impl FnOnce(&mut BytesMut)) {
        let mut out = BytesMut::new();
        write(&mut out);
        // Who has been cut off hears it when it listens.
        drop(self.socket.write_all(&out));
    }

    pub(super) fn hear(&mut self) -> Result<Message, Refusal> {
        let mut bytes = [0; 8 << 10];
        loop {
            if let Some(message) = Message::parse(&mut self.heard).unwrap() {
                return Ok(message);
            }
            match self.socket.read(&mut bytes) {
                Ok(length) if length > 0 => self.heard.extend_from_slice(&bytes[..length]),
                ended => {
                    return Err(Refusal {
                        code: String::new(),
                        message: format!("the connection was cut: {ended:?}"),
                    });
                }
            }
        }
    }

    /// Hears everything up to the server's next readiness: rows, or the first error in place of them.
    pub(super) fn answer(&mut self) -> Result<(Vec<Row>, Described), Refusal> {
        let (mut rows, mut described) = (Vec::new(), Described::default());
        let mut refused = None;
        loop {
            match self.hear()? {
                Message::DataRow(body) => rows.push(row(&body)),
                Message::ParameterDescription(body) => {
                    described.params = body.parameters().collect().unwrap();
                }
                Message::RowDescription(body) => {
                    let fields = body.fields();
                    let fields =
                        fields.map(|field| Ok((field.name().to_owned(), field.type_oid())));
                    described.columns = fields.collect().unwrap();
                }
                Message::PortalSuspended => described.suspended = true,
                Message::ErrorResponse(body) => refused = Some(refusal(body.fields())),
                Message::ReadyForQuery(_) => {
                    return refused.map_or(Ok((rows, described)), Err);
                }
                _ => {}
            }
        }
    }

    /// What the simple protocol answers to `sql`: the rows of all its statements.
    pub(super) fn rows(&mut self, sql: &str) -> Result<Vec<Row>, Refusal> {
        self.begin(sql);
        Ok(self.answer()?.0)
    }

    /// Asks without waiting for the answer.
    pub(super) fn begin(&mut self, sql: &str) {
        self.say(|out| frontend::query(sql, out).unwrap());
    }

    /// The first cell of the first row.
    pub(super) fn one(&mut self, sql: &str) -> String {
        let rows = self.rows(sql);
        let rows = rows.unwrap_or_else(|refusal| panic!("{sql}: {refusal:?}"));
        let first = rows
            .into_iter()
            .next()
            .and_then(|row| row.into_iter().next());
        first.flatten().unwrap_or_default()
    }

    /// Why `sql` is not answered.
    pub(super) fn refused(&mut self, sql: &str) -> Refusal {
        match self.rows(sql) {
            Ok(rows) => panic!("{sql} was answered: {} rows", rows.len()),
            Err(refusal) => refusal,
        }
    }

    /// Has the server prepare `sql` and say what it is.
    pub(super) fn prepare(&mut self, sql: &str) -> Result<Described, Refusal> {
        self.say(|out| {
            frontend::parse("", sql, [], out).unwrap();
            frontend::describe(b'S', "", out).unwrap();
            frontend::sync(out);
        });
        Ok(self.answer()?.1)
    }

    /// Runs `sql` by the extended protocol, with parameters as texts.
    pub(super) fn ask(&mut self, sql: &str, params: &[&str]) -> Result<Vec<Row>, Refusal> {
        self.say(|out| {
            frontend::parse("", sql, [], out).unwrap();
            let write = |text: &&str, out: &mut BytesMut| {
                out.extend_from_slice(text.as_bytes());
                Ok(IsNull::No)
            };
            let bound = frontend::bind("", "", [], params, write, [], out);
            assert!(bound.is_ok(), "{sql}");
            frontend::execute("", 0, out).unwrap();
            frontend::sync(out);
        });
        Ok(self.answer()?.0)
    }

    /// Opens a portal on `sql` and takes `most` rows of it; whether there are more.
    pub(super) fn open(&mut self, sql: &str, most: i32) -> Result<(Vec<Row>, bool), Refusal> {
        self.say(|out| {
            frontend::close(b'P', PORTAL, out).unwrap();
            frontend::parse("", sql, [], out).unwrap();
            let nothing = |(): (), _: &mut BytesMut| Ok(IsNull::Yes);
            let bound = frontend::bind(PORTAL, "", [], [], nothing, [], out);
            assert!(bound.is_ok(), "{sql}");
        });
        self.fetch(most)
    }

    /// Takes `most` more rows of the portal.
    pub(super) fn fetch(&mut self, most: i32) -> Result<(Vec<Row>, bool), Refusal> {
        self.say(|out| {
            frontend::execute(PORTAL, most, out).unwrap();
            frontend::sync(out);
        });
        let (rows, described) = self.answer()?;
        Ok((rows, described.suspended))
    }

    /// Cancels what this connection runs, by another connection, as clients do.
    pub(super) fn canceller(&self) -> impl Fn() + Send + 'static {
        let ((process, key), port) = (self.key, self.port);
        move || {
            let mut out = BytesMut::new();
            frontend::cancel_request(process, key, &mut out);
            let mut socket = TcpStream::connect(("127.0.0.1", port)).unwrap();
            socket.write_all(&out).unwrap();
            drop(socket.read(&mut [0]));
        }
    }
}

fn row(body: &DataRowBody) -> Row {
    let cell = |range: Option<std::ops::Range<usize>>| {
        let text = range.map(|range| String::from_utf8_lossy(&body.buffer()[range]).into_owned());
        Ok(text)
    };
    body.ranges().map(cell).collect().unwrap()
}

fn refusal(fields: ErrorFields<'_>) -> Refusal {
    let mut refusal = Refusal {
        code: String::new(),
        message: String::new(),
    };
    let fields = fields.for_each(|field| {
        let value = String::from_utf8_lossy(field.value_bytes()).into_owned();
        match field.type_() {
            b'C' => refusal.code = value,
            b'M' => refusal.message = value,
            _ => {}
        }
        Ok(())
    });
    fields.unwrap();
    refusal
}
