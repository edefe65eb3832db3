//! Why a server did not start.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;

use super::secret::NoSecret;
use crate::control::NoSocket;
use crate::generations::NoArchive;
use crate::proxy::FlowTransport;
use crate::records::NoSink;
use crate::tables::diagnostic::Report;
use crate::transport::TlsFileError;

/// Why a server did not start. Nothing is left running.
#[derive(Debug)]
pub enum StartError {
    /// The routing table has errors.
    Table(Box<Report>),
    /// A listener's address cannot be used.
    Bind {
        /// The address.
        address: SocketAddr,
        /// Over what.
        transport: FlowTransport,
        /// What the system said.
        cause: io::Error,
    },
    /// The address for HTTP cannot be used.
    Http {
        /// The address.
        address: SocketAddr,
        /// What the system said.
        cause: io::Error,
    },
    /// A local socket cannot be made.
    Socket(NoSocket),
    /// The audit log cannot be written.
    Audit {
        /// The file.
        file: PathBuf,
        /// What the system said.
        cause: io::Error,
    },
    /// A certificate or a key cannot be used.
    Tls(TlsFileError),
    /// The state folder cannot be used.
    State(NoArchive),
    /// Copies for a capture server cannot be made.
    Hep(io::Error),
    /// There is no secret for the proxy listeners.
    Secret(NoSecret),
    /// A sink of call records cannot be used.
    Records(NoSink),
    /// The system gave no thread, socket or event queue.
    System(io::Error),
}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Table(report) => write!(f, "the routing table has {} errors", report.errors),
            Self::Bind {
                address,
                transport,
                cause,
            } => write!(
                f,
                "cannot listen on {address} ({}): {cause}{}",
                transport.as_str(),
                hint(*transport, cause)
            ),
            Self::Http { address, cause } => write!(
                f,
                "cannot listen on {address} (http): {cause}{}",
                hint(FlowTransport::Tcp, cause)
            ),
            Self::Socket(cause) => write!(f, "{cause}"),
            Self::Audit { file, cause } => {
                let file = file.display();
                write!(f, "cannot open the audit log {file}: {cause}")
            }
            Self::Tls(cause) => write!(f, "{cause}"),
            Self::State(cause) => write!(f, "{cause}"),
            Self::Hep(cause) => write!(f, "cannot capture: {cause}"),
            Self::Secret(cause) => write!(f, "{cause}"),
            Self::Records(cause) => write!(f, "{cause}"),
            Self::System(cause) => write!(f, "cannot start: {cause}"),
        }
    }
}

impl std::error::Error for StartError {}

/// What to do about an address that cannot be used.
fn hint(transport: FlowTransport, cause: &io::Error) -> &'static str {
    match cause.kind() {
        io::ErrorKind::AddrInUse if transport.is_reliable() => {
            "; another process holds this port: `ss -ltnp` shows which"
        }
        io::ErrorKind::AddrInUse => "; another process holds this port: `ss -lunp` shows which",
        io::ErrorKind::AddrNotAvailable => "; no interface of this machine has this address",
        io::ErrorKind::PermissionDenied => "; ports below 1024 need CAP_NET_BIND_SERVICE",
        _ => "",
    }
}
