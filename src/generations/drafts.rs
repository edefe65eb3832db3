//! Tables that were made beside the operator's folder, and serve before it has them.

use super::{Asked, Denied, Generations, lock};
use crate::ledger::{Cause, Ledger};
use crate::system::files_below;
use crate::tables::source::Sources;
use crate::tables::{Accepted, Reload};
use std::fs;
use std::path::Path;

impl Generations {
    /// Serves the table in `folder`, a draft made of the table with this hash. It serves in
    /// place of what the operator's folder says.
    ///
    /// # Errors
    /// Nothing is kept, another table serves by now, or another change awaits its
    /// confirmation.
    pub fn serve_draft(
        &self,
        folder: &Path,
        base_sha256: &str,
        asked: &Asked,
    ) -> Result<Reload, Denied> {
        let _one_at_a_time = lock(&self.changing);
        if self.kept.archive.is_none() {
            return Err(Denied::NoState);
        }
        let ledger = self.admitted(asked)?;
        let serving = self.store.current();
        if serving.hash().to_string() != base_sha256 {
            let generation = serving.generation();
            return Err(Denied::Stale { generation });
        }
        let how = (Cause::Draft, None);
        let keep = |accepted: &Accepted<'_>| self.kept.keep(&ledger, accepted, how, asked);
        Ok((self.store).change(folder, asked.gates(), keep, self.prepared()))
    }

    /// A file that a draft which serves has changed, and that stands otherwise in what was
    /// read of the operator's folder: serving that would lose the draft.
    pub(super) fn lost_of_draft(&self, ledger: &Ledger, read: &Sources) -> Option<String> {
        let serving = ledger.serving()?;
        if !ledger.is_held() || !ledger.is_drafted() {
            return None;
        }
        let archive = self.kept.archive.as_ref()?;
        let drafted = archive.table_folder(&serving.sha256);
        // Where the folder's own table is not kept any more, all of the draft is a change.
        let folder = ledger.folder_sha256().unwrap_or_default();
        let was = archive.table_folder(folder);
        let mut names = files_below(&drafted).unwrap_or_default();
        names.extend(files_below(&was).unwrap_or_default());
        names.into_iter().find(|name| {
            let bytes = |folder: &Path| fs::read(folder.join(name)).ok();
            let draft = bytes(&drafted);
            let now = read.iter().find(|file| file.name() == name);
            draft != bytes(&was) && draft.as_deref() != now.map(|file| file.bytes())
        })
    }
}
