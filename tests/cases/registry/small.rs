//! Small blobs, whole in memory: one request where the registry takes it, two where it does not, never a wrong word about either.

use bundle::registry::{Error, PushedSmall};
use xtask::registry::{Action, Config, Rule, Server};

use super::*;

fn methods(server: &Server) -> Vec<String> {
    server.stats().lines.into_iter().map(|line| line.method).collect()
}

#[test]
fn one_request_is_enough_where_the_registry_takes_it() {
    let server = server();
    let client = client();
    let repository = repository(&server, "acme/app");
    for length in [1, 2000] {
        let bytes = noise(length, 1);
        let digest = Digest::of(&bytes);
        assert_eq!(client.push_small(&repository, &digest, &bytes).unwrap(), PushedSmall::Sent);
        assert_eq!(server.blob(&digest.to_string()).unwrap(), bytes);
    }
    assert_eq!(methods(&server), ["POST", "POST"]);
    // Nothing at all cannot be told from no body: it goes into a session.
    let empty = Digest::of(b"");
    assert_eq!(client.push_small(&repository, &empty, &Bytes::new()).unwrap(), PushedSmall::Sent);
    assert_eq!(methods(&server)[2..], ["POST", "PUT"]);
}

#[test]
fn a_registry_that_only_opens_sessions_is_given_the_bytes_once_in_vain() {
    for absolute_location in [true, false] {
        let config = Config { single_post: false, absolute_location, ..Config::default() };
        let server = Server::start(config).unwrap();
        let client = client();
        let repository = repository(&server, "acme/app");
        for seed in 1..4 {
            let bytes = noise(1000, seed);
            let digest = Digest::of(&bytes);
            assert_eq!(client.push_small(&repository, &digest, &bytes).unwrap(), PushedSmall::Sent);
            assert_eq!(server.blob(&digest.to_string()).unwrap(), bytes);
        }
        assert_eq!(methods(&server), ["POST", "PUT", "POST", "PUT", "POST", "PUT"]);
        assert_eq!(server.open_uploads(), 0);
    }
}

#[test]
fn storms_pass_and_refusals_are_left_to_the_long_way() {
    let bytes = noise(1000, 5);
    let digest = Digest::of(&bytes);
    let server = server();
    let repository = repository(&server, "acme/app");
    server.faults().add(Rule::new(Action::Status(503, vec![])).method("POST").times(2));
    assert_eq!(client().push_small(&repository, &digest, &bytes).unwrap(), PushedSmall::Sent);
    for status in [400, 403, 404, 405, 413] {
        server.faults().clear();
        server.faults().add(Rule::new(Action::Status(status, vec![])).method("POST").once());
        assert_eq!(
            client().push_small(&repository, &digest, &bytes).unwrap(),
            PushedSmall::NotSo,
            "{status}"
        );
    }
    let other = Digest::of(b"other");
    assert!(!matches!(client().push_small(&repository, &other, &bytes), Ok(PushedSmall::Sent)));
    let nobody = Repository::new("127.0.0.1:1", "acme/app").unwrap();
    assert!(matches!(client().push_small(&nobody, &digest, &bytes), Err(Error::Unreachable { .. })));
}
