//! A Unix socket that its user and its group may open, and who it is that came in.

use super::access::Peer;
use crate::system;
use std::fmt;
use std::fs::{self, Permissions};
use std::io;
use std::os::fd::AsFd as _;
use std::os::unix::fs::{FileTypeExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use tokio::net::{UnixListener, UnixStream};

/// Why there is no socket.
#[derive(Debug)]
pub struct NoSocket {
    path: PathBuf,
    cause: io::Error,
}

impl fmt::Display for NoSocket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let hint = match self.cause.kind() {
            io::ErrorKind::NotFound => "; its folder is not there",
            io::ErrorKind::AddrInUse => "; another server answers there, or it is no socket",
            _ => "",
        };
        let path = self.path.display();
        write!(f, "cannot make the socket {path}: {}{hint}", self.cause)
    }
}

impl std::error::Error for NoSocket {}

/// A local socket. Its file goes with it.
#[derive(Debug)]
pub struct LocalDoor {
    listener: std::os::unix::net::UnixListener,
    path: PathBuf,
}

impl LocalDoor {
    /// Makes the socket, readable and writable for its user and group only. One that a dead
    /// process left is replaced; one that is answered is not.
    ///
    /// # Errors
    /// What the system said.
    pub fn bind(path: &Path) -> Result<Self, NoSocket> {
        let listener = bind(path).map_err(|cause| NoSocket {
            path: path.to_owned(),
            cause,
        })?;
        Ok(Self {
            listener,
            path: path.to_owned(),
        })
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The socket, for the runtime this is called in.
    ///
    /// # Errors
    /// What the system said.
    pub fn listener(&self) -> io::Result<UnixListener> {
        UnixListener::from_std(self.listener.try_clone()?)
    }
}

impl Drop for LocalDoor {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.path);
    }
}

fn bind(path: &Path) -> io::Result<std::os::unix::net::UnixListener> {
    remove_dead(path)?;
    let socket = socket2::Socket::new(socket2::Domain::UNIX, socket2::Type::STREAM, None)?;
    socket.bind(&socket2::SockAddr::unix(path)?)?;
    // Before anybody can connect.
    fs::set_permissions(path, Permissions::from_mode(0o660))?;
    socket.listen(16)?;
    socket.set_nonblocking(true)?;
    Ok(socket.into())
}

/// A process that was killed leaves its socket behind.
fn remove_dead(path: &Path) -> io::Result<()> {
    let kind = match fs::symlink_metadata(path) {
        Ok(found) => found.file_type(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
    };
    let refused = |error: io::Error| error.kind() == io::ErrorKind::ConnectionRefused;
    let dead =
        kind.is_socket() && std::os::unix::net::UnixStream::connect(path).is_err_and(refused);
    if dead {
        fs::remove_file(path)
    } else {
        Err(io::Error::from(io::ErrorKind::AddrInUse))
    }
}

/// Who is at the other end, by the kernel.
///
/// # Errors
/// What the system said.
pub fn peer_of(stream: &UnixStream) -> io::Result<Peer> {
    let known = stream.peer_cred()?;
    let mut gids = vec![known.gid()];
    // A kernel that does not tell them leaves the primary one.
    gids.extend(system::peer_groups(stream.as_fd()).unwrap_or_default());
    Ok(Peer {
        uid: known.uid(),
        gids,
    })
}
