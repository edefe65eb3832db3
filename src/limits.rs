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

/// Datagrams a worker takes from its socket, and answers, in one call of the system:
/// enough to share the cost of the call, few enough that the first answer does not wait
/// long for the last, and that timers and shutdown are never starved by a flood.
pub const DATAGRAM_BATCH_MAX: usize = 32;

/// Answers of one length to one peer that leave as one piece, at least. Fewer gain little, and
/// whoever traces a quiet machine sees each datagram for itself (docs/decisions/0021).
pub const DATAGRAM_RUN_MIN: usize = 4;

/// Answers that are ready at once before any of them leave as one piece: as many as only a
/// worker has that can hardly keep up.
pub const DATAGRAMS_IN_RUNS_MIN: usize = DATAGRAM_BATCH_MAX / 2;

/// The longest datagram of such a piece, in bytes: what every IPv6 link carries (1,280) less
/// the headers of IPv6 and UDP. The system refuses a piece whose datagrams it would have to
/// fragment.
pub const SEGMENT_BYTES_MAX: usize = 1_280 - 40 - 8;

/// Log lines waiting for a slow disk. Beyond it lines are dropped and counted:
/// a full disk never stops a call.
pub const LOG_LINES_QUEUED_MAX: usize = 65_536;

/// Bytes of log lines that are written at once.
pub const LOG_BATCH_BYTES_MAX: usize = 64 << 10;

/// Milliseconds between two writes of the log: short for whoever reads along, long enough for
/// the lines of many calls. At 10,000 lines a second 50 of them wait meanwhile.
pub const LOG_PAUSE_MS: u64 = 5;

/// Receive buffer asked of the kernel per UDP socket, in bytes: 4 MiB hold about
/// 2,000 INVITEs (the kernel charges some 2 kB each) while a worker is elsewhere.
pub const UDP_RECEIVE_BUFFER_BYTES: usize = 4 << 20;

/// Octets an answer to an unknown source may be longer than its request: a forged
/// source address must not gain an amplifier.
pub const UNKNOWN_SOURCE_GAIN_BYTES_MAX: usize = 512;

/// Answers per second, worker and listener to unknown sources: enough for somebody who
/// sets up an SBC to see the 403, too few to bounce a flood off us.
pub const STRANGER_ANSWERS_PER_SECOND_MAX: u32 = 100;

/// Log lines per second and cause about what peers do wrong; the rest is counted.
pub const PEER_ERROR_LINES_PER_SECOND_MAX: u32 = 10;

/// Diagnostics of a refused reload that go to the log; the rest are counted.
pub const RELOAD_DIAGNOSTICS_LOGGED_MAX: usize = 20;

/// Listeners in one configuration, and workers: each pair owns a socket.
pub const LISTENERS_MAX: usize = 64;

/// Worker threads: more than any machine's cores, few enough for their sockets.
pub const WORKERS_MAX: usize = 256;

/// Bytes of one value from the wire that a log line shows.
pub const LOGGED_VALUE_BYTES_MAX: usize = 256;

/// Bytes of a dialled user part kept for observers: a number has at most 31.
pub const DIALLED_BYTES_MAX: usize = 64;

/// Events of calls that wait for the observer. A second and a half of 20,000 a second; at 2 KB
/// each they are 64 MB at the very worst. Beyond it they are dropped and counted.
pub const FEED_QUEUE_MAX: usize = 32_768;

/// Milliseconds the observer lets events gather: nobody who reads records waits for less, and
/// workers wake it so much less often.
pub const FEED_PAUSE_MS: u64 = 5;

/// Who may be told of calls at once: sinks of records, and people who look on.
pub const FEED_SUBSCRIBERS_MAX: usize = 64;

/// Calls that are up in the list of the observer, of all workers: a kilobyte and a half each,
/// 300 MB at the very worst.
pub const LIVE_CALLS_MAX: usize = 200_000;

/// Seconds after which a call whose end was never told leaves that list: seven days.
pub const LIVE_CALL_S_MAX: u64 = 7 * 86_400;

/// Bytes of one value from the wire that is kept for records: longest of all are Call-IDs.
pub const TOLD_VALUE_BYTES_MAX: usize = 1_024;

/// Attempts of one call that are told.
pub const ATTEMPTS_TOLD_MAX: usize = ROUTES_MAX;

/// Bytes of one record at most: four dozen values, each of them bounded.
pub const RECORD_BYTES_MAX: usize = 64 << 10;

