//! A stack, and a peer that is nothing but crafted segments: what is measured is one stack alone.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use nix::time::{ClockId, clock_gettime};
use smoltcp::phy::ChecksumCapabilities;
use smoltcp::wire::{
    ArpOperation, ArpPacket, ArpRepr, EthernetAddress, EthernetFrame, EthernetProtocol, IpProtocol, Ipv4Packet,
    Ipv4Repr, TcpControl, TcpPacket, TcpRepr, TcpSeqNumber,
};
use tapsock::config::{Config, Limits};
use tapsock::observe::{Fate, NoObserver, Time};
use tapsock::pipe::Doorbell;
use tapsock::socket::{ListenerSocket, StreamSocket};
use tapsock::stack::{Call, Frames, Outcome, Stack, Verb};

/// Frames in one step, as the engine reads them.
pub const BURST: usize = 64;

const SERVER: Ipv4Addr = Ipv4Addr::new(192, 168, 69, 1);
const PORT: u16 = 80;
/// Frames of the peers have none.
const NO_FATE: Fate = Fate { owner: None, rule: None, states: None, numbers: None, cause: None };
const PEER_MAC: EthernetAddress = EthernetAddress([2, 0, 0x5e, 0x10, 0, 2]);

/// The peer's end of a connection.
#[derive(Debug, Clone, Copy)]
pub struct Remote {
    address: Ipv4Addr,
    port: u16,
    /// The next number the peer sends.
    seq: u32,
    /// The next number the peer expects.
    ack: u32,
}

/// The stack, its virtual clock, and the time that it has really taken.
pub struct Bench {
    stack: Stack,
    doorbell: Doorbell,
    listener: Option<ListenerSocket>,
    mac: EthernetAddress,
    now: Time,
    out: Frames,
    calls: Vec<Call>,
    /// What the peers send in the next burst.
    sent: Frames,
    /// Spent inside of the stack and of what stands for the program.
    pub busy: Duration,
}

/// The `n`th peer: 50 000 ports of each address.
pub fn remote(n: usize) -> Remote {
    let (host, port) = (n / 50_000, n % 50_000);
    let address = Ipv4Addr::new(192, 168, 69, 100 + host as u8);
    Remote { address, port: 10_000 + port as u16, seq: (n as u32).wrapping_mul(2_654_435_761), ack: 0 }
}

impl Bench {
    pub fn new(limits: Limits) -> Bench {
        let config = Config { probe: Duration::ZERO, limits, ..Config::default() };
        let mac = EthernetAddress(config.mac.0);
        let doorbell = Doorbell::default();
        let mut bench = Bench {
            stack: Stack::new(config, 1500, [7; 32], doorbell.clone()),
            doorbell,
            listener: None,
            mac,
            now: Time::ZERO,
            out: Frames::new(),
            calls: Vec::new(),
            sent: Frames::new(),
            busy: Duration::ZERO,
        };
        bench.step();
        bench.calls.push(Call {
            owner: None,
            ticket: 0,
            verb: Verb::OpenListener { local: SocketAddr::from((SERVER, PORT)), backlog: 4096, v6_only: true },
        });
        bench.step();
        match bench.stack.next_completion().expect("the call is done").result {
            Ok(Outcome::Listener(listener)) => bench.listener = Some(listener),
            other => panic!("{other:?}"),
        }
        for host in 0..3 {
            bench.introduce(remote(host * 50_000).address);
        }
        bench
    }

    /// A peer asks for the stack's address, and so is known.
    fn introduce(&mut self, address: Ipv4Addr) {
        self.arp(ArpOperation::Request, address);
        self.step();
        self.out.clear();
    }

    fn arp(&mut self, operation: ArpOperation, address: Ipv4Addr) {
        let repr = ArpRepr::EthernetIpv4 {
            operation,
            source_hardware_addr: PEER_MAC,
            source_protocol_addr: address,
            target_hardware_addr: self.mac,
            target_protocol_addr: SERVER,
        };
        let mac = self.mac;
        self.sent.push(14 + repr.buffer_len(), NO_FATE, |bytes| {
            ethernet(bytes, mac, EthernetProtocol::Arp);
            repr.emit(&mut ArpPacket::new_unchecked(&mut bytes[14..]));
        });
    }

    /// Puts a segment into the next burst.
    pub fn send(&mut self, remote: &mut Remote, control: TcpControl, payload: &[u8]) {
        let is_syn = control == TcpControl::Syn;
        let repr = TcpRepr {
            src_port: remote.port,
            dst_port: PORT,
            control,
            seq_number: TcpSeqNumber(remote.seq as i32),
            ack_number: (!is_syn).then_some(TcpSeqNumber(remote.ack as i32)),
            window_len: 64_000,
            window_scale: is_syn.then_some(7),
            max_seg_size: is_syn.then_some(1460),
            sack_permitted: is_syn,
            sack_ranges: [None; 3],
            timestamp: None,
            payload,
        };
        remote.seq = remote.seq.wrapping_add((payload.len() + control.len()) as u32);
        let ip = Ipv4Repr {
            src_addr: remote.address,
            dst_addr: SERVER,
            next_header: IpProtocol::Tcp,
            payload_len: repr.buffer_len(),
            hop_limit: 64,
        };
        let (source, destination) = (remote.address.into(), SERVER.into());
        let mac = self.mac;
        self.sent.push(14 + ip.buffer_len() + repr.buffer_len(), NO_FATE, |bytes| {
            ethernet(bytes, mac, EthernetProtocol::Ipv4);
            let caps = ChecksumCapabilities::default();
            ip.emit(&mut Ipv4Packet::new_unchecked(&mut bytes[14..]), &caps);
            repr.emit(&mut TcpPacket::new_unchecked(&mut bytes[34..]), &source, &destination, &caps);
        });
    }

