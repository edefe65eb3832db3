//! What becomes due, by time.
//!
//! A timer is set for one of a few spans (T1 and its doublings, T4, 64*T1, timer C), so of each span
//! the one that is set later becomes due later: a row per span is in order as it comes, where a heap
//! sorts a hundred thousand of them again and again, mostly outside the cache.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};
use std::time::Instant;

/// Rows that are in order as they come: as many as there are spans at once, nearly.
const ROWS: usize = 8;

/// Elements by the time they become due; of those of one time any may be the first. It costs a
/// constant an element where their spans are few, the logarithm of their number where not.
#[derive(Debug)]
pub(crate) struct DueQueue<T> {
    /// Each by time.
    rows: [VecDeque<(Instant, T)>; ROWS],
    /// What fits behind no row.
    others: BinaryHeap<Reverse<(Instant, T)>>,
}

impl<T: Copy + Ord> Default for DueQueue<T> {
    fn default() -> Self {
        Self {
            rows: std::array::from_fn(|_| VecDeque::new()),
            others: BinaryHeap::new(),
        }
    }
}

impl<T: Copy + Ord> DueQueue<T> {
    pub(crate) fn push(&mut self, at: Instant, element: T) {
        // The row that ends latest before it: one of a longer span would keep it for shorter ones.
        let end = |row: &VecDeque<(Instant, T)>| row.back().map(|(end, _)| *end);
        let fitting = self.rows.iter_mut().filter(|row| end(row) <= Some(at));
        match fitting.max_by_key(|row| end(row)) {
            Some(row) => row.push_back((at, element)),
            None => self.others.push(Reverse((at, element))),
        }
    }

    /// When the first is due.
    pub(crate) fn first(&self) -> Option<Instant> {
        let rows = self.rows.iter().filter_map(VecDeque::front);
        let others = self.others.peek().map(|Reverse(other)| other);
        rows.chain(others).map(|(at, _)| *at).min()
    }

    /// Takes the first if it is due at `now`.
    pub(crate) fn pop_due(&mut self, now: Instant) -> Option<(Instant, T)> {
        let due = |row: &VecDeque<(Instant, T)>| row.front().map(|(at, _)| *at);
        let filled = self.rows.iter_mut().filter(|row| !row.is_empty());
        let row = filled.min_by_key(|row| due(row));
        let in_row = row.as_ref().and_then(|row| due(row));
        let other = self.others.peek().map(|Reverse((at, _))| *at);
        let is_other = other.is_some_and(|other| in_row.is_none_or(|at| other < at));
        if other.filter(|_| is_other).or(in_row)? > now {
            return None;
        }
        match is_other {
            true => self.others.pop().map(|Reverse(first)| first),
            false => row?.pop_front(),
        }
    }

    pub(crate) fn retain(&mut self, mut is_kept: impl FnMut(Instant, T) -> bool) {
        for row in &mut self.rows {
            row.retain(|(at, element)| is_kept(*at, *element));
        }
        self.others
            .retain(|Reverse((at, element))| is_kept(*at, *element));
    }

    pub(crate) fn len(&self) -> usize {
        let rows: usize = self.rows.iter().map(VecDeque::len).sum();
        rows + self.others.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::time::Duration;

    #[derive(Debug, Clone)]
    enum Step {
        /// Set one for so many milliseconds from now.
        Push(u64),
        /// So much time passes.
        Wait(u64),
        /// Those with such a number are dropped.
        Drop(u16),
    }

    fn step() -> impl Strategy<Value = Step> {
        let spans = prop::sample::select(vec![500, 1_000, 2_000, 4_000, 5_000, 32_000, 180_000]);
        prop_oneof![
            6 => spans.prop_map(Step::Push),
            3 => (0..200_000_u64).prop_map(Step::Push),
            4 => (0..3_000_u64).prop_map(Step::Wait),
            1 => (2..9_u16).prop_map(Step::Drop),
        ]
    }

    proptest! {
        /// What is due comes out by time, all of it and nothing else.
        #[test]
        fn it_is_a_heap(steps in prop::collection::vec(step(), 1..400)) {
            let (mut queue, mut all) = (DueQueue::default(), Vec::new());
            let mut now = Instant::now();
            for (number, step) in (0_u16..).zip(steps) {
                match step {
                    Step::Push(ms) => {
                        let at = now + Duration::from_millis(ms);
                        queue.push(at, number);
                        all.push((at, number));
                    }
                    Step::Wait(ms) => {
                        now += Duration::from_millis(ms);
                        let mut popped = Vec::new();
                        while let Some(element) = queue.pop_due(now) {
                            popped.push(element);
                        }
                        prop_assert!(popped.is_sorted_by_key(|(at, _)| *at));
                        popped.sort_unstable();
                        let mut due: Vec<_> = all.extract_if(.., |(at, _)| *at <= now).collect();
                        due.sort_unstable();
                        prop_assert_eq!(popped, due);
                    }
                    Step::Drop(of) => {
                        queue.retain(|_, number| number % of != 0);
                        all.retain(|(_, number)| number % of != 0);
                    }
                }
                prop_assert_eq!(queue.len(), all.len());
                prop_assert_eq!(queue.is_empty(), all.is_empty());
                prop_assert_eq!(queue.first(), all.iter().map(|(at, _)| *at).min());
            }
        }
    }

    /// As a busy proxy sets them: nothing is sorted.
    #[test]
    fn few_spans_need_no_heap() {
        let (mut queue, begun) = (DueQueue::default(), Instant::now());
        for number in 0..50_000_u64 {
            let now = begun + Duration::from_millis(number);
            while queue.pop_due(now).is_some() {}
            for span_ms in [500, 4_000, 5_000, 32_000, 180_000] {
                queue.push(now + Duration::from_millis(span_ms), number);
            }
        }
        assert_eq!(queue.others.len(), 0);
        assert!(queue.len() > 50_000);
    }
}
