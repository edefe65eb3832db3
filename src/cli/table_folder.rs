//! Which table a verb is about.

use crate::server::config::Config;
use anyhow::bail;
use std::path::{Path, PathBuf};

/// The folder that was named, or that of the configuration that was, or that of
/// `./trunkline.toml` or `/etc/trunkline`.
///
/// # Errors
/// There is no configuration, or it has errors.
pub(super) fn table_folder(named: Option<&Path>, config: Option<&Path>) -> anyhow::Result<PathBuf> {
    if let Some(folder) = named {
        return Ok(folder.to_owned());
    }
    let Some(file) = config.or_else(|| super::configs().next()) else {
        bail!("which table? say --table DIR or --config FILE, or run where trunkline.toml is");
    };
    let config = Config::read(file).map_err(|report| {
        anyhow::anyhow!("{} has errors:\n{}", file.display(), report.text(false))
    })?;
    Ok(config.tables)
}
