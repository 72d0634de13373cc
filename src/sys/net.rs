//! Connections, where the standard library cannot say how they are to be.

use std::net::TcpStream;

/// A congestion control that does not pace, and that every kernel lets everybody use (tcp(7)).
#[cfg(target_os = "linux")]
const UNPACED: &str = "reno";

/// Has `stream` send without pacing when both its ends are on this machine: there is no network whose queues it could fill, and the timers
/// of a congestion control that paces (BBR) take a sixth of the rate there. Nothing is lost where that cannot be set.
pub fn hurry_at_home(stream: &TcpStream) {
    #[cfg(target_os = "linux")]
    if let (Ok(peer), Ok(own)) = (stream.peer_addr(), stream.local_addr())
        && (peer.ip().to_canonical().is_loopback() || peer.ip() == own.ip())
    {
        let _ = rustix::net::sockopt::set_tcp_congestion(stream, UNPACED);
    }
    #[cfg(not(target_os = "linux"))]
    let _ = stream;
}

#[cfg(all(test, target_os = "linux"))]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    #[test]
    fn a_connection_on_this_machine_is_not_paced() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let stream = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        hurry_at_home(&stream);
        assert_eq!(rustix::net::sockopt::tcp_congestion(&stream).unwrap(), UNPACED);
    }
}
