//! Connections, where the standard library cannot say how they are to be.

use std::net::{IpAddr, TcpStream};

/// A congestion control that does not pace, and that every kernel lets everybody use (tcp(7)).
#[cfg(target_os = "linux")]
const UNPACED: &str = "reno";

/// Has `stream` send without pacing when both its ends are on this machine: there is no network whose queues it could fill, and the timers
/// of a congestion control that paces (BBR) take a sixth of the rate there. Nothing is lost where that cannot be set.
pub fn hurry_at_home(stream: &TcpStream) {
    #[cfg(target_os = "linux")]
    if let (Ok(peer), Ok(own)) = (stream.peer_addr(), stream.local_addr())
        && is_home(peer.ip(), own.ip())
    {
        let _ = rustix::net::sockopt::set_tcp_congestion(stream, UNPACED);
    }
    #[cfg(not(target_os = "linux"))]
    let _ = (stream, is_home);
}

/// Whether who calls from `peer` to `own` is this machine itself.
fn is_home(peer: IpAddr, own: IpAddr) -> bool {
    peer.to_canonical().is_loopback() || peer == own
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn only_this_machine_is_home() {
        for (peer, own, home) in [
            ("127.0.0.1", "127.0.0.1", true),
            ("::ffff:127.0.0.1", "::ffff:127.0.0.1", true),
            ("::1", "::1", true),
            ("10.0.0.7", "10.0.0.7", true),
            ("10.0.0.8", "10.0.0.7", false),
            ("fe80::1", "fe80::2", false),
        ] {
            assert_eq!(is_home(peer.parse().unwrap(), own.parse().unwrap()), home, "{peer} to {own}");
        }
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_connection_on_this_machine_is_not_paced() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let stream = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        hurry_at_home(&stream);
        assert_eq!(rustix::net::sockopt::tcp_congestion(&stream).unwrap(), UNPACED);
    }
}
