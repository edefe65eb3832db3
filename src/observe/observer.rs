//! The thread that hears the feed: it knows which calls are up, and tells who wants to know.

use std::collections::HashMap;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use jiff::Timestamp;

use super::call_detail::text;
use super::feed::{Feed, FeedCounts, FeedEnd, FeedEvent, Subscribers, Subscription, Told};
use super::{CallDetail, EndDetail, LoneEnd, NoBeginning};
use crate::limits::{FEED_PAUSE_MS, FEED_QUEUE_MAX, LIVE_CALL_S_MAX, LIVE_CALLS_MAX};
use crate::proxy::{CallEnded, CallWords, ProxiedCall};

/// The observer of a server, for all who ask it. A clone is the same observer.
#[derive(Debug, Clone)]
pub struct Observer {
    live: Arc<Mutex<Live>>,
    subscribers: Subscribers,
    counts: Arc<FeedCounts>,
}

/// The thread of an observer. It ends when the last [`Feed`] is gone.
#[derive(Debug)]
pub struct ObserverThread(Option<JoinHandle<()>>);

/// What is known of a proxy listener: its name, and over what it listens.
#[derive(Debug, Clone)]
pub struct ListenerName {
    /// Empty if it has none.
    pub name: Box<str>,
    /// `udp`, `tcp` or `tls`.
    pub transport: &'static str,
}

/// Some of the calls that are up.
#[derive(Debug, Clone, Default)]
pub struct LiveCalls {
    /// How many fit what was asked.
    pub count: usize,
    /// The oldest of them.
    pub calls: Vec<Arc<CallDetail>>,
}

/// Calls that are up, by their number in the engines.
#[derive(Debug, Default)]
struct Live(HashMap<u64, Arc<CallDetail>>);

/// How often is looked for calls whose end was never told.
const SWEEP: Duration = Duration::from_secs(600);

impl Observer {
    /// Starts the thread. `listeners` are those of the proxy, in the order of the engine.
    ///
    /// # Errors
    /// The system gives no thread.
    pub fn start(listeners: Vec<ListenerName>) -> io::Result<(Feed, Self, ObserverThread)> {
        let (feed, end) = Feed::new();
        let observer = Self {
            live: Arc::default(),
            subscribers: Subscribers::default(),
            counts: Arc::clone(&end.counts),
        };
        let run = Run {
            observer: observer.clone(),
            listeners,
            began_us: Timestamp::now().as_microsecond(),
            named: 0,
        };
        let thread = std::thread::Builder::new().name(String::from("observer"));
        let thread = thread.spawn(move || run.hear(&end))?;
        Ok((feed, observer, ObserverThread(Some(thread))))
    }

    /// From now on whoever holds the subscription is told, with room for so many that wait.
    /// `None` when there are too many already.
    #[must_use]
    pub fn subscribe(&self, room: usize) -> Option<Subscription> {
        self.subscribers.add(room)
    }

    /// The calls that are up, those in which `group` has part if one is named: the oldest of
    /// them, at most so many, and the count of all.
    #[must_use]
    pub fn live_calls(&self, group: Option<&str>, most: usize) -> LiveCalls {
        let live = self.live.lock().unwrap_or_else(PoisonError::into_inner);
        let fits = |call: &&Arc<CallDetail>| group.is_none_or(|group| call.is_of_group(group));
        let mut calls: Vec<_> = live.0.values().filter(fits).cloned().collect();
        drop(live);
        let count = calls.len();
        let by_age = |a: &Arc<CallDetail>, b: &Arc<CallDetail>| (a.at, &a.id).cmp(&(b.at, &b.id));
        if most < count {
            calls.select_nth_unstable_by(most, by_age);
            calls.truncate(most);
        }
        calls.sort_unstable_by(by_age);
        LiveCalls { count, calls }
    }

    /// How many calls are up.
    #[must_use]
    pub fn live_count(&self) -> usize {
        let live = self.live.lock().unwrap_or_else(PoisonError::into_inner);
        live.0.len()
    }

    /// What was counted.
    #[must_use]
    pub fn counts(&self) -> &FeedCounts {
        &self.counts
    }
}

impl ObserverThread {
    /// Waits until all that was told has been heard, once every [`Feed`] is gone.
    pub fn join(&mut self) {
        if let Some(thread) = self.0.take() {
            // It panics for defects only, and has said so.
            let _ = thread.join();
        }
    }
}