/// What was told and waits for one sink of records: a second and a half at 10,000 calls a
/// second, while a disk or a spool is slow. Beyond it a sink loses, alone and counted.
pub const RECORDS_QUEUE_MAX: usize = 16_384;

/// Bytes of records that are written at once.
pub const RECORDS_BATCH_BYTES_MAX: usize = 256 << 10;

/// Sinks of records.
pub const RECORD_SINKS_MAX: usize = 16;

/// Files of records put aside that may be kept: each is renamed when one more is.
pub const RECORD_FILES_MAX: u32 = 1_000;

/// Milliseconds between two tries of a sink that takes nothing, at first and at most.
pub const SINK_RETRY_MS_FIRST: u64 = 500;
/// See [`SINK_RETRY_MS_FIRST`].
pub const SINK_RETRY_MS_MAX: u64 = 10_000;

/// Milliseconds a stop waits for sinks to take what is left. What a spool has stays for the
/// next start.
pub const SINK_STOP_MS_MAX: u64 = 3_000;

/// Seconds between two lines of the log about one sink that is in trouble.
pub const SINK_ALARM_S: u64 = 60;

/// Bytes of one segment of a spool: what a full one drops at a time, and what a start reads.
pub const SPOOL_SEGMENT_BYTES_MAX: u64 = 4 << 20;

/// Bytes of records that are appended to a spool, or taken from it, at once.
pub const SPOOL_BATCH_BYTES_MAX: usize = 1 << 20;

/// Milliseconds a database may take for a connection, and for a batch.
pub const POSTGRES_MS_MAX: u64 = 15_000;

/// Records of one batch for a database.
pub const POSTGRES_BATCH_MAX: usize = 1_000;

/// Microseconds a busy worker of a proxy lets datagrams gather at most before it takes them:
/// four thousandths of a second are nothing to who waits for a phone to ring, and T1, by which
/// a peer begins to doubt, is more than a hundred of them. No socket's buffer fills in that
/// time that would not fill anyway.
pub const GATHER_US_MAX: u64 = 4_000;

/// Datagrams a busy worker lets gather, if it does not take too long: three quarters of a
/// batch, so that one that comes faster than expected still fits in.
pub const GATHERED_WANTED: u64 = DATAGRAM_BATCH_MAX as u64 * 3 / 4;

/// Datagrams a second from which on a worker is called busy: with fewer there is little to
/// share, and each is taken when it comes.
pub const BUSY_DATAGRAMS_PER_S: u64 = 2_000;

/// Batches a stopping worker still answers: more than its socket's buffer can hold.
pub const DRAIN_BATCHES_MAX: usize = 1_024;

/// Milliseconds a worker waits for room in the socket's send buffer before it counts an
/// answer as lost: the caller repeats its request sooner than a stuck card recovers.
pub const SEND_WAIT_MS_MAX: u64 = 10;

const _: () = assert!(HEADERS_MAX <= u8::MAX as usize + 1);
const _: () = assert!(MESSAGE_BYTES_MAX <= u16::MAX as usize);
const _: () = assert!(NUMBER_SYMBOLS_MAX <= 32);

/// Entries of one prefix map: links are 27-bit. A range row may become several
/// entries, so this is above `DID_ROWS_MAX`.
pub const PREFIX_MAP_ENTRIES_MAX: usize = 100_000_000;

/// Times of one line of opening hours: nobody opens nine times a day.
pub const OPENING_TIMES_MAX: usize = 8;

/// Largest Request-URI, in bytes; beyond it the peer gets 414. A number with every
/// parameter of RFC 4694 and RFC 4904 and a long host stays below 600.
pub const URI_BYTES_MAX: usize = 2_048;

/// Prefixes that the ranges of all DID lists become together: a range of blocks is one,
/// a crooked one at most 18 a digit. 32 bytes each while a table is compiled.
pub const RANGE_ENTRIES_MAX: usize = 2_000_000;

/// Weeks searched for an ordinary day, almost four years: who has a dated line in every
/// one of them gets the first, and `Mon 10:00` then sees its dated lines.
pub const ORDINARY_WEEKS_MAX: usize = 200;

/// Threads that read one DID list: reading is bound by memory long before this.
pub const LIST_THREADS_MAX: usize = 8;

/// Bytes of a list for one more thread to read: some 30,000 rows, ten milliseconds.
pub const LIST_PIECE_BYTES_MIN: usize = 1 << 20;

