//! Where the response contexts are kept: places that are used again.

use crate::proxy::response_context::ResponseContext;

/// Contexts by place. Whoever names a place must prove by other means that it means the
/// context that is there now.
#[derive(Debug, Default)]
pub(super) struct Contexts {
    places: Vec<Option<Box<ResponseContext>>>,
    free: Vec<u32>,
    serials: u64,
    /// How many of those that are not in hand have no final answer.
    unanswered: usize,
    /// Taken or reserved, and neither put back nor freed.
    in_hand: Option<u32>,
}

impl Contexts {
    /// A place for a new context, and a number that no other context has. Fill it with
    /// [`Contexts::put`] or give it back with [`Contexts::free`].
    pub(super) fn reserve(&mut self) -> Option<(u32, u64)> {
        let place = match self.free.pop() {
            Some(place) => place,
            None => {
                let place = u32::try_from(self.places.len()).ok()?;
                self.places.push(None);
                place
            }
        };
        self.serials += 1;
        self.in_hand = Some(place);
        Some((place, self.serials))
    }

    /// Takes the context out to work on it; it must be put back, or its place freed.
    pub(super) fn take(&mut self, place: u32) -> Option<Box<ResponseContext>> {
        let context = self.places.get_mut(index(place))?.take();
        if let Some(context) = &context {
            self.in_hand = Some(place);
            self.unanswered -= usize::from(context.answered.is_none());
        }
        context
    }

    pub(super) fn get(&self, place: u32) -> Option<&ResponseContext> {
        self.places.get(index(place))?.as_deref()
    }

    /// For what changes neither its timers nor its end, except that a timer is not wanted
    /// any more.
    pub(super) fn get_mut(&mut self, place: u32) -> Option<&mut ResponseContext> {
        self.places.get_mut(index(place))?.as_deref_mut()
    }

    pub(super) fn put(&mut self, place: u32, context: Box<ResponseContext>) {
        self.in_hand = None;
        if let Some(kept) = self.places.get_mut(index(place)) {
            self.unanswered += usize::from(context.answered.is_none());
            *kept = Some(context);
        }
    }

    /// The place of a context that was dropped where it was worked on. It has to be freed.
    pub(super) const fn lost(&self) -> Option<u32> {
        self.in_hand
    }

    pub(super) fn free(&mut self, place: u32) {
        self.in_hand = None;
        self.free.push(place);
        if self.free.len() == self.places.len() && self.places.len() > KEPT_MAX {
            // At rest: give back what a burst took.
            self.free = Vec::new();
            self.places = Vec::new();
        }
    }

    pub(super) fn len(&self) -> usize {
        self.places.len() - self.free.len()
    }

    /// Those without a final answer, while none is in hand.
    pub(super) const fn unanswered(&self) -> usize {
        self.unanswered
    }
}

/// Empty places that are not worth giving back.
const KEPT_MAX: usize = 4_096;

fn index(place: u32) -> usize {
    usize::try_from(place).unwrap_or(usize::MAX)
}
