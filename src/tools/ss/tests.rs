//! What a person sees of sockets that are made up here.

use super::*;
use crate::control::{Bound, Details, Pending};
use crate::observe::{Owner, Protocol, SocketId, TcpState, TimerKind};

/// A TCP socket at an address, or a Unix socket of a name.
pub(super) fn socket(local: &str, peer: Option<&str>) -> Listed {
    let address = local.parse::<std::net::SocketAddr>();
    let (network, family, protocol) = match address {
        Ok(address) if address.is_ipv4() => (Network::Tcp, Family::Inet, Protocol::Tcp),
        Ok(_) => (Network::Tcp, Family::Inet6, Protocol::Tcp),
        Err(_) => (Network::UnixStream, Family::Unix, Protocol::Unix),
    };
    Listed {
        id: SocketId { protocol, number: 3 },
        network,
        family,
        state: if peer.is_some() { TcpState::Established } else { TcpState::Listen },
        local: local.into(),
        peer: peer.map(Into::into),
        recv_q: 0,
        send_q: if peer.is_some() { 0 } else { 128 },
        listens: peer.is_none(),
        joined: None,
        held: true,
        owner: None,
        age: 2_500_000,
        bytes_in: 0,
        bytes_out: 0,
        packets_in: 0,
        packets_out: 0,
        retransmitted: 0,
        timer: None,
        tcp: None,
    }
}

fn several() -> Vec<Listed> {
    vec![
        Listed { owner: Some(Owner::new("service:http")), ..socket("0.0.0.0:80", None) },
        Listed { recv_q: 17, ..socket("192.168.69.1:80", Some("192.168.69.100:43210")) },
        socket("[fd69::1]:22", Some("[fd69::100]:5")),
        Listed {
            network: Network::Udp,
            state: TcpState::Closed,
            listens: false,
            send_q: 0,
            ..socket("0.0.0.0:53", None)
        },
        socket("/run/db", None),
        Listed { state: TcpState::TimeWait, held: false, ..socket("192.168.69.1:80", Some("192.168.69.100:43211")) },
    ]
}

fn shown(ss: &Ss) -> String {
    let sockets = several();
    let shown: Vec<&Listed> = sockets.iter().filter(|socket| ss.shows(socket)).collect();
    let mut out = Vec::new();
    table::write(ss, 4711, &shown, &mut out).unwrap();
    String::from_utf8(out).unwrap()
}

#[test]
fn the_columns_are_those_of_ss() {
    let all = shown(&Ss { all: true, ..Ss::default() });
    let expected = "\
Netid State     Recv-Q Send-Q Local Address:Port   Peer Address:Port  Process
tcp   LISTEN    0      128          0.0.0.0:80          0.0.0.0:*
tcp   ESTAB     17     0       192.168.69.1:80   192.168.69.100:43210
tcp   ESTAB     0      0          [fd69::1]:22      [fd69::100]:5
udp   UNCONN    0      0            0.0.0.0:53          0.0.0.0:*
u_str LISTEN    0      128          /run/db *                 * *
tcp   TIME-WAIT 0      0       192.168.69.1:80   192.168.69.100:43211
";
    assert_eq!(all, expected, "\n{all}");
}