/// Attempts in a row that a trunk may leave unanswered before it is out of service. With a
/// third of all packets lost, three INVITEs in a row go unheard once in 3,000 times.
pub const TRUNK_SILENCES_MAX: u8 = 3;

/// First outage of a trunk that stopped answering, in milliseconds; each further one is
/// twice as long.
pub const TRUNK_OUTAGE_MS_FIRST: u64 = 2_000;

/// Longest such outage, in milliseconds: a trunk that is back is found within a minute.
pub const TRUNK_OUTAGE_MS_MAX: u64 = 60_000;

/// Longest wait between OPTIONS probes of a trunk that is out of service, in milliseconds,
/// where its interval is not longer: a trunk that is back is found within a minute.
pub const PROBE_RETRY_MS_MAX: u64 = 60_000;

/// Probes that begin in one step of an engine; those left begin in the next. Calls that
/// came meanwhile must not wait for thousands of trunks.
pub const PROBES_AT_ONCE_MAX: usize = 64;

/// Milliseconds after which whoever probes looks whether there is another table: trunks
/// that a reload added are probed although no call comes.
pub const PROBE_LOOK_MS: u64 = 1_000;

/// Misses or hits that a table may ask for before a trunk turns.
pub const PROBES_IN_A_ROW_MAX: u8 = 20;

/// Trunks that somebody has ordered out of service: far more than anybody works on at once,
/// and all of them, with a message each, are half a megabyte.
pub const TRUNK_ORDERS_MAX: usize = 1_000;

/// Names of trunks out of service that one line of the log shows; the rest are counted.
pub const TRUNKS_TOLD_MAX: usize = 50;

/// Longest Retry-After of a trunk that is heeded, in seconds: a wrong digit must not take
/// a trunk away for years.
pub const TRUNK_RETRY_AFTER_S_MAX: u32 = 3_600;

/// Route values of one request: a dialog through more than this many proxies is a mistake,
/// and reading them is linear.
pub const ROUTE_VALUES_MAX: usize = 16;

/// Contexts (requests in progress and their echoes) of one proxy worker. An answered call
/// stays for 32 s and so does its BYE, so this is 4,000 calls a second with room for those
/// that ring; at 4 KB each it is 1 GB at the very worst.
pub const PROXY_CONTEXTS_MAX: usize = 262_144;

/// Of these, how many new calls may take. The other half is for requests inside dialogs and
/// for emergency calls: who is connected can hang up, whatever floods in, and also when all
/// the calls that rang were answered and end together.
pub const PROXY_CALLS_MAX: usize = PROXY_CONTEXTS_MAX / 2;

/// Seconds after which a caller that was refused for want of room may try again.
pub const OVERLOAD_RETRY_AFTER_S: u32 = 5;

/// How long a trunk may stay silent when its policy does not say, in milliseconds: the
/// INVITE was sent four times by then, and a caller still waits.
pub const TRUNK_TIMEOUT_MS_DEFAULT: u32 = 4_000;

/// Timer C, in milliseconds: RFC 3261 §16.6 step 11 wants more than three minutes.
pub const TIMER_C_MS: u64 = 181_000;

/// Longest time a call may ring, however often its callee says so, in milliseconds: no
/// state lives for ever.
pub const RINGING_MS_MAX: u64 = 3_600_000;

/// Calls a second that a table may let begin on one trunk: a place each is kept for.
pub const CALLS_PER_SECOND_MAX: u16 = 10_000;

/// Longest time a call counts as one of its trunk's, in seconds, where no session timer ends
/// it sooner: if its BYE was lost on both sides, its place is free again after half a day.
pub const HELD_CALL_S_MAX: u64 = 12 * 3_600;

/// Shortest session that is believed, in seconds: RFC 4028 §4.
pub const SESSION_S_MIN: u64 = 90;

/// Answered calls of one worker whose end is waited for, to tell of it. At 200 bytes each they
/// are 50 MB: 1,400 calls a second that last three minutes each.
pub const FOLLOWED_CALLS_MAX: usize = 262_144;

/// Seconds after a BYE in which another one of the same call (both hang up at once, the first
/// is asked to prove who it is) is no second end: 64*T1.
pub const ENDED_CALL_S: u64 = 32;

/// Seconds after the end of a session that its call still counts: the BYE that ends it is on
/// its way (RFC 4028 §10).
pub const SESSION_GRACE_S: u64 = 32;

