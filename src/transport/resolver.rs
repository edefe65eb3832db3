//! Questions to DNS, one name at a time: RFC 3263 with hickory-resolver.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use hickory_resolver::TokioResolver;
use hickory_resolver::config::{ConnectionConfig, NameServerConfig, ResolverConfig};
use hickory_resolver::lookup::Lookup;
use hickory_resolver::net::NetError;
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::proto::rr::{RData, RecordType};
use tokio::time::timeout;

use crate::limits::{DNS_ANSWER_MS_MAX, LOCATIONS_PER_NAME_MAX};
use crate::proxy::{FlowTransport, Location, NameQuery, Question, Service};

/// Asks name servers. Needs a tokio runtime around it.
#[derive(Debug)]
pub struct Resolver {
    inner: TokioResolver,
    spoken: Vec<FlowTransport>,
}

/// Where a name is.
#[derive(Debug)]
pub struct Found {
    /// Its places; at least one.
    pub locations: Vec<Location>,
    /// Until when the answers hold.
    pub valid_until: Instant,
}

/// Why it is nowhere.
#[derive(Debug)]
pub enum NotFound {
    /// DNS says that there is no such name, or no address for it.
    None,
    /// DNS did not say.
    Unknown(String),
}

impl NotFound {
    /// Whether DNS said so; an answer that failed to come says nothing.
    #[must_use]
    pub const fn is_certain(&self) -> bool {
        matches!(self, Self::None)
    }
}

impl fmt::Display for NotFound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::None => f.write_str("DNS knows none"),
            Self::Unknown(why) => f.write_str(why),
        }
    }
}

/// What the questions of one name have brought so far.
#[derive(Debug)]
struct Search {
    locations: Vec<Location>,
    valid_until: Instant,
    /// Why an answer did not come.
    failure: Option<String>,
}

impl Resolver {
    /// One that asks these servers, in the order they answer best; those of the system
    /// without any. `spoken` are the transports that can be used.
    ///
    /// # Errors
    /// The system's configuration cannot be read.
    pub fn new(servers: &[SocketAddr], spoken: Vec<FlowTransport>) -> io::Result<Self> {
        let mut builder = if servers.is_empty() {
            TokioResolver::builder_tokio().map_err(io::Error::other)?
        } else {
            let servers = servers.iter().map(name_server).collect();
            let config = ResolverConfig::from_parts(None, Vec::new(), servers);
            TokioResolver::builder_with_config(config, TokioRuntimeProvider::default())
        };
        let options = builder.options_mut();
        // Twice within the time that one question may take.
        options.timeout = Duration::from_millis(DNS_ANSWER_MS_MAX / 3);
        options.attempts = 1;
        // Whoever asks knows when to ask again, and then wants to hear something new.
        options.cache_size = 0;
        Ok(Self {
            inner: builder.build().map_err(io::Error::other)?,
            spoken,
        })
    }

    /// RFC 3263 §4: the places of a name.
    ///
    /// # Errors
    /// There is none, or nobody said.
    pub async fn find(&self, query: &NameQuery) -> Result<Found, NotFound> {
        let mut search = Search {
            locations: Vec::new(),
            valid_until: Instant::now() + Duration::from_secs(u64::from(u32::MAX)),
            failure: None,
        };
        let first = query.first(&self.spoken);
        let mut is_decided = self.ask_all(query, &first, &mut search).await;
        if !is_decided {
            let second = query.second(&self.spoken);
            is_decided = self.ask_all(query, &second, &mut search).await;
        }
        if !is_decided {
            self.ask_all(query, &query.last(), &mut search).await;
        }
        if !search.locations.is_empty() {
            return Ok(Found {
                locations: search.locations,
                valid_until: search.valid_until,
            });
        }
        Err(search.failure.map_or(NotFound::None, NotFound::Unknown))
    }

