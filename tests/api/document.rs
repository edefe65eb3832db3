//! The OpenAPI document says what there is, and nothing else.

use crate::Administered;

#[test]
fn every_operation_of_the_document_exists_and_others_do_not() {
    let server = Administered::open();
    let document = server.get("/openapi.json");
    assert_eq!(document["openapi"], "3.1.0");
    let paths = document["paths"].as_object().unwrap();
    let mut operations = 0;
    for (path, methods) in paths {
        let filled = path.replace(['{', '}'], "");
        for (method, operation) in methods.as_object().unwrap() {
            let method = method.to_uppercase();
            if path == "/events" {
                continue;
            }
            let reply = server.local().send(&method, &filled, "");
            assert_ne!(reply.status, 405, "{method} {path}");
            let there = reply.status != 404 || reply.code() != "no_resource";
            assert!(there, "{method} {path}: {}", reply.text);
            let status = reply.status.to_string();
            let answers = operation["responses"].as_object().unwrap();
            assert!(
                answers.contains_key(&status),
                "{method} {path}: {status} {}",
                reply.text
            );
            operations += 1;
        }
        for method in ["GET", "POST", "PUT", "DELETE", "PATCH"] {
            if methods.get(method.to_lowercase()).is_none() {
                let reply = server.local().send(method, &filled, "");
                assert_eq!(reply.status, 405, "{method} {path}: {}", reply.text);
            }
        }
    }
    assert!(operations >= 6, "{operations}");
    for path in ["", "/", "/statuses", "/status/", "/status/x", "/../status"] {
        assert_eq!(server.local().get(path).status, 404, "{path}");
    }
}