/// Dialogs of one INVITE whose 2xx and ACK are repeated: phones that ring at once behind a
/// trunk and are picked up in the same second. Those beyond go from end to end only.
pub const ACCEPTANCES_MAX: usize = 8;

/// Challenges (WWW-Authenticate, Proxy-Authenticate) collected for one response, in bytes.
pub const CHALLENGES_BYTES_MAX: usize = 4_096;

const _: () = assert!(PROXY_CALLS_MAX < PROXY_CONTEXTS_MAX);
const _: () = assert!(TIMER_C_MS > 180_000);
/// Room for one received datagram, in bytes: a byte more than we read, so that a longer
/// one is seen to be longer.
pub const DATAGRAM_ROOM_BYTES: usize = MESSAGE_BYTES_MAX + 1;

/// From one datagram's room to the next, in bytes. Not a power of two: the first lines of
/// all 32 would then fall into the same few sets of the processor's caches.
pub const DATAGRAM_STRIDE_BYTES: usize = DATAGRAM_ROOM_BYTES + 3 * 64;

/// Headers of one TOML file that stand behind the headers of their own parts (`[a]` behind
/// `[a.b]`). Nobody writes many, and each costs the parser time in proportion to the file:
/// 100,000 of them took it minutes.
pub const TOML_LATE_HEADERS_MAX: usize = 1_000;

/// Longest line of a DID list, in bytes: a row of a number, a name and a comment has a
/// hundred. A file without line ends would be one row of millions of columns.
pub const CSV_LINE_BYTES_MAX: usize = 1 << 20;

/// Changes to one message on its way: a proxy makes about eight (Request-URI, two Vias'
/// worth, Record-Routes, Route, Max-Forwards, Content-Length), manipulations the rest.
pub const EDITS_MAX: usize = 32;

/// Bytes of a datagram that did not arrive which are read when it comes back: the top Via of
/// any request we send lies within them, behind a Request-URI of usual length.
pub const RETURNED_BYTES_MAX: usize = 1_024;

/// Datagrams waiting for another worker, for each worker. At 64 KiB each they are 128 MB at
/// the very worst; at the 600 bytes of a response they are 1 MB and a hundred milliseconds.
pub const HANDED_OVER_MAX: usize = 2_048;

/// Send buffer asked of the kernel per UDP socket, in bytes: a proxy answers a batch with
/// some hundred datagrams at once.
pub const UDP_SEND_BUFFER_BYTES: usize = 4 << 20;

/// Sources that have a token bucket of their own, for each proxy worker: 64 bytes each. Tables
/// name a few dozen addresses; who names whole networks shares one bucket beyond this.
pub const SOURCES_MAX: usize = 4_096;

/// Times a datagram is sent again after the system told of the fate of an earlier one.
pub const SEND_RETRIES_MAX: usize = 3;

/// Kinds of callers, and of hours, that a comparison of two tables tells apart. Real tables
/// have a few dozens; each rule with such a condition is tried on each.
pub const PLAN_CLASSES_MAX: usize = 20_000;

/// States of all host and label patterns read together. Exact names and domains make a few
/// hundred; many `*text*` multiply.
pub const PLAN_TEXT_STATES_MAX: usize = 50_000;

/// Kinds of callers, hosts, labels and hours together, for one called number.
pub const PLAN_CELLS_MAX: usize = 1 << 20;

/// Numbers tried to find one under a prefix that nothing else lists. The first nearly
/// always is; a prefix under which so many are all listed has none that is dialled.
pub const PLAN_WITNESS_TRIES_MAX: usize = 20_000;

/// Days a comparison looks ahead: 28 years and a bit, in which every date falls on every
/// weekday, leap days too.
pub const PLAN_DAYS_AHEAD: i64 = 28 * 366;

/// Connections a listener has at once, over all workers: an SBC or a carrier keeps a few, one
/// that opens one for each call a few hundred. At some 10 KB each they are 80 MB.
pub const CONNECTIONS_MAX: usize = 8_192;

/// Of these, how many one source (an IPv4 address, a /64 of IPv6) may have: who opens one for
/// each call has room, and leaves room for seven others.
pub const CONNECTIONS_PER_SOURCE_MAX: u32 = 1_024;

/// Of these, how many all sources together may have that no table knows: enough for somebody
/// who sets up an SBC to see the 403, too few to keep an SBC out.
pub const STRANGER_CONNECTIONS_MAX: usize = 256;

