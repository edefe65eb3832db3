//! The secret by which a proxy knows its own dialogs again, also after a restart.

use std::fmt;
use std::fs::{self, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use crate::system::fill_random;

/// The secret in its plain form.
pub(super) type Secret = [u8; 16];

/// Why there is no secret.
#[derive(Debug)]
pub enum NoSecret {
    /// The file could not be read or made.
    File {
        /// The file.
        file: PathBuf,
        /// What the system said.
        cause: io::Error,
    },
    /// Others than its owner can read the file.
    Shared(PathBuf),
    /// The file holds something else.
    Damaged(PathBuf),
    /// The system gave no chance.
    Chance(io::Error),
}

impl fmt::Display for NoSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File { file, cause } => {
                write!(f, "cannot use the secret_file {}: {cause}", file.display())
            }
            Self::Shared(file) => write!(
                f,
                "others can read the secret_file {}: `chmod 600` it, or delete it and a new one is made",
                file.display()
            ),
            Self::Damaged(file) => write!(
                f,
                "the secret_file {} does not hold 32 hexadecimal digits: delete it and a new one is made",
                file.display()
            ),
            Self::Chance(cause) => write!(f, "the system gives no random bytes: {cause}"),
        }
    }
}

/// Hexadecimal digits of a secret, and a line end.
const TEXT_BYTES_MAX: u64 = 34;

/// Reads the secret of the file, or draws one and writes it there when there is no file;
/// without a name draws one that ends with the process.
pub(super) fn secret(file: Option<&Path>) -> Result<Secret, NoSecret> {
    let Some(file) = file else {
        return draw();
    };
    let told = |cause| NoSecret::File {
        file: file.to_owned(),
        cause,
    };
    match OpenOptions::new().read(true).open(file) {
        Ok(opened) => {
            let mode = opened.metadata().map_err(told)?.permissions().mode();
            if mode & 0o077 != 0 {
                return Err(NoSecret::Shared(file.to_owned()));
            }
            let mut text = String::new();
            let read = opened.take(TEXT_BYTES_MAX + 1).read_to_string(&mut text);
            match read {
                Err(cause) if cause.kind() != io::ErrorKind::InvalidData => Err(told(cause)),
                _ => parse(text.trim_end()).ok_or_else(|| NoSecret::Damaged(file.to_owned())),
            }
        }
        Err(cause) if cause.kind() == io::ErrorKind::NotFound => {
            let secret = draw()?;
            write(file, secret).map_err(told)?;
            Ok(secret)
        }
        Err(cause) => Err(told(cause)),
    }
}

/// Whether the file holds a secret; `false` where it is not there yet.
pub(super) fn check(file: &Path) -> Result<bool, NoSecret> {
    if file.exists() {
        secret(Some(file)).map(|_| true)
    } else {
        Ok(false)
    }
}

fn draw() -> Result<Secret, NoSecret> {
    let mut secret = Secret::default();
    fill_random(&mut secret).map_err(NoSecret::Chance)?;
    Ok(secret)
}

/// Whole or not at all: a half-written file would keep the next start from coming up.
fn write(file: &Path, secret: Secret) -> io::Result<()> {
    let new = file.with_extension("new");
    match fs::remove_file(&new) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut options = OpenOptions::new();
    let mut opened = options
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&new)?;
    for byte in secret {
        write!(opened, "{byte:02x}")?;
    }
    writeln!(opened)?;
    opened.sync_all()?;
    fs::rename(&new, file)
}

fn parse(text: &str) -> Option<Secret> {
    if text.len() != 32 || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return None;
    }
    Some(u128::from_str_radix(text, 16).ok()?.to_be_bytes())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)] // a test may fail loudly
    use super::*;

    #[test]
    fn a_secret_is_drawn_once_and_read_ever_after() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("proxy.secret");
        let drawn = secret(Some(&file)).unwrap();
        assert_ne!(drawn, Secret::default());
        assert_eq!(secret(Some(&file)).unwrap(), drawn);
        let mode = fs::metadata(&file).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        assert_ne!(secret(None).unwrap(), secret(None).unwrap());
    }

    #[test]
    fn what_is_wrong_with_the_file_is_said() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("proxy.secret");
        let told = || secret(Some(&file)).unwrap_err().to_string();
        for text in ["", "abc", "zz", &"0".repeat(33), &"é".repeat(16)] {
            fs::write(&file, text).unwrap();
            fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
            assert!(told().contains("32 hexadecimal digits"), "{text:?}");
        }
        fs::write(&file, [0xff; 32]).unwrap();
        assert!(told().contains("32 hexadecimal digits"));
        fs::set_permissions(&file, fs::Permissions::from_mode(0o640)).unwrap();
        assert!(told().contains("chmod 600"), "{}", told());
        fs::remove_file(&file).unwrap();
        let nowhere = file.join("deeper");
        let error = secret(Some(&nowhere)).unwrap_err().to_string();
        assert!(error.contains("proxy.secret/deeper"), "{error}");
    }
}
