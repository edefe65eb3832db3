//! Records into a table of PostgreSQL: batches of JSON that the database takes apart, each
//! record once, whatever is sent again. docs/records.sql makes the table.

use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::runtime::Runtime;
use tokio::time::timeout;
use tokio_postgres::types::{ToSql, Type};
use tokio_postgres::{Client, Config, Error, NoTls};

use super::COLUMNS;
use super::postgres_tls::Connector;
use crate::limits::POSTGRES_MS_MAX;

/// Which table of which database.
#[derive(Debug, Clone)]
pub struct PostgresSettings {
    /// Where it is and who we are: `host=… dbname=… user=…`, or a URL.
    pub database: Config,
    /// The table; a name that needs no quotes, with a schema or without.
    pub table: String,
    /// How the connection is protected.
    pub tls: PostgresTls,
}

/// How a connection to the database is protected.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PostgresTls {
    /// Not at all: a Unix socket, or a network of one's own.
    Off,
    /// TLS, with a certificate for the host that is signed by a CA of this file; by one of the
    /// system without.
    Required(Option<std::path::PathBuf>),
}

/// What became of a batch.
#[derive(Debug, Default)]
pub(super) struct Inserted {
    /// Rows that are new.
    pub(super) rows: u64,
    /// Records the table can never take.
    pub(super) refused: u64,
    /// What it says of the last of them.
    pub(super) why: Option<String>,
}

/// A database that may be away.
pub(super) struct Postgres {
    runtime: Runtime,
    database: Config,
    connector: Option<Connector>,
    insert: String,
    client: Option<Client>,
}