    /// Asks these questions. Whether there were records: then nothing else is asked, even
    /// where they lead nowhere.
    async fn ask_all(
        &self,
        query: &NameQuery,
        questions: &[Question],
        search: &mut Search,
    ) -> bool {
        let mut is_decided = false;
        for (place, question) in (0..).zip(questions) {
            is_decided |= match question {
                Question::Services { name } => {
                    let services = self.services(name, search).await;
                    let servers = query.from_services(services, &self.spoken);
                    Box::pin(self.ask_all(query, &servers, search)).await
                }
                Question::Servers { name, transport } => {
                    self.servers(name, *transport, place, search).await
                }
                Question::Addresses {
                    name,
                    transport,
                    port,
                } => {
                    let location = Location {
                        transport: *transport,
                        address: SocketAddr::from(([0, 0, 0, 0], *port)),
                        rank: 0,
                        weight: 0,
                    };
                    self.addresses(name, location, search).await
                }
            };
        }
        is_decided
    }

    async fn services(&self, name: &str, search: &mut Search) -> Vec<Service> {
        let Some(lookup) = self.lookup(name, RecordType::NAPTR, search).await else {
            return Vec::new();
        };
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let records = lookup.answers().iter();
        records
            .filter_map(|record| match &record.data {
                RData::NAPTR(naptr) if naptr.flags.eq_ignore_ascii_case(b"s") => Some(Service {
                    order: naptr.order,
                    preference: naptr.preference,
                    service: text(&naptr.services),
                    replacement: naptr.replacement.to_utf8(),
                }),
                _ => None,
            })
            .collect()
    }

    /// The servers of one SRV name, and their addresses. A target of `.` is none: RFC 2782.
    async fn servers(
        &self,
        name: &str,
        transport: FlowTransport,
        place: u32,
        search: &mut Search,
    ) -> bool {
        let Some(lookup) = self.lookup(name, RecordType::SRV, search).await else {
            return false;
        };
        let mut servers: Vec<_> = (lookup.answers().iter())
            .filter_map(|record| match &record.data {
                RData::SRV(srv) => Some(srv),
                _ => None,
            })
            .collect();
        servers.sort_by_key(|srv| srv.priority);
        for srv in servers.iter().take(LOCATIONS_PER_NAME_MAX) {
            if srv.target.is_root() {
                continue;
            }
            let location = Location {
                transport,
                address: SocketAddr::from(([0, 0, 0, 0], srv.port)),
                rank: (place << 16) | u32::from(srv.priority),
                weight: srv.weight,
            };
            self.addresses(&srv.target.to_utf8(), location, search)
                .await;
        }
        !servers.is_empty()
    }

    /// The addresses of a host, each in the place of the one in `location`.
    async fn addresses(&self, name: &str, location: Location, search: &mut Search) -> bool {
        let mut is_any = false;
        for kind in [RecordType::A, RecordType::AAAA] {
            let Some(lookup) = self.lookup(name, kind, search).await else {
                continue;
            };
            for record in lookup.answers() {
                let Some(ip) = record.data.ip_addr() else {
                    continue;
                };
                is_any = true;
                let mut found = location;
                found.address.set_ip(ip);
                search.locations.push(found);
            }
        }
        is_any
    }

    /// One question; `None` when there are no such records or no answer, which is noted.
    async fn lookup(&self, name: &str, kind: RecordType, search: &mut Search) -> Option<Lookup> {
        // A name with a dot is meant as it stands: no domain is tried behind it.
        let mut full = name.trim_end_matches('.').to_owned();
        if full.contains('.') {
            full.push('.');
        }
        let limit = Duration::from_millis(DNS_ANSWER_MS_MAX);
        match timeout(limit, self.inner.lookup(full, kind)).await {
            Ok(Ok(lookup)) => {
                search.valid_until = search.valid_until.min(lookup.valid_until());
                Some(lookup)
            }
            Ok(Err(error)) => {
                search.failed(name, &error);
                None
            }
            Err(_) => {
                search.failure = Some(format!("no answer about {name}"));
                None
            }
        }
    }
}

impl Search {
    fn failed(&mut self, name: &str, error: &NetError) {
        if !error.is_no_records_found() {
            self.failure = Some(format!("{name}: {error}"));
        }
    }
}

fn name_server(address: &SocketAddr) -> NameServerConfig {
    let at_port = |mut connection: ConnectionConfig| {
        connection.port = address.port();
        connection
    };
    let connections = vec![
        at_port(ConnectionConfig::udp()),
        at_port(ConnectionConfig::tcp()),
    ];
    NameServerConfig::new(address.ip(), true, connections)
}
