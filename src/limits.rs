//! Every bound of the engine on one page, with its reason.
//!
//! A queue, loop or buffer that a peer or a file can fill has its limit here.
//! What exceeds one is answered or refused, and counted; it never grows on.

/// Largest SIP message we read, in bytes. Header spans are 16-bit offsets and a
/// UDP datagram cannot be larger; beyond it the peer gets 513 (RFC 3261 §21.5.7).
pub const MESSAGE_BYTES_MAX: usize = 65_535;

/// Header fields in one message. 128 x 12 bytes of spans stay on the stack;
/// real INVITEs with every SBC's additions carry fewer than 60.
pub const HEADERS_MAX: usize = 128;

/// Symbols in a called or calling number: `+` and 30 digits. E.164 allows 15;
/// private plans and prefixes with access codes need more, none needs 30.
pub const NUMBER_SYMBOLS_MAX: usize = 31;

/// Routes in one decision: a caller does not wait for a ninth attempt.
pub const ROUTES_MAX: usize = 8;

/// Trunks in one trunk group; hunting is linear in it.
pub const TRUNKS_PER_GROUP_MAX: usize = 64;

/// Steps in one manipulation list, and manipulations in one trunk group.
pub const MANIPULATION_STEPS_MAX: usize = 64;

/// Largest table file we read, in bytes (a 10-million-row CSV is about 350 MB).
pub const TABLE_FILE_BYTES_MAX: u64 = 1 << 30;

/// Largest TOML file we read, in bytes: rules are read by people.
pub const TOML_FILE_BYTES_MAX: u64 = 16 << 20;

/// Rows of all DID lists together: entries are addressed by 24 + 8 bits.
pub const DID_ROWS_MAX: usize = 16_000_000;

/// Files in one table folder.
pub const TABLE_FILES_MAX: usize = 1_000;

/// Rules in one table: rule ids are 16-bit.
pub const RULES_MAX: usize = 60_000;

/// Trunks, trunk groups, schedules, lists: ids are 16-bit.
pub const NAMES_MAX: usize = 60_000;

/// Diagnostics kept per check; the rest are counted, so that a damaged
/// million-row file answers with a page and not with a million carets.
pub const DIAGNOSTICS_MAX: usize = 500;

/// Transactions a stateful redirect listener keeps per worker. At T1*64 = 32 s
/// a transaction this is 2,000 INVITE/s a worker without a single ACK.
pub const REDIRECT_TRANSACTIONS_MAX: usize = 65_536;

/// Datagrams a worker takes from its socket before it looks at anything else,
/// so that timers and shutdown are never starved by a flood.
pub const RECEIVE_BATCH_MAX: usize = 32;

/// Log lines waiting for a slow disk. Beyond it lines are dropped and counted:
/// a full disk never stops a call.
pub const LOG_LINES_QUEUED_MAX: usize = 65_536;

const _: () = assert!(HEADERS_MAX <= u8::MAX as usize + 1);
const _: () = assert!(MESSAGE_BYTES_MAX <= u16::MAX as usize);
const _: () = assert!(NUMBER_SYMBOLS_MAX <= 32);

/// Entries of one prefix map: links are 27-bit. A range row may become several
/// entries, so this is above `DID_ROWS_MAX`.
pub const PREFIX_MAP_ENTRIES_MAX: usize = 100_000_000;

/// Times of one line of opening hours: nobody opens nine times a day.
pub const OPENING_TIMES_MAX: usize = 8;

/// Weeks searched for an ordinary day, almost four years: who has a dated line in every
/// one of them gets the first, and `Mon 10:00` then sees its dated lines.
pub const ORDINARY_WEEKS_MAX: usize = 200;

/// Prefixes that the ranges of all DID lists become together: a range of blocks is one,
/// a crooked one at most 18 a digit. 32 bytes each while a table is compiled.
pub const RANGE_ENTRIES_MAX: usize = 2_000_000;