impl Postgres {
    /// Connects when it is first needed.
    ///
    /// # Errors
    /// The file of CAs cannot be used, or the system gives nothing.
    pub(super) fn new(settings: &PostgresSettings) -> io::Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_io()
            .enable_time()
            .build()?;
        let mut database = settings.database.clone();
        let patience = Duration::from_millis(POSTGRES_MS_MAX);
        database.connect_timeout(patience);
        if database.get_application_name().is_none() {
            database.application_name("trunkline");
        }
        let connector = match &settings.tls {
            PostgresTls::Off => None,
            PostgresTls::Required(ca) => {
                database.ssl_mode(tokio_postgres::config::SslMode::Require);
                Some(Connector::new(ca.as_deref())?)
            }
        };
        let (table, columns) = (&settings.table, COLUMNS.join(", "));
        // The columns are named: the table may have more of its own.
        let insert = format!(
            "INSERT INTO {table} ({columns}) SELECT {columns} \
             FROM jsonb_populate_recordset(NULL::{table}, $1::text::jsonb) \
             ON CONFLICT (record_id) DO NOTHING"
        );
        Ok(Self {
            runtime,
            database,
            connector,
            insert,
            client: None,
        })
    }

    /// Inserts a batch: all of it, but for records the table can never take.
    ///
    /// # Errors
    /// The database is away, or refuses whatever comes. Nobody knows whether it has the batch.
    pub(super) fn insert(&mut self, records: &[Vec<u8>]) -> Result<Inserted, Away> {
        let mut inserted = Inserted::default();
        match self.try_insert(records) {
            Ok(rows) => inserted.rows = rows,
            Err(Refusal::Database(away)) => return Err(away),
            Err(Refusal::Records(_)) => {
                for record in records {
                    match self.try_insert(std::slice::from_ref(record)) {
                        Ok(rows) => inserted.rows += rows,
                        Err(Refusal::Database(away)) => {
                            // Others of the batch are there already.
                            let was_sent = true;
                            return Err(Away { was_sent, ..away });
                        }
                        Err(Refusal::Records(why)) => {
                            inserted.refused += 1;
                            inserted.why = Some(why);
                        }
                    }
                }
            }
        }
        Ok(inserted)
    }

    /// Notices, while nothing is to be done, that the database has gone.
    pub(super) fn look_after(&mut self, up: &AtomicBool) {
        // The connection is a task of the runtime: it hears only while that runs.
        self.runtime.block_on(tokio::task::yield_now());
        if self.client.as_ref().is_some_and(Client::is_closed) {
            self.client = None;
            up.store(false, Ordering::Relaxed);
        }
    }

    fn try_insert(&mut self, records: &[Vec<u8>]) -> Result<u64, Refusal> {
        let mut array = Vec::with_capacity(2 + records.iter().map(|r| r.len() + 1).sum::<usize>());
        for (place, record) in records.iter().enumerate() {
            array.push(if place == 0 { b'[' } else { b',' });
            array.extend_from_slice(record);
        }
        array.push(b']');
        let array = String::from_utf8_lossy(&array).into_owned();
        let parameters: [(&(dyn ToSql + Sync), Type); 1] = [(&array, Type::TEXT)];
        let client = match self.client.take().filter(|client| !client.is_closed()) {
            Some(client) => client,
            None => self.connect()?,
        };
        let patience = Duration::from_millis(POSTGRES_MS_MAX);
        let done = self.runtime.block_on(async {
            let asked = client.execute_typed(&self.insert, &parameters);
            timeout(patience, asked).await
        });
        match done {
            Ok(Ok(rows)) => {
                self.client = Some(client);
                Ok(rows)
            }
            Ok(Err(error)) => {
                let refusal = Refusal::of(&error);
                if let Refusal::Records(_) = refusal {
                    self.client = Some(client);
                }
                Err(refusal)
            }
            // The connection goes with its client, and what it was about.
            Err(_) => Err(Refusal::Database(Away {
                why: String::from("the database does not answer"),
                was_sent: true,
            })),
        }
    }

    fn connect(&self) -> Result<Client, Refusal> {
        let patience = Duration::from_millis(POSTGRES_MS_MAX);
        let connected = self.runtime.block_on(async {
            timeout(patience, async {
                match &self.connector {
                    None => {
                        let (client, connection) = self.database.connect(NoTls).await?;
                        // What it ends with, the next query says.
                        tokio::spawn(async { drop(connection.await) });
                        Ok(client)
                    }
                    Some(connector) => {
                        let connecting = self.database.connect(connector.clone());
                        let (client, connection) = connecting.await?;
                        tokio::spawn(async { drop(connection.await) });
                        Ok(client)
                    }
                }
            })
            .await
        });
        match connected {
            Ok(Ok(client)) => Ok(client),
            Ok(Err(error)) => Err(Refusal::Database(Away {
                why: in_words(&error),
                was_sent: false,
            })),
            Err(_) => Err(Refusal::Database(Away {
                why: String::from("the database takes no connection"),
                was_sent: false,
            })),
        }
    }
}

/// A database that has not taken a batch, as far as anybody knows.
#[derive(Debug)]
pub(super) struct Away {
    pub(super) why: String,
    /// Whether it may have it all the same.
    pub(super) was_sent: bool,
}

enum Refusal {
    /// Another time.
    Database(Away),
    /// Never: what they hold has no place in the table.
    Records(String),
}

impl Refusal {
    fn of(error: &Error) -> Self {
        let class = error
            .code()
            .map(|state| state.code().get(..2).unwrap_or_default());
        match class {
            // Data exception, integrity constraint violation.
            Some("22" | "23") => Self::Records(in_words(error)),
            _ => Self::Database(Away {
                why: in_words(error),
                was_sent: true,
            }),
        }
    }
}

fn in_words(error: &Error) -> String {
    match error.as_db_error() {
        Some(told) => format!(
            "the database says {}: {}",
            told.code().code(),
            told.message()
        ),
        None => {
            let mut text = error.to_string();
            let mut cause = std::error::Error::source(error);
            while let Some(deeper) = cause {
                text = format!("{text}: {deeper}");
                cause = deeper.source();
            }
            text
        }
    }
}

impl std::fmt::Debug for Postgres {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Postgres")
            .field("insert", &self.insert)
            .finish_non_exhaustive()
    }
}