#[test]
fn options_choose_what_is_shown_as_with_ss() {
    let lines = |ss: Ss| -> Vec<String> {
        let text = shown(&Ss { no_header: true, ..ss });
        text.lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect()
    };
    let connected = ["tcp ESTAB 17 0 192.168.69.1:80 192.168.69.100:43210", "tcp ESTAB 0 0 [fd69::1]:22 [fd69::100]:5"];
    assert_eq!(lines(Ss::default()), connected);
    let tcp = Ss { kinds: vec![Kind::Tcp], ..Ss::default() };
    // With one kind there is no Netid.
    assert_eq!(lines(tcp.clone())[0], "ESTAB 17 0 192.168.69.1:80 192.168.69.100:43210");
    assert_eq!(lines(Ss { listening: true, ..Ss::default() }).len(), 3);
    assert_eq!(
        lines(Ss { listening: true, kinds: vec![Kind::Udp], ..Ss::default() }),
        ["UNCONN 0 0 0.0.0.0:53 0.0.0.0:*"]
    );
    assert_eq!(lines(Ss { all: true, kinds: vec![Kind::Unix], ..Ss::default() }), ["u_str LISTEN 0 128 /run/db * * *"]);
    assert_eq!(lines(Ss { family: Some(IpVersion::V6), ..Ss::default() }), connected[1..]);
    let filter = Filter::parse(&["state time-wait dport = :43211"]).unwrap();
    // With one state there is no column for it.
    assert_eq!(lines(Ss { filter, ..tcp }), ["0 0 192.168.69.1:80 192.168.69.100:43211"]);
    assert_eq!(
        lines(Ss { processes: true, extended: true, ..Ss::default() })[0],
        format!("{} users:((\"tapsock\",pid=4711,socket=tcp#3)) sk:tcp#3 age:2.500ms", connected[0])
    );
    let listening = lines(Ss { processes: true, listening: true, ..Ss::default() });
    assert!(listening[0].ends_with(" users:((\"service:http\",pid=4711,socket=tcp#3))"), "{listening:?}");
    // Nobody holds what is left of a connection.
    assert!(!lines(Ss { processes: true, all: true, ..Ss::default() })[5].contains("users"));
}

#[test]
fn details_are_named_as_in_ss_and_say_why_nothing_is_sent() {
    let tcp = Details {
        congestion_control: "cubic".into(),
        cwnd: 14_480,
        ssthresh: Some(7240),
        mss: 1448,
        advmss: 1460,
        pmtu: 1500,
        snd_wnd: 64_256,
        rcv_wnd: 65_535,
        wscale: Some([7, 0]),
        sack: true,
        timestamps: true,
        nagle: false,
        rtt: Some([1500, 750, 900]),
        rto: 204_000,
        backoff: 2,
        in_flight: 1449,
        sacked: 0,
        lost: 1448,
        notsent: 99,
        lastsnd: 12_345,
        held_by: "recovery".into(),
    };
    let busy = Listed {
        tcp: Some(tcp),
        bytes_in: 91,
        bytes_out: 3000,
        packets_in: 5,
        packets_out: 7,
        retransmitted: 2,
        timer: Some(Pending { timer: TimerKind::Retransmission, due: 200_000, count: 2 }),
        ..socket("192.168.69.1:80", Some("192.168.69.100:43210"))
    };
    assert_eq!(
        details::details(&busy).unwrap(),
        "ts sack cubic wscale:7,0 rto:204 backoff:2 rtt:1.5/0.75 mss:1448 pmtu:1500 advmss:1460 cwnd:10 ssthresh:5 \
         bytes_sent:3000 segs_retrans:2 bytes_received:91 segs_out:7 segs_in:5 lastsnd:12 unacked:2 lost:1 notsent:99 \
         snd_wnd:64256 rcv_wnd:65535 nodelay minrtt:0.9 held-by:recovery"
    );
    assert_eq!(details::timer(&busy).unwrap(), "timer:(on,200ms,2)");
    assert_eq!(details::details(&socket("0.0.0.0:80", None)), None);
    // What is written can be read.
    let text = serde_json::to_string(&busy).unwrap();
    assert_eq!(serde_json::from_str::<Listed>(&text).unwrap(), busy);
}

#[test]
fn the_summary_counts_and_shows_every_limit() {
    let limits = [
        Bound { name: "sockets".into(), value: 120_000, default: 1, used: Some(6) },
        Bound { name: "backlog".into(), value: 4096, default: 1, used: None },
    ];
    let mut out = Vec::new();
    summary::write(&several(), &limits, &mut out).unwrap();
    let text = String::from_utf8(out).unwrap();
    let words: Vec<String> = text.lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect();
    assert_eq!(
        words,
        [
            "Total: 6",
            "TCP: 4 (estab 2, closed 0, orphaned 0, timewait 1)",
            "",
            "Transport Total IP IPv6",
            "RAW 0 0 0",
            "ICMP 0 0 0",
            "UDP 1 1 0",
            "TCP 4 3 1",
            "INET 5 4 1",
            "UNIX 1 - -",
            "",
            "Limit Used Of",
            "sockets 6 120000",
            "backlog each 4K",
        ]
    );
}