struct Run {
    observer: Observer,
    listeners: Vec<ListenerName>,
    began_us: i64,
    named: u64,
}

impl Run {
    fn hear(mut self, end: &FeedEnd) {
        let mut swept = Instant::now();
        // Asleep until something is told, then a pause in which more gathers: a worker wakes
        // this thread two hundred times a second at most.
        while let Ok(event) = end.queue.recv() {
            self.take(event);
            for event in end.queue.try_iter().take(FEED_QUEUE_MAX) {
                self.take(event);
            }
            if swept.elapsed() > SWEEP {
                swept = Instant::now();
                self.sweep(Timestamp::now());
            }
            std::thread::sleep(Duration::from_millis(FEED_PAUSE_MS));
        }
        self.observer.subscribers.close();
    }

    fn take(&mut self, event: FeedEvent) {
        let told = match event {
            FeedEvent::Proxied(call) => self.proxied(&call),
            FeedEvent::Decided(call) => {
                let id = self.name();
                Told::Over(Arc::new(CallDetail::of_decided(id, &call)))
            }
            FeedEvent::Ended(ended, at) => self.ended(&ended, at),
        };
        self.observer.subscribers.tell(&told);
    }

    fn proxied(&self, call: &ProxiedCall) -> Told {
        let listener = self.listeners.get(usize::from(call.listener));
        let listener = listener.map_or(("", "udp"), |l| (&*l.name, l.transport));
        let id = format!("{:x}-{:x}", self.began_us, call.number).into();
        let detail = Arc::new(CallDetail::of_proxied(id, listener, call));
        if !detail.was_up() {
            return Told::Over(detail);
        }
        let mut live = self.live();
        if call.is_followed && live.0.len() < LIVE_CALLS_MAX {
            live.0.insert(call.number, Arc::clone(&detail));
            return Told::Up(detail);
        }
        self.observer.counts.count_unfollowed();
        Told::Over(detail)
    }

    fn ended(&mut self, ended: &CallEnded, at: Timestamp) -> Told {
        let words = CallWords::of(&ended.bye);
        let mut end = EndDetail {
            at,
            by: Some(ended.by),
            up_ms: ended.up_ms,
            source: ended.source,
            q850: words.q850,
            sip: words.sip,
            text: words.text.map(text),
        };
        let known = ended.call.and_then(|call| self.live().0.remove(&call));
        match known {
            Some(call) => {
                if let Some(up_ms) = ended.up_ms {
                    end.at = later(call.at, u64::from(call.answer_ms) + up_ms);
                }
                Told::Over(over(call, end))
            }
            None => Told::LoneEnd(Arc::new(LoneEnd {
                id: self.name(),
                why: match ended.call {
                    None => NoBeginning::Before,
                    Some(_) => NoBeginning::Missed,
                },
                call_id: text(words.call_id),
                session_id: words.session_id.map(text),
                end,
            })),
        }
    }

    /// Calls whose end had no room in the queue are not up for ever.
    fn sweep(&self, now: Timestamp) {
        let oldest = now.as_second() - i64::try_from(LIVE_CALL_S_MAX).unwrap_or(i64::MAX);
        let is_old = |_: &u64, call: &mut Arc<CallDetail>| call.at.as_second() < oldest;
        let old: Vec<_> = self.live().0.extract_if(is_old).collect();
        for (_, call) in old {
            let end = EndDetail {
                at: now,
                by: None,
                up_ms: None,
                source: None,
                q850: None,
                sip: None,
                text: None,
            };
            self.observer.subscribers.tell(&Told::Over(over(call, end)));
        }
    }

    /// A name for what has no number: beyond those of all workers.
    fn name(&mut self) -> Box<str> {
        self.named += 1;
        format!("{:x}-{:x}", self.began_us, 1_u64 << 63 | self.named).into()
    }

    fn live(&self) -> std::sync::MutexGuard<'_, Live> {
        (self.observer.live.lock()).unwrap_or_else(PoisonError::into_inner)
    }
}

fn over(call: Arc<CallDetail>, end: EndDetail) -> Arc<CallDetail> {
    let mut call = Arc::unwrap_or_clone(call);
    call.end = Some(end);
    Arc::new(call)
}

