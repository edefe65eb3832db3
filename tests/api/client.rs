//! A client that says exactly what it is told to say.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use tokio_rustls::rustls::pki_types::ServerName;
use tokio_rustls::rustls::{ClientConfig, ClientConnection, StreamOwned};

#[derive(Clone)]
pub(crate) struct Client {
    place: Place,
    headers: Vec<(String, String)>,
}

#[derive(Clone)]
enum Place {
    Local(PathBuf),
    Network(u16),
    Tls(u16, String, Arc<ClientConfig>),
}

pub(crate) trait Stream: Read + Write {}
impl<T: Read + Write> Stream for T {}

/// What was answered.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) text: String,
}

impl Client {
    pub(crate) fn local(path: &Path) -> Self {
        Self {
            place: Place::Local(path.to_owned()),
            headers: Vec::new(),
        }
    }

    pub(crate) fn network(port: u16) -> Self {
        Self {
            place: Place::Network(port),
            headers: Vec::new(),
        }
    }

    pub(crate) fn tls(port: u16, name: &str, config: Arc<ClientConfig>) -> Self {
        Self {
            place: Place::Tls(port, name.to_owned(), config),
            headers: Vec::new(),
        }
    }

    pub(crate) fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    pub(crate) fn connect(&self) -> Box<dyn Stream> {
        let patience = Some(Duration::from_secs(120));
        match &self.place {
            Place::Local(path) => {
                let stream = UnixStream::connect(path).unwrap();
                stream.set_read_timeout(patience).unwrap();
                Box::new(stream)
            }
            Place::Network(port) => {
                let stream = TcpStream::connect(("127.0.0.1", *port)).unwrap();
                stream.set_read_timeout(patience).unwrap();
                Box::new(stream)
            }
            Place::Tls(port, name, config) => {
                let stream = TcpStream::connect(("127.0.0.1", *port)).unwrap();
                stream.set_read_timeout(patience).unwrap();
                let name = ServerName::try_from(name.clone()).unwrap();
                let session = ClientConnection::new(Arc::clone(config), name).unwrap();
                Box::new(StreamOwned::new(session, stream))
            }
        }
    }

    pub(crate) fn get(&self, path: &str) -> Reply {
        self.send("GET", path, "")
    }

    /// A request below `/api/v1`; a body that begins with a brace is JSON.
    pub(crate) fn send(&self, method: &str, path: &str, body: &str) -> Reply {
        let mut head = self.head(method, path);
        let is_json = body.starts_with(['{', '[']);
        if !body.is_empty() {
            let kind = if is_json {
                "application/json"
            } else {
                "text/plain"
            };
            head.push_str(&format!("Content-Type: {kind}\r\n"));
        }
        if method != "GET" {
            head.push_str(&format!("Content-Length: {}\r\n", body.len()));
        }
        self.say(format!("{head}\r\n{body}").as_bytes())
    }

    /// The head of a request, without its end.
    pub(crate) fn head(&self, method: &str, path: &str) -> String {
        let mut head =
            format!("{method} /api/v1{path} HTTP/1.1\r\nHost: h\r\nConnection: close\r\n");
        for (name, value) in &self.headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        head
    }

    /// Whatever comes back for these bytes.
    pub(crate) fn say(&self, bytes: &[u8]) -> Reply {
        let mut stream = self.connect();
        // Whoever is refused early need not be heard to the end.
        let _ = stream.write_all(bytes);
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer);
        Reply::read(&answer)
    }
}

impl Reply {
    fn read(bytes: &[u8]) -> Self {
        let text = String::from_utf8_lossy(bytes);
        let (head, body) = text.split_once("\r\n\r\n").unwrap_or((&text, ""));
        let status = head.split(' ').nth(1).and_then(|word| word.parse().ok());
        let text = if head
            .to_ascii_lowercase()
            .contains("transfer-encoding: chunked")
        {
            unchunked(body)
        } else {
            body.to_owned()
        };
        Self {
            status: status.unwrap_or(0),
            head: head.to_owned(),
            text,
        }
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|error| panic!("{error}: {}", self.text))
    }

    /// The word of a problem.
    pub(crate) fn code(&self) -> String {
        self.json()["code"].as_str().unwrap_or_default().to_owned()
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let mut lines = self.head.lines().filter_map(|line| line.split_once(": "));
        lines.find_map(|(found, value)| found.eq_ignore_ascii_case(name).then_some(value))
    }
}

fn unchunked(mut body: &str) -> String {
    let mut text = String::new();
    while let Some((size, rest)) = body.split_once("\r\n") {
        let size = usize::from_str_radix(size, 16).unwrap();
        text.push_str(&rest[..size]);
        body = rest[size..].strip_prefix("\r\n").unwrap_or("");
    }
    text
}