/// Connections of a listener that were asked to make room and have not gone yet: one turn of
/// its workers ends them.
pub const CONNECTIONS_LEAVING_MAX: usize = 512;

/// Connections one worker has opened itself, or is opening: one for each trunk.
pub const CONNECTIONS_DIALLED_MAX: usize = 4_096;

/// Bytes that wait for one peer to read them, besides what the system holds. Eight times the
/// largest message, or five hundred usual ones: who is behind by that much does not read.
pub const CONNECTION_UNREAD_BYTES_MAX: usize = 512 << 10;

/// Messages that wait for one peer to read them, or to take the connection: as many short ones
/// as the bytes hold, and more than one round of a worker brings forth.
pub const CONNECTION_UNREAD_MESSAGES_MAX: usize = 2_048;

/// Messages read from the connections of one worker and not yet worked on. When it is full
/// nothing more is read: peers are slowed down, and nothing is lost.
pub const MESSAGES_READ_AHEAD_MAX: usize = 256;

/// Requests on one connection that are remembered, to be given back if it breaks: a trunk
/// that was restarted has heard none of them, and each call tries its next route at once.
pub const REQUESTS_UNHEARD_MAX: usize = 64;

/// Milliseconds until the first byte on a connection that a peer opened.
pub const FIRST_BYTE_MS_MAX: u64 = 10_000;

/// Milliseconds from the first byte of a message to its last: a peer that sends a byte a
/// second holds its connection no longer than that.
pub const MESSAGE_MS_MAX: u64 = 10_000;

/// Milliseconds without a byte on a connection, ten minutes. Who sends keep-alives (RFC 5626
/// §4.4.1 has them every two minutes) keeps it.
pub const CONNECTION_IDLE_MS_MAX: u64 = 600_000;

/// Milliseconds until a peer that reads nothing loses its connection: what waits for it is of
/// no use to any call by then.
pub const UNREAD_MS_MAX: u64 = 10_000;

/// Milliseconds until a trunk has taken a connection: three tries of the system to reach it
/// (at 0, 1 and 3 seconds) less the wait for the last, and less than a caller waits.
pub const CONNECT_MS_MAX: u64 = 3_500;

/// Milliseconds a connection that is being closed waits for the peer to have read the last
/// answer: closed with bytes unread, the system would take the answer back.
pub const LINGER_MS_MAX: u64 = 1_000;

/// Bytes thrown away meanwhile.
pub const LINGER_BYTES_MAX: usize = 1 << 20;

/// Milliseconds a listener rests when the system has no descriptor for another connection:
/// the queue of the system holds who comes meanwhile.
pub const ACCEPT_REST_MS: u64 = 100;

/// Connections that have brought nothing yet and are ended then, the oldest first, so that
/// there are descriptors for who comes.
pub const ACCEPT_FREES: usize = 64;

/// Milliseconds such a connection must have been there: enough for a TLS handshake and a first
/// message from anywhere on earth.
pub const FREED_AFTER_MS_MIN: u64 = 500;

/// Connections that wait in the system's queue for a worker to take them.
pub const ACCEPT_QUEUE_MAX: i32 = 1_024;

const _: () = assert!(CONNECTION_UNREAD_BYTES_MAX > 2 * MESSAGE_BYTES_MAX);

/// Milliseconds until a TLS handshake is done: three round trips around the world take one
/// second, and half a handshake holds its place no longer than that.
pub const TLS_HANDSHAKE_MS_MAX: u64 = 5_000;

/// TLS handshakes of one listener in progress at once, over all workers. Each costs about a
/// millisecond; the oldest makes room for one more. Sources that no table knows
/// (`STRANGER_CONNECTIONS_MAX`) cannot take them all.
pub const TLS_HANDSHAKES_MAX: usize = 512;

/// Seconds a certificate has to be good for, or whoever looks after it is told: two weeks, in
/// which every CA issues another.
pub const CERTIFICATE_END_S_MIN: i64 = 14 * 86_400;

/// Milliseconds `doctor` waits for the answer to an OPTIONS: as long as a good trunk takes, and
/// two repetitions.
pub const DOCTOR_ANSWER_MS_MAX: u64 = 3_000;

/// Names, addresses and networks that `doctor` looks at, of each kind: all at once, and on one
/// page.
pub const DOCTOR_PLACES_MAX: usize = 200;