    /// Gives the stack what was sent, and lets it do all that is to be done now.
    pub fn step(&mut self) {
        self.step_after(|_| ());
    }

    /// The same after `work` of a program, which counts as the stack's time does.
    #[inline(never)] // callgrind is told to count what is in here (scripts/bench.sh trace)
    pub fn step_after(&mut self, work: impl FnOnce(Option<&ListenerSocket>)) {
        let start = processor_time();
        work(self.listener.as_ref());
        let mut step = self.stack.step(
            self.now,
            self.sent.iter().map(|(frame, _)| frame),
            &mut self.calls,
            &mut self.out,
            &mut NoObserver,
        );
        while step.has_more || self.doorbell.is_rung() {
            step = self.stack.step(self.now, None, &mut self.calls, &mut self.out, &mut NoObserver);
        }
        self.busy += processor_time() - start;
        self.sent.clear();
        self.now = self.now + Duration::from_micros(20);
    }

    /// Looks at every segment the stack has sent: peers are found by `find`, and told what was sent to them.
    pub fn read(&mut self, mut find: impl FnMut(Ipv4Addr, u16) -> usize, remotes: &mut [Remote]) -> usize {
        let mut segments = 0;
        let mut asked = Vec::new();
        for (frame, _) in self.out.iter() {
            let ethernet = EthernetFrame::new_unchecked(frame);
            if ethernet.ethertype() == EthernetProtocol::Arp {
                let arp = ArpPacket::new_unchecked(ethernet.payload());
                if let Ok(ArpRepr::EthernetIpv4 { operation: ArpOperation::Request, target_protocol_addr, .. }) =
                    ArpRepr::parse(&arp)
                {
                    asked.push(target_protocol_addr);
                }
                continue;
            }
            let ip = Ipv4Packet::new_unchecked(ethernet.payload());
            if ethernet.ethertype() != EthernetProtocol::Ipv4 || ip.next_header() != IpProtocol::Tcp {
                continue;
            }
            let tcp = TcpPacket::new_unchecked(ip.payload());
            assert!(!tcp.rst(), "the stack has reset a connection");
            let length = tcp.payload().len() + usize::from(tcp.syn()) + usize::from(tcp.fin());
            let remote = &mut remotes[find(ip.dst_addr(), tcp.dst_port())];
            if length > 0 {
                remote.ack = (tcp.seq_number().0 as u32).wrapping_add(length as u32);
            }
            segments += 1;
        }
        self.out.clear();
        for address in asked {
            self.arp(ArpOperation::Reply, address);
        }
        segments
    }

    /// Establishes the connections from `first` on, in bursts, and gives the program's ends.
    pub fn establish(&mut self, first: usize, count: usize) -> (Vec<Remote>, Vec<StreamSocket>) {
        let mut remotes: Vec<Remote> = (first..first + count).map(remote).collect();
        let mut sockets = Vec::with_capacity(count);
        for burst in (0..count).step_by(BURST) {
            let end = (burst + BURST).min(count);
            for remote in &mut remotes[burst..end] {
                self.send(remote, TcpControl::Syn, &[]);
            }
            self.step();
            self.read(|address, port| index(address, port) - first, &mut remotes);
            for remote in &mut remotes[burst..end] {
                self.send(remote, TcpControl::None, &[]);
            }
            self.step();
            self.read(|address, port| index(address, port) - first, &mut remotes);
            self.step_after(|listener| {
                let Some(listener) = listener else { return };
                sockets.extend(std::iter::from_fn(|| listener.queue.try_accept().ok()));
            });
        }
        assert_eq!(sockets.len(), count, "not every connection was established");
        (remotes, sockets)
    }

    /// Lets virtual time go by.
    pub fn wait(&mut self, span: Duration) {
        for _ in 0..100 {
            self.now = self.now + span / 100;
            self.step();
        }
    }

    pub fn memory_used(&self) -> usize {
        self.stack.memory_used()
    }

    pub fn sockets(&self) -> usize {
        self.stack.sockets()
    }
}

/// The header of a frame from the peers, whose memory may hold an earlier one.
fn ethernet(bytes: &mut [u8], to: EthernetAddress, protocol: EthernetProtocol) {
    bytes.fill(0);
    let mut ethernet = EthernetFrame::new_unchecked(bytes);
    ethernet.set_src_addr(PEER_MAC);
    ethernet.set_dst_addr(to);
    ethernet.set_ethertype(protocol);
}

/// What this thread has run. The clock on the wall would count the others that run meanwhile.
fn processor_time() -> Duration {
    clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID).expect("every thread has this clock").into()
}

/// Which peer this is.
pub fn index(address: Ipv4Addr, port: u16) -> usize {
    usize::from(address.octets()[3] - 100) * 50_000 + usize::from(port - 10_000)
}

/// Bytes of the process that are resident, and bytes of page tables.
pub fn resident() -> (usize, usize) {
    let status = std::fs::read_to_string("/proc/self/status").expect("Linux tells a process its size");
    let of = |name: &str| {
        let line = status.lines().find(|line| line.starts_with(name)).expect("a line of /proc/self/status");
        line.split_whitespace().nth(1).and_then(|kilobytes| kilobytes.parse::<usize>().ok()).expect("a number") * 1024
    };
    (of("VmRSS:"), of("VmPTE:"))
}
