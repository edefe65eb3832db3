//! Who is let in, and to what.

use trunkline::api::Role;

use crate::{Administered, text};

#[test]
fn over_tcp_a_token_says_who_it_is() {
    let server = Administered::open();
    assert_eq!(server.bare().get("/status").status, 401);
    assert_eq!(server.bare().get("/healthz").status, 200);
    for (role, may_change) in [
        (Role::Viewer, false),
        (Role::Operator, true),
        (Role::Admin, true),
    ] {
        let reply = server.with(role).get("/status");
        assert_eq!(reply.status, 200, "{}", reply.text);
        assert_eq!(reply.json()["may_change"], may_change);
    }
    let refused = server.bare().get("/status");
    assert!(
        refused
            .header("www-authenticate")
            .unwrap()
            .starts_with("Bearer")
    );
    assert_eq!(refused.code(), "unproven");
    assert_eq!(server.counted("unproven"), 2);
}

#[test]
fn wrong_tokens_are_counted_and_soon_not_looked_at() {
    let server = Administered::open();
    let wrong = server.bare().header("Authorization", "Bearer tlk_guess");
    let statuses: Vec<u16> = (0..40).map(|_| wrong.get("/status").status).collect();
    let count = |wanted| statuses.iter().filter(|status| **status == wanted).count();
    assert_eq!(count(401) + count(429), 40, "{statuses:?}");
    assert!(count(401) >= 5 && count(429) >= 20, "{statuses:?}");
    assert_eq!(server.counted("guessing"), count(429) as u64);
    let waiting = wrong.get("/status");
    assert!(waiting.status == 401 || waiting.header("retry-after") == Some("1"));
    // Whoever has a good one is not kept out by those who guess.
    assert_eq!(server.with(Role::Viewer).get("/status").status, 200);
    // Nor does a part of a token prove anything.
    let token = text(Role::Admin);
    for part in [&token[..67], &token.to_uppercase(), &format!("{token}0")] {
        let reply = server
            .bare()
            .header("Authorization", &format!("Bearer {part}"));
        assert!(matches!(reply.get("/status").status, 401 | 429), "{part}");
    }
}
