//! One connection: messages out of its bytes, bytes out of messages, and its end.

use std::collections::VecDeque;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use bytes::{Buf, Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadHalf, WriteHalf};
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::mpsc::{Receiver, Sender};
use tokio::time::{Sleep, sleep_until, timeout};

use super::connections::{Heard, Unsent};
use super::{Ended, Pass};
use crate::limits::{
    CONNECTION_IDLE_MS_MAX, CONNECTION_UNREAD_BYTES_MAX, FIRST_BYTE_MS_MAX, LINGER_BYTES_MAX,
    LINGER_MS_MAX, MESSAGE_MS_MAX, REQUESTS_UNHEARD_MAX, UNREAD_MS_MAX,
};
use crate::proxy::Flow;
use crate::sip::{Frame, Framer};

/// Room made for what is read next: on a connection with little to say, and on a busy one.
const READ_BYTES: usize = 2 << 10;
const READ_BYTES_BUSY: usize = 16 << 10;

/// How a connection is reached from its worker, and how the worker hears of it.
pub(super) struct Ends {
    pub(super) number: u64,
    pub(super) flow: Flow,
    pub(super) letters: Receiver<Bytes>,
    pub(super) unread: Arc<Unread>,
    pub(super) tell: Sender<Heard>,
}

/// What was given to a connection and not yet to the system.
#[derive(Debug, Default)]
pub(super) struct Unread {
    bytes: AtomicUsize,
    /// There was more than may be: the peer does not read.
    is_over: AtomicBool,
}

/// What a connection has in hand.
struct Conversation<S> {
    ends: Ends,
    reader: ReadHalf<S>,
    writer: WriteHalf<S>,
    framer: Framer,
    /// Received, and no whole message yet.
    received: BytesMut,
    /// To be written.
    out: BytesMut,
    /// Requests that were written, or are about to be: nobody knows who heard them.
    unheard: VecDeque<Bytes>,
    clock: Clock,
    /// Of one that was accepted.
    pass: Option<Pass>,
    /// It need not make room for others: it has brought a message, or is ours.
    is_proven: bool,
    is_reading: bool,
    is_busy: bool,
    /// The worker has nothing more to send.
    is_told_all: bool,
    is_flushed: bool,
}

/// Since when it waits for what.
struct Clock {
    /// Until when the first byte has to come.
    first_byte: Option<Instant>,
    /// Since when the message at the front is coming.
    message: Option<Instant>,
    /// Since when what is to be written is not taken.
    unread: Option<Instant>,
    last: Instant,
}

/// Serves a connection until it ends; tells its worker why, and what was not sent.
///
/// Without a `pass` it is one we opened: then the peer need not speak first.
pub(super) async fn serve<S>(stream: S, ends: Ends, pass: Option<Pass>)
where
    S: AsyncRead + AsyncWrite,
{
    let (reader, writer) = tokio::io::split(stream);
    let (now, is_ours) = (Instant::now(), pass.is_none());
    let mut conversation = Conversation {
        ends,
        reader,
        writer,
        framer: Framer::new(),
        received: BytesMut::new(),
        out: BytesMut::new(),
        unheard: VecDeque::new(),
        clock: Clock {
            first_byte: (!is_ours).then(|| now + Duration::from_millis(FIRST_BYTE_MS_MAX)),
            message: None,
            unread: None,
            last: now,
        },
        pass,
        is_proven: is_ours,
        is_reading: true,
        is_busy: false,
        is_told_all: false,
        is_flushed: true,
    };
    let why = conversation.run().await;
    if why == Ended::ByUs {
        conversation.linger().await;
    }
    let Conversation {
        ends,
        unheard,
        pass: _held_until_told,
        ..
    } = conversation;
    ends.closed(why, None, unheard.into()).await;
}

impl Ends {
    /// Tells the worker of the end, with what it may want to send otherwise.
    pub(super) async fn closed(
        mut self,
        why: Ended,
        detail: Option<Box<str>>,
        mut unsent: Vec<Bytes>,
    ) {
        self.letters.close();
        while let Ok(letter) = self.letters.try_recv() {
            unsent.push(letter);
        }
        let heard = Heard::Closed {
            number: self.number,
            flow: self.flow,
            why,
            detail,
            unsent,
        };
        // Nobody hears it when the worker has ended.
        let _ = self.tell.send(heard).await;
    }
}

