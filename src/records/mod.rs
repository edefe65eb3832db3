//! Call records: one row for each attempt and one for each call, written to files, or through a
//! spool to a database. docs/records.md has every column.
//!
//! Each sink hears the [`Observer`](crate::observe::Observer) on a thread of its own, through a
//! bounded queue: one that is slow or away loses what its queue does not hold, alone and
//! counted, and no call waits for it.
//!
//! | file | |
//! |---|---|
//! | `record` | the columns, and how a call becomes rows |
//! | `format` | rows as bytes |
//! | `files` | a file that is put aside when it is large or old |
//! | `spool`, `frame`, `spool_mark` | records on disk before a sink that may be away |
//! | `postgres`, `postgres_tls` | a database |
//! | `sink` | the threads |
//! | `alarm` | trouble with a sink, told now and then |

mod alarm;
mod files;
mod format;
mod frame;
mod postgres;
mod postgres_tls;
mod record;
mod sink;
mod spool;
mod spool_mark;

pub use files::FileSettings;
pub use format::{Format, PIPE_COLUMNS};
pub use postgres::{PostgresSettings, PostgresTls};
pub use record::{COLUMNS, Record, records_of};
pub use sink::{NoSink, Records, SinkSettings, Target};
pub use spool::{Batch, NotKept, Spool, SpoolSettings, SpoolStanding, WhenFull};