/// Bytes of room on the disk under state and logs: a thousand small tables.
pub const FREE_BYTES_MIN: u64 = 64 << 20;

/// Bytes of the end of the log that go into a support dump: some two thousand calls.
pub const LOG_TAIL_BYTES_MAX: u64 = 512 << 10;

/// Bytes of `/metrics` that go into a support dump: a thousand trunks, and as much again.
pub const METRICS_BYTES_MAX: u64 = 16 << 20;

/// Descriptors a server with connections should be allowed: those of one full listener.
pub const DESCRIPTORS_MIN: u64 = 10_000;

/// Peers of `[[tls_peer]]`, and names of clients of one listener: both are looked through one
/// by one.
pub const TLS_NAMES_MAX: usize = 1_000;

const _: () = assert!(STRANGER_CONNECTIONS_MAX < TLS_HANDSHAKES_MAX);

/// Generations kept unless the configuration says otherwise. A table of 12,000 DIDs is half
/// a megabyte, one of a million rows 35 MB: 25 MB and 1.7 GB. Who changes a table five times
/// a day can go back ten days.
pub const GENERATIONS_KEPT: usize = 50;

/// Generations that may be kept: the ledger is written whole with each change, and a
/// thousand entries are half a megabyte.
pub const GENERATIONS_KEPT_MAX: usize = 1_000;

/// Largest ledger we read, in bytes: thirty times a thousand entries with long messages.
pub const LEDGER_BYTES_MAX: u64 = 16 << 20;

/// Longest request on the control socket, in bytes: the longest that makes sense has a
/// message of 500 characters.
pub const CONTROL_LINE_BYTES_MAX: usize = 64 << 10;

/// Bytes of a file in one line of an answer: with every byte written as six (`\u0001`) the
/// line stays below [`CONTROL_LINE_BYTES_MAX`].
pub const CONTROL_PIECE_BYTES: usize = 8 << 10;

/// Lines of files read ahead of the peer that asked for them: 2 MiB for each connection at
/// the very worst.
pub const CONTROL_LINES_QUEUED: usize = 32;

/// Longest answer in one line, in bytes: a thousand generations with a message each, four
/// times over.
pub const CONTROL_REPLY_BYTES_MAX: u64 = 8 << 20;

/// Calls of one answer on the control socket: four megabytes of them.
pub const CONTROL_CALLS_MAX: usize = 10_000;

/// Connections to the control socket at once: people and scripts, not crowds.
pub const CONTROL_CONNECTIONS_MAX: usize = 16;

/// Milliseconds in which a peer of the control socket sends its line, or takes one of ours.
pub const CONTROL_LINE_MS_MAX: u64 = 10_000;

/// Milliseconds a command waits for its answer: a table of ten million rows with gates is
/// read and compared in a tenth of it.
pub const CONTROL_ANSWER_MS_MAX: u64 = 600_000;

/// Changes that wait for the one that is made: one for each connection.
pub const CHANGES_WAITING_MAX: usize = CONTROL_CONNECTIONS_MAX;

/// Longest time to confirm a change, in seconds: a day. Who needs more has confirmed.
pub const CONFIRM_SECONDS_MAX: u32 = 86_400;

/// Characters of what may be said of a change.
pub const MESSAGE_CHARS_MAX: usize = 500;

/// Bytes read of the lists of users and of groups.
pub const ACCOUNTS_BYTES_MAX: u64 = 4 << 20;

/// Groups of one peer that are looked at: what Linux allows a process at most.
pub const PEER_GROUPS_MAX: usize = 65_536;

/// Different conditions of rules (besides `from` and `called`) that are compared with each
/// other to find rules that can never decide; beyond, only equal ones are. The work is this
/// squared for each schedule; real tables have a few dozens.
pub const RULE_CONDITIONS_COMPARED_MAX: usize = 256;

/// Blocks of a hundred numbers with one free number of which a check still speaks: where
/// there are more, free numbers are how the site is and not a slip.
pub const HOLES_MAX: usize = 10;

/// Lines a search shows: nobody reads more, and `+4*` is in every row of a large table.
pub const SEARCH_HITS_MAX: usize = 1_000;

/// Rows of a configuration that is imported: a large SBC has a few thousand.
pub const IMPORT_ROWS_MAX: usize = 100_000;

/// Numbers and prefixes that one row of a configuration may stand for: `x` written out ten
/// times for each place grows fast, and nobody reads a rule of more.
pub const IMPORT_ITEMS_MAX: usize = 1_000;