impl<S: AsyncRead + AsyncWrite> Conversation<S> {
    async fn run(&mut self) -> Ended {
        let mut alarm = Box::pin(sleep_until(self.clock.due().into()));
        loop {
            if self.is_told_all && self.out.is_empty() && self.is_flushed {
                return Ended::ByUs;
            }
            set(&mut alarm, self.clock.due());
            let has_out = !self.out.is_empty() || !self.is_flushed;
            if self.is_reading {
                let room = if self.is_busy {
                    READ_BYTES_BUSY
                } else {
                    READ_BYTES
                };
                self.received.reserve(room);
            }
            let step = tokio::select! {
                letter = self.ends.letters.recv(), if !self.is_told_all => Step::Letter(letter),
                step = push(&mut self.writer, &mut self.out), if has_out => step,
                read = self.reader.read_buf(&mut self.received), if self.is_reading =>
                    Step::Read(read),
                () = &mut alarm => Step::Alarm,
                () = has_to_leave(self.pass.as_ref()), if !self.is_proven => Step::Leave,
            };
            if let Some(why) = self.take(step).await {
                return why;
            }
        }
    }

    /// Does what a step asks for. The reason to end, if it is one.
    async fn take(&mut self, step: Step) -> Option<Ended> {
        let now = Instant::now();
        match step {
            Step::Letter(None) if self.ends.unread.is_over.load(Ordering::Relaxed) => {
                return Some(Ended::Unread);
            }
            Step::Letter(None) => {
                self.is_told_all = true;
                self.clock.unread = Some(now);
            }
            Step::Letter(Some(letter)) => {
                self.write(now, letter);
                while let Ok(letter) = self.ends.letters.try_recv() {
                    self.write(now, letter);
                }
            }
            Step::Wrote(Ok(count @ 1..)) => {
                self.ends.unread.bytes.fetch_sub(count, Ordering::Relaxed);
                self.is_flushed = false;
                self.clock.last = now;
                if !self.is_told_all {
                    self.clock.unread = (!self.out.is_empty()).then_some(now);
                }
                if self.out.is_empty() {
                    // What it grew to for one burst is not kept for the next.
                    self.out = BytesMut::new();
                }
            }
            Step::Flushed(Ok(())) => self.is_flushed = true,
            // Under TLS the end of the stream without the word for it. What was cut off so
            // is no whole message, and counts as little as without TLS.
            Step::Read(Err(error)) if error.kind() != io::ErrorKind::UnexpectedEof => {
                return Some(Ended::Broken);
            }
            Step::Wrote(_) | Step::Flushed(Err(_)) => return Some(Ended::Broken),
            Step::Read(Ok(0) | Err(_)) => {
                let between = self.received.is_empty() && self.out.is_empty();
                return Some(if between {
                    Ended::ByPeer
                } else {
                    Ended::Broken
                });
            }
            Step::Read(Ok(count)) => {
                self.is_busy = count >= READ_BYTES;
                self.clock.last = now;
                self.clock.first_byte = None;
                return self.frames(now).await;
            }
            Step::Alarm => return self.clock.overdue(now),
            Step::Leave => return Some(Ended::MadeRoom),
        }
        None
    }

    fn write(&mut self, now: Instant, letter: Bytes) {
        self.out.extend_from_slice(&letter);
        self.clock.unread.get_or_insert(now);
        if !letter.starts_with(b"SIP/") {
            if self.unheard.len() >= REQUESTS_UNHEARD_MAX {
                self.unheard.pop_front();
            }
            self.unheard.push_back(letter);
        }
    }

    /// Takes the whole messages off what was received. RFC 3261 §18.3, RFC 5626 §3.5.1.
    async fn frames(&mut self, now: Instant) -> Option<Ended> {
        loop {
            let (flow, is_lost, bytes) = match self.framer.next(&self.received) {
                Ok(parsed) => match parsed.complete() {
                    None => break,
                    Some(Frame::Message(length)) => {
                        let message = self.received.split_to(length.min(self.received.len()));
                        (self.ends.flow, false, message.freeze())
                    }
                    Some(pinged) => {
                        self.received
                            .advance(pinged.length().min(self.received.len()));
                        if pinged == Frame::Ping && !self.pong(now) {
                            return Some(Ended::Unread);
                        }
                        continue;
                    }
                },
                Err(_) => (self.ends.flow, true, self.received.split().freeze()),
            };
            let heard = Heard::Message {
                number: self.ends.number,
                flow,
                bytes,
                is_last: is_lost,
            };
            if self.ends.tell.send(heard).await.is_err() {
                return Some(Ended::ByUs);
            }
            self.clock.message = None;
            if let Some(pass) = self.pass.as_ref().filter(|_| !self.is_proven) {
                pass.prove();
                self.is_proven = true;
            }
            if is_lost {
                self.is_reading = false;
                break;
            }
        }
        self.clock.message = match self.received.first() {
            // A lone CRLF may be a pong, and may be half a ping: no message is late.
            None | Some(b'\r') => None,
            Some(_) => Some(self.clock.message.unwrap_or(now)),
        };
        if self.received.is_empty() {
            // A connection that is silent for hours keeps no room for it.
            self.received = BytesMut::new();
        }
        None
    }

