//! TLS before HTTP: the same certificates as for SIP, read again at a reload.

use std::path::Path;
use std::sync::Arc;

use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::{ClientConfig, RootCertStore};
use trunkline::api::Role;
use trunkline::http::Template;
use trunkline::server::HttpConfig;
use trunkline::transport::{Clients, ListenerTls};

use crate::ca::Ca;
use crate::client::Client;
use crate::{Administered, text};

fn files(folder: &Path, clients: Clients) -> ListenerTls {
    ListenerTls {
        certificate: folder.join("server.pem"),
        key: folder.join("server.key"),
        clients,
    }
}

fn client(roots: RootCertStore, own: Option<(&Path, &str)>) -> Arc<ClientConfig> {
    let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots);
    let config = match own {
        None => builder.with_no_client_auth(),
        Some((folder, name)) => {
            let chain = CertificateDer::pem_file_iter(folder.join(format!("{name}.pem")));
            let chain = chain.unwrap().map(Result::unwrap).collect();
            let key = PrivateKeyDer::from_pem_file(folder.join(format!("{name}.key")));
            builder.with_client_auth_cert(chain, key.unwrap()).unwrap()
        }
    };
    Arc::new(config)
}

#[test]
fn all_listeners_for_http_speak_tls_and_read_their_certificates_again() {
    let folder = tempfile::tempdir().unwrap();
    let (first, second) = (Ca::new(), Ca::new());
    first.write(folder.path(), "server", &first.issue("admin.example"));
    let tls = || Some(files(folder.path(), Clients::Unasked));
    let server = Administered::configured(|config| {
        config.api.tls = tls();
        config.metrics = Some("127.0.0.1:0".parse().unwrap());
        config.metrics_tls = tls();
        config.http = Some(HttpConfig {
            address: "127.0.0.1:0".parse().unwrap(),
            template: Template::parse("{trunk}", "reject").unwrap(),
            tls: tls(),
            accounts: Vec::new(),
        });
    });
    let ports = [
        server.port,
        server.server.metrics_addr().unwrap().port(),
        server.server.http_addr().unwrap().port(),
    ];
    let reached = |ca: &Ca| {
        ports.map(|port| {
            let config = client(ca.roots(), None);
            let client = Client::tls(port, "admin.example", config);
            let authorization = format!("Bearer {}", text(Role::Viewer));
            client
                .header("Authorization", &authorization)
                .get("/version")
                .status
        })
    };
    assert_eq!(reached(&first), [200, 404, 404]);
    assert_eq!(reached(&second), [0, 0, 0]);
    assert_eq!(
        server.with(Role::Viewer).get("/version").status,
        0,
        "without TLS"
    );
    second.write(folder.path(), "server", &second.issue("admin.example"));
    assert_eq!(server.post("/reload", &serde_json::json!({})).status, 200);
    assert_eq!(reached(&second), [200, 404, 404]);
    assert_eq!(reached(&first), [0, 0, 0]);
}

#[test]
fn where_clients_have_to_show_a_certificate_a_token_alone_is_not_enough() {
    let folder = tempfile::tempdir().unwrap();
    let (ca, stranger) = (Ca::new(), Ca::new());
    stranger.write(folder.path(), "stranger", &stranger.issue("x.example"));
    ca.write(folder.path(), "server", &ca.issue("admin.example"));
    ca.write(folder.path(), "own", &ca.issue("deploy.example"));
    let clients = Clients::Asked {
        authorities: folder.path().join("ca.pem"),
        is_optional: false,
        names: Vec::new(),
    };
    let server = Administered::configured(|config| {
        config.api.tls = Some(files(folder.path(), clients));
    });
    let get = |own: Option<&str>, token: bool| {
        let config = client(ca.roots(), own.map(|name| (folder.path(), name)));
        let client = Client::tls(server.port, "admin.example", config);
        let authorization = format!("Bearer {}", text(Role::Viewer));
        let client = match token {
            true => client.header("Authorization", &authorization),
            false => client,
        };
        client.get("/version").status
    };
    assert_eq!(get(Some("own"), true), 200);
    assert_eq!(get(Some("own"), false), 401);
    assert_eq!(get(None, true), 0);
    assert_eq!(get(Some("stranger"), true), 0);
}