/// Characters of a tag in the dial plan of an AudioCodes SBC of 7.2.
pub const TAG_SYMBOLS_MAX: usize = 16;

/// Beginnings of numbers that are looked at while the rules of a dial plan are written as a list:
/// a hundred thousand whole numbers have a few million.
pub const DIAL_PLAN_STATES_MAX: usize = 8_000_000;

/// Of those, what few rules may take: five `x` before a digit are a hundred thousand beginnings,
/// and nobody looks through the list that more of them make.
pub const DIAL_PLAN_STATES_ANY: usize = 200_000;

/// Of those, what each further rule may take: a whole number has twenty at most, and a rule with an
/// `x` inside several of them.
pub const DIAL_PLAN_STATES_PER_RULE: usize = 80;

/// States in which the patterns of an original and of its table together can be while a
/// number is read; each is asked about once.
pub const PROOF_STATES_MAX: usize = 1_000_000;

/// Times an imported table is made anew without the rows that can never decide: all of them
/// are mostly seen at once, and [`DIAGNOSTICS_MAX`] are always.
pub const IMPORT_PASSES_MAX: usize = 250;

/// Bytes of number tables that a processor's second cache is taken to hold: lookups in more
/// wait for memory, and calls of a batch are then looked at before they are decided.
pub const NEAR_BYTES_MAX: usize = 256 * 1024;

/// Calls that are looked at together. More waits do not overlap: a processor has room for
/// about so many.
pub const FORESEEN_CALLS_MAX: usize = 16;

/// Places of one name that are kept. A platform has a handful; a call tries no more than it
/// has routes.
pub const LOCATIONS_PER_NAME_MAX: usize = 16;

/// Places of names known to be out at a time, for each proxy worker; beyond it the one that
/// comes back first is forgotten.
pub const LOCATIONS_OUT_MAX: usize = 256;

/// A request of more bytes goes by TCP, where its trunk's table says so. RFC 3261 §18.1.1:
/// 1,300 where nobody knows how much the path carries.
pub const UDP_REQUEST_BYTES_MAX: usize = 1_300;

/// An address that took no TCP connection is not asked for one again for so long: without it
/// every large call would wait for it.
pub const NO_TCP_MS: u64 = 300_000;

/// How long one question to DNS may take. Whoever calls waits for none: an answer that is
/// late leaves things as they were.
pub const DNS_ANSWER_MS_MAX: u64 = 2_000;

/// Names asked for at once.
pub const DNS_QUESTIONS_AT_ONCE_MAX: usize = 16;

/// A name is asked for again no sooner, whatever its time to live says.
pub const DNS_TTL_MS_MIN: u64 = 5_000;

/// And no later: who moves an address is heard within that time.
pub const DNS_TTL_MS_MAX: u64 = 3_600_000;

/// A name without an answer is asked for again after so long, and what was known of it holds.
pub const DNS_RETRY_MS: u64 = 5_000;

/// Name servers of a configuration: systems have three.
pub const DNS_SERVERS_MAX: usize = 8;

/// Connections of the HTTP listener at a time. An SBC opens a handful and keeps them.
pub const HTTP_CONNECTIONS_MAX: usize = 1_024;

/// How long an HTTP connection may be silent, or take for the head of a request: longer than
/// the pauses of an SBC at night are to its own timers, shorter than a day of idle sockets.
pub const HTTP_IDLE_MS_MAX: u64 = 120_000;

/// Head of an HTTP request: a question in a query string, a secret and what libraries add.
pub const HTTP_HEAD_BYTES_MAX: usize = 16 * 1024;

/// Body of an HTTP request: a question is a few hundred bytes.
pub const HTTP_BODY_BYTES_MAX: usize = 16 * 1024;

/// How long the body may take: it comes with its head or soon after.
pub const HTTP_BODY_MS_MAX: u64 = 10_000;

/// One fact of a question over HTTP: an INVITE has no longer one.
pub const HTTP_FACT_BYTES_MAX: usize = 1_024;

/// Wrong secrets that wait for their answer at a time; more are refused at once.
pub const HTTP_WRONG_SECRETS_MAX: usize = 16;

/// Accounts of the HTTP listener.
pub const HTTP_ACCOUNTS_MAX: usize = 256;

/// How long the peer of an HTTP connection may leave what it is sent unread.
pub const HTTP_UNREAD_MS_MAX: u64 = 30_000;

