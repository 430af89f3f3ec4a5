//! smoltcp alone over its own loopback device: two sockets of one interface, in one thread.
//!
//! It is the smoltcp of this program, unpatched, with the features that this program chose. `benches/stock-smoltcp`
//! measures it in a package of its own.

use std::error::Error;
use std::io;
use std::time::{Duration, Instant as Clock};

use smoltcp::iface::{Config, Interface, SocketHandle, SocketSet};
use smoltcp::phy::{ChecksumCapabilities, Device, DeviceCapabilities, Loopback, Medium};
use smoltcp::socket::tcp::{CongestionControl, Socket, SocketBuffer};
use smoltcp::time::Instant;
use smoltcp::wire::{HardwareAddress, IpAddress, IpCidr};

const READ: usize = 64 * 1024;
const RECEIVE_BUFFER: usize = 65_535;
const SEND_BUFFER: usize = 256 * 1024;
/// The handshake takes three turns.
const PATIENCE: u32 = 1000;

/// smoltcp's device, whose checksums are computed and verified, as ours are.
struct Checked(Loopback);

impl Device for Checked {
    type RxToken<'a> = <Loopback as Device>::RxToken<'a>;
    type TxToken<'a> = <Loopback as Device>::TxToken<'a>;

    fn receive(&mut self, now: Instant) -> Option<(Self::RxToken<'_>, Self::TxToken<'_>)> {
        self.0.receive(now)
    }

    fn transmit(&mut self, now: Instant) -> Option<Self::TxToken<'_>> {
        self.0.transmit(now)
    }

    fn capabilities(&self) -> DeviceCapabilities {
        let mut capabilities = self.0.capabilities();
        capabilities.checksum = ChecksumCapabilities::default();
        capabilities
    }
}

struct Alone {
    device: Checked,
    interface: Interface,
    sockets: SocketSet<'static>,
    client: SocketHandle,
    server: SocketHandle,
}

fn other<E: Error + Send + Sync + 'static>(error: E) -> io::Error {
    io::Error::other(error)
}

/// With what makes it fastest: nobody waits for an ACK, and nothing slows a local stream down.
fn socket() -> Socket<'static> {
    let mut socket = Socket::new(SocketBuffer::new(vec![0; RECEIVE_BUFFER]), SocketBuffer::new(vec![0; SEND_BUFFER]));
    socket.set_congestion_control(CongestionControl::None);
    socket.set_ack_delay(None);
    socket.set_nagle_enabled(false);
    socket
}

impl Alone {
    /// Two sockets that are connected.
    fn connected() -> io::Result<Alone> {
        let mut device = Checked(Loopback::new(Medium::Ip));
        let mut interface = Interface::new(Config::new(HardwareAddress::Ip), &mut device, Instant::now());
        let address = IpAddress::v4(127, 0, 0, 1);
        let mut is_full = false;
        interface.update_ip_addrs(|addresses| is_full = addresses.push(IpCidr::new(address, 8)).is_err());
        if is_full {
            return Err(io::Error::other("smoltcp has no room for an address"));
        }
        let mut sockets = SocketSet::new(Vec::new());
        let (server, client) = (sockets.add(socket()), sockets.add(socket()));
        sockets.get_mut::<Socket<'_>>(server).listen(80).map_err(other)?;
        sockets.get_mut::<Socket<'_>>(client).connect(interface.context(), (address, 80), 40_000).map_err(other)?;
        let mut alone = Alone { device, interface, sockets, client, server };
        for _ in 0..PATIENCE {
            alone.poll();
            if alone.socket(client).may_send() && alone.socket(server).may_send() {
                return Ok(alone);
            }
        }
        Err(io::Error::other("smoltcp's handshake did not end"))
    }

    fn poll(&mut self) {
        self.interface.poll(Instant::now(), &mut self.device, &mut self.sockets);
    }

    fn socket(&mut self, handle: SocketHandle) -> &mut Socket<'static> {
        self.sockets.get_mut(handle)
    }
}

/// Bytes a second, in writes of `block` bytes.
pub(super) fn throughput(block: usize, span: Duration) -> io::Result<f64> {
    let mut alone = Alone::connected()?;
    let (client, server) = (alone.client, alone.server);
    let (data, mut buffer) = (vec![0x55; block], vec![0; READ]);
    let (began, mut bytes) = (Clock::now(), 0);
    while began.elapsed() < span {
        for _ in 0..16 {
            let socket = alone.socket(client);
            while socket.can_send() {
                socket.send_slice(&data).map_err(other)?;
            }
            alone.poll();
            let socket = alone.socket(server);
            while socket.can_recv() {
                bytes += socket.recv_slice(&mut buffer).map_err(other)?;
            }
        }
    }
    Ok(bytes as f64 / began.elapsed().as_secs_f64())
}

/// Seconds from sending one byte to having it back.
pub(super) fn round_trip(span: Duration) -> io::Result<f64> {
    let mut alone = Alone::connected()?;
    let ends = [alone.client, alone.server];
    let (began, mut rounds) = (Clock::now(), 0_u32);
    while began.elapsed() < span {
        for _ in 0..64 {
            for [from, to] in [ends, [ends[1], ends[0]]] {
                alone.socket(from).send_slice(&[1]).map_err(other)?;
                let mut turns = 0;
                while !alone.socket(to).can_recv() {
                    alone.poll();
                    turns += 1;
                    if turns > PATIENCE {
                        return Err(io::Error::other("smoltcp lost a byte"));
                    }
                }
                alone.socket(to).recv_slice(&mut [0]).map_err(other)?;
            }
        }
        rounds += 64;
    }
    Ok(began.elapsed().as_secs_f64() / f64::from(rounds))
}
