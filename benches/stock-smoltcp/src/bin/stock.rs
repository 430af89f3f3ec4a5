//! A server on stock smoltcp and its own TAP device: port 9 discards, port 19 sends as fast as it can.
//!
//! `stock TAP ADDRESS/PREFIX`, for instance `stock tap1 192.168.70.1/24`. It runs until it is killed.
//!
//! Buffers, congestion control and MTU are tapsock's defaults, and the polling is the best that was found for
//! a plain `Interface`: at most 64 frames in, then the sockets, then frames out, until nothing is left.

use std::error::Error;
use std::os::fd::AsRawFd;

use smoltcp::iface::{Config, Interface, PollIngressSingleResult, PollResult, SocketHandle, SocketSet};
use smoltcp::phy::{Medium, TunTapInterface, wait};
use smoltcp::socket::tcp::{CongestionControl, Socket, SocketBuffer};
use smoltcp::time::Instant;
use smoltcp::wire::{EthernetAddress, IpCidr};

const DISCARD: u16 = 9;
const CHARGEN: u16 = 19;
const RECEIVE_BUFFER: usize = 65_535;
const SEND_BUFFER: usize = 256 * 1024;
const BURST: usize = 64;

fn main() -> Result<(), Box<dyn Error>> {
    let mut args = std::env::args().skip(1);
    let (Some(tap), Some(address)) = (args.next(), args.next()) else {
        return Err("give a TAP and an address, as in: stock tap1 192.168.70.1/24".into());
    };
    let address: IpCidr = address.parse().map_err(|()| "the address must be like 192.168.70.1/24")?;

    let mut device = TunTapInterface::new(&tap, Medium::Ethernet)?;
    let config = Config::new(EthernetAddress([0x02, 0x00, 0x5e, 0x10, 0x00, 0x02]).into());
    let mut interface = Interface::new(config, &mut device, Instant::now());
    let mut full = false;
    interface.update_ip_addrs(|addresses| full = addresses.push(address).is_err());
    if full {
        return Err("smoltcp was built without room for an address".into());
    }

    let mut sockets = SocketSet::new(Vec::new());
    let discard = sockets.add(socket());
    let chargen = sockets.add(socket());
    let pattern: Vec<u8> = (b' '..=b'~').cycle().take(SEND_BUFFER).collect();

    println!("ready");
    loop {
        loop {
            let mut busy = false;
            for _ in 0..BURST {
                match interface.poll_ingress_single(Instant::now(), &mut device, &mut sockets) {
                    PollIngressSingleResult::None => break,
                    _ => busy = true,
                }
            }
            busy |= serve(&mut sockets, discard, chargen, &pattern)?;
            busy |= interface.poll_egress(Instant::now(), &mut device, &mut sockets) == PollResult::SocketStateChanged;
            if !busy {
                break;
            }
        }
        let now = Instant::now();
        wait(device.as_raw_fd(), interface.poll_delay(now, &sockets))?;
    }
}

fn socket() -> Socket<'static> {
    let mut socket = Socket::new(SocketBuffer::new(vec![0; RECEIVE_BUFFER]), SocketBuffer::new(vec![0; SEND_BUFFER]));
    socket.set_congestion_control(CongestionControl::Cubic);
    socket
}

/// One turn of both services; whether it moved a byte or a state.
fn serve(
    sockets: &mut SocketSet<'static>,
    discard: SocketHandle,
    chargen: SocketHandle,
    pattern: &[u8],
) -> Result<bool, Box<dyn Error>> {
    let mut busy = false;
    for (handle, port) in [(discard, DISCARD), (chargen, CHARGEN)] {
        let socket = sockets.get_mut::<Socket<'_>>(handle);
        if !socket.is_open() {
            *socket = self::socket(); // a used one keeps its congestion window
            socket.listen(port)?;
        }
        while socket.can_recv() {
            busy |= socket.recv(|bytes| (bytes.len(), bytes.len()))? > 0;
        }
        if port == CHARGEN {
            while socket.can_send() {
                busy |= socket.send_slice(pattern)? > 0;
            }
        }
        if !socket.may_recv() && socket.may_send() && socket.is_active() {
            socket.close();
            busy = true;
        }
    }
    Ok(busy)
}