/// Body of a request to the admin API, but for files of drafts: ten thousand calls of a batch
/// are two megabytes.
pub const API_BODY_BYTES_MAX: usize = 4 << 20;

/// A file that is put into a draft. Lists of half a million rows are smaller; larger ones
/// come through the folder.
pub const API_DRAFT_FILE_BYTES_MAX: usize = 16 << 20;

/// What all files that were put into all drafts come to.
pub const API_DRAFTS_BYTES_MAX: u64 = 256 << 20;

/// Drafts at a time: more people do not change one table.
pub const API_DRAFTS_MAX: usize = 16;

/// How long a draft is kept after it was last touched, in seconds.
pub const API_DRAFT_S_MAX: u64 = 24 * 3_600;

/// Tokens of the admin API.
pub const API_TOKENS_MAX: usize = 256;

/// Networks that one token may come from.
pub const API_TOKEN_NETWORKS_MAX: usize = 64;

/// Wrong tokens a second that one source is told of; more are refused unread.
pub const API_WRONG_TOKENS_PER_SECOND_MAX: u32 = 5;

/// Answers to changes that are kept for who asks again with the same key.
pub const API_REPEATS_MAX: usize = 1_024;

/// How long they are kept, in seconds.
pub const API_REPEAT_S_MAX: u64 = 24 * 3_600;

/// Bytes of an Idempotency-Key.
pub const API_KEY_BYTES_MAX: usize = 128;

/// Calls of one batch of questions.
pub const API_BATCH_MAX: usize = 10_000;

/// Rows of a page of an answer.
pub const API_PAGE_ROWS_MAX: usize = 1_000;

/// Generations whose tables are read for the history of one number.
pub const API_HISTORY_TABLES_MAX: usize = 50;

/// Tables that are read, compared or asked ten thousand questions at a time; more requests
/// for that are refused with 503.
pub const API_HEAVY_MAX: usize = 2;

/// Requests that wait for their turn at that.
pub const API_HEAVY_WAITING_MAX: usize = 16;

/// Events that are kept for who was away.
pub const API_EVENTS_MAX: usize = 1_024;

/// Events that wait for one listener; who is behind by more is hung up on.
pub const API_EVENTS_WAITING_MAX: usize = 256;

/// Who listens to events at a time.
pub const API_LISTENERS_MAX: usize = 64;

/// Who listens to calls at a time: each is told of every call, on the thread that keeps their
/// list. People look on, not machines: those have records.
pub const API_CALL_LISTENERS_MAX: usize = 16;

/// How often who listens to events hears that the server is there, in milliseconds.
pub const API_HEARTBEAT_MS: u64 = 15_000;
/// Memory the allocator may keep beyond what is in use, in bytes, before it has to give it
/// back: what some thousand connections had. Less, and a busy server asks for its pages again
/// and again.
pub const UNUSED_BYTES_KEPT: usize = 32 * 1024 * 1024;

/// Names of trunk groups that calls are counted by, since the start: far more than anybody
/// has, and a place costs 16 bytes a worker. Groups beyond are in no metric.
pub const GROUPS_TALLIED_MAX: usize = 4_096;

/// Bytes of one datagram for a syslog server: RFC 5426 §3.2 has every receiver take 2,048, and
/// those in use take this.
pub const SYSLOG_DATAGRAM_BYTES_MAX: usize = 8 * 1024;

/// Milliseconds a connection for logs or captures may take to come about: its thread has
/// nothing else to do, and the queue before it holds so long.
pub const OUTLET_CONNECT_MS_MAX: u64 = 2_000;

/// Milliseconds one record may take to be taken: who reads nothing for so long is gone.
pub const OUTLET_WRITE_MS_MAX: u64 = 5_000;

/// Milliseconds between two tries to reach who takes logs or captures.
pub const OUTLET_REST_MS: u64 = 500;

/// Octets of one HEP packet: what an IPv4 datagram carries. Its own length could say 28 more.
pub const HEP_PACKET_BYTES_MAX: usize = 65_507;

/// Copies that wait for the capture server. With two thousand calls a second of ten messages
/// each this is almost a second.
pub const HEP_QUEUED_MAX: usize = 16_384;

/// Octets of them together: most messages have some 1,000, and a queue of the longest ones
/// must not take the memory of calls.
pub const HEP_QUEUED_BYTES_MAX: usize = 64 << 20;