fn later(at: Timestamp, ms: u64) -> Timestamp {
    let ms = i64::try_from(ms).unwrap_or(i64::MAX);
    at.checked_add(jiff::SignedDuration::from_millis(ms))
        .unwrap_or(at)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)] // a test may fail loudly
    use super::*;
    use crate::observe::AnsweredBy;
    use crate::proxy::CallEnd;

    fn run() -> Run {
        let observer = Observer {
            live: Arc::default(),
            subscribers: Subscribers::default(),
            counts: Arc::default(),
        };
        Run {
            observer,
            listeners: Vec::new(),
            began_us: 0x5EED,
            named: 0,
        }
    }

    fn call(at: Timestamp, from: &str) -> Arc<CallDetail> {
        Arc::new(CallDetail {
            id: "x-1".into(),
            answered_by: AnsweredBy::Proxy,
            at,
            listener: "".into(),
            transport: "udp",
            source: "10.0.0.1:5060".parse().unwrap(),
            call_id: "one".into(),
            session_id: None,
            from: from.into(),
            dialled: "1".into(),
            called: None,
            shown: None,
            calling: None,
            emergency: false,
            decision: "route",
            routes: Vec::new(),
            rule: None,
            generation: 1,
            attempts: Vec::new(),
            status: 200,
            ended_by: "answer",
            progress_ms: None,
            answer_ms: 250,
            end: None,
        })
    }

    fn ended(call: Option<u64>) -> CallEnded {
        CallEnded {
            call,
            by: CallEnd::Caller,
            up_ms: call.map(|_| 1_000),
            bye: bytes::Bytes::from_static(b"BYE sip:a@b SIP/2.0\r\nCall-ID: one\r\n\r\n"),
            source: None,
        }
    }

    #[test]
    fn the_oldest_are_shown_and_those_of_a_group() {
        let run = run();
        let now: Timestamp = "2026-03-02T10:00:00Z".parse().unwrap();
        for number in 0..50_u64 {
            let at = later(now, (number * 7) % 50);
            let from = if number % 5 == 0 { "pstn" } else { "sbc" };
            run.live().0.insert(number, call(at, from));
        }
        let shown = run.observer.live_calls(None, 3);
        let ages: Vec<_> = shown.calls.iter().map(|call| call.at).collect();
        assert_eq!(
            (shown.count, ages),
            (50, vec![now, later(now, 1), later(now, 2)])
        );
        assert_eq!(run.observer.live_calls(Some("pstn"), 100).calls.len(), 10);
        assert_eq!(run.observer.live_calls(Some("nobody"), 100).count, 0);
    }

    #[test]
    fn an_end_finds_its_beginning_or_says_why_not() {
        let mut run = run();
        let began: Timestamp = "2026-03-02T10:00:00Z".parse().unwrap();
        run.live().0.insert(7, call(began, "sbc"));
        let late: Timestamp = "2026-03-02T11:00:00Z".parse().unwrap();
        let Told::Over(over) = run.ended(&ended(Some(7)), late) else {
            panic!("it was up");
        };
        // By the engine's clock, not by that of whoever tells of it.
        assert_eq!(over.end.as_ref().unwrap().at, later(began, 1_250));
        for (number, why) in [(Some(7), NoBeginning::Missed), (None, NoBeginning::Before)] {
            let Told::LoneEnd(end) = run.ended(&ended(number), late) else {
                panic!("nobody knows it");
            };
            assert_eq!((end.why, &*end.call_id, end.end.at), (why, "one", late));
        }
    }

    #[test]
    fn a_call_whose_end_was_lost_is_not_up_for_ever() {
        let run = run();
        let mut hears = run.observer.subscribe(10).unwrap();
        let now: Timestamp = "2026-03-09T10:00:01Z".parse().unwrap();
        run.live()
            .0
            .insert(1, call("2026-03-02T10:00:00Z".parse().unwrap(), "sbc"));
        run.live()
            .0
            .insert(2, call("2026-03-02T10:00:02Z".parse().unwrap(), "sbc"));
        run.sweep(now);
        assert_eq!(run.observer.live_count(), 1);
        let Some(Told::Over(over)) = hears.try_recv() else {
            panic!("it is told");
        };
        assert_eq!(over.end.as_ref().unwrap().by, None);
        assert!(hears.try_recv().is_none());
    }
}
