//! Who hears of calls while a server runs.

use std::thread::JoinHandle;

use super::calls::CallDesk;
use super::shared::{Shared, listener_name};
use super::{ServerHandle, StartError, capturing};
use crate::hep::Capture;
use crate::observe::{Observer, ObserverThread};
use crate::records::Records;

/// Who hears of calls.
#[derive(Debug)]
pub(super) struct Observing {
    pub(super) observer: Observer,
    pub(super) thread: ObserverThread,
    pub(super) records: Records,
    /// Copies records for a capture server.
    pub(super) copies: Option<JoinHandle<()>>,
    pub(super) desk: CallDesk,
}

impl ServerHandle {
    /// Has calls told of from now on, if anybody wants to know.
    pub(super) fn observe(&mut self, shared: &mut Shared<'_>) -> Result<(), StartError> {
        if !shared.config.tells_calls() {
            return Ok(());
        }
        let listeners = shared.proxy_listeners.iter().map(listener_name);
        let (feed, observer, thread) =
            Observer::start(listeners.collect()).map_err(StartError::System)?;
        let config = shared.config;
        let records = Records::start(&config.records.sinks, &observer);
        let records = records.map_err(StartError::Records)?;
        let capture = shared.capture.clone().filter(Capture::takes_records);
        let copies = capture
            .map(|capture| capturing::copy_records(capture, &observer, config.mask_numbers))
            .transpose();
        shared.feed = Some(feed);
        self.observing = Some(Observing {
            desk: CallDesk::new(&observer, &records, config.mask_numbers),
            observer,
            thread,
            records,
            copies: copies.map_err(StartError::Hep)?,
        });
        Ok(())
    }
}