    /// RFC 5626 §4.4.1. Whether there was room for it.
    fn pong(&mut self, now: Instant) -> bool {
        const PONG: &[u8] = b"\r\n";
        let bytes = &self.ends.unread.bytes;
        let unread = bytes.fetch_add(PONG.len(), Ordering::Relaxed);
        self.out.extend_from_slice(PONG);
        self.clock.unread.get_or_insert(now);
        unread < CONNECTION_UNREAD_BYTES_MAX
    }

    /// Sees to it that the peer gets the last answer: closed with bytes unread, the system
    /// would reset the connection, and the answer would be lost with it.
    async fn linger(&mut self) {
        let closing = async {
            self.writer.shutdown().await?;
            let mut left = LINGER_BYTES_MAX;
            let mut room = [0; 4 << 10];
            while let count @ 1.. = self.reader.read(&mut room).await? {
                left = left.checked_sub(count).ok_or(io::ErrorKind::Other)?;
            }
            Ok::<_, io::Error>(())
        };
        let _ = timeout(Duration::from_millis(LINGER_MS_MAX), closing).await;
    }
}

/// Gives the system what it takes, or sees to it that nothing lies between it and us. May be
/// called off at any time.
async fn push<S: AsyncRead + AsyncWrite>(writer: &mut WriteHalf<S>, out: &mut BytesMut) -> Step {
    if out.is_empty() {
        Step::Flushed(writer.flush().await)
    } else {
        Step::Wrote(writer.write_buf(out).await)
    }
}

/// What happened on a connection.
enum Step {
    Letter(Option<Bytes>),
    Wrote(io::Result<usize>),
    Flushed(io::Result<()>),
    Read(io::Result<usize>),
    Alarm,
    Leave,
}

async fn has_to_leave(pass: Option<&Pass>) {
    match pass {
        Some(pass) => pass.asked_to_leave().await,
        None => std::future::pending().await,
    }
}

impl Clock {
    fn due(&self) -> Instant {
        self.waits().map(|(at, _)| at).min().unwrap_or(self.last)
    }

    fn overdue(&self, now: Instant) -> Option<Ended> {
        let mut over = self.waits().filter(|(at, _)| *at <= now);
        over.next().map(|(_, why)| why)
    }

    fn waits(&self) -> impl Iterator<Item = (Instant, Ended)> {
        let after = |since: Instant, ms| since + Duration::from_millis(ms);
        [
            self.first_byte.map(|at| (at, Ended::Silent)),
            self.message
                .map(|since| (after(since, MESSAGE_MS_MAX), Ended::Slow)),
            self.unread
                .map(|since| (after(since, UNREAD_MS_MAX), Ended::Unread)),
            Some((after(self.last, CONNECTION_IDLE_MS_MAX), Ended::Idle)),
        ]
        .into_iter()
        .flatten()
    }
}

/// Most waits end before they are due, so the alarm is set anew only for an earlier one, and
/// now and then rings for nothing.
fn set(alarm: &mut Pin<Box<Sleep>>, due: Instant) {
    let set_for = alarm.deadline().into_std();
    if due < set_for || alarm.is_elapsed() {
        alarm.as_mut().reset(due.into());
    }
}

impl Unread {
    /// Whether all of it has been given to the system.
    pub(super) fn is_none(&self) -> bool {
        self.bytes.load(Ordering::Relaxed) == 0
    }
}

/// Puts a message into the queue of a connection, if its peer reads.
pub(super) fn post(letters: &Sender<Bytes>, unread: &Unread, bytes: Bytes) -> Result<(), Unsent> {
    let length = bytes.len();
    let before = unread.bytes.fetch_add(length, Ordering::Relaxed);
    let sent = if before + length > CONNECTION_UNREAD_BYTES_MAX {
        Err(TrySendError::Full(bytes))
    } else {
        letters.try_send(bytes)
    };
    sent.map_err(|error| {
        unread.bytes.fetch_sub(length, Ordering::Relaxed);
        match error {
            TrySendError::Full(bytes) => {
                unread.is_over.store(true, Ordering::Relaxed);
                Unsent::Unread(bytes)
            }
            TrySendError::Closed(bytes) => Unsent::Gone(bytes),
        }
    })
}
