//! smoltcp alone over its own loopback device, in one thread: two sockets of one interface.
//!
//! `loopback SECONDS [ignored]` prints bytes per second of payload, written and read in pieces of 64 KiB. Checksums are
//! computed and verified, which smoltcp's device does not ask for by itself; `ignored` leaves them out.

use std::error::Error;
use std::time::{Duration, Instant as Clock};

use smoltcp::iface::{Config, Interface, SocketSet};
use smoltcp::phy::{ChecksumCapabilities, Device, DeviceCapabilities, Loopback, Medium};
use smoltcp::socket::tcp::{CongestionControl, Socket, SocketBuffer};
use smoltcp::time::Instant;
use smoltcp::wire::{HardwareAddress, IpAddress, IpCidr};

const PIECE: usize = 64 * 1024;
const RECEIVE_BUFFER: usize = 65_535;
const SEND_BUFFER: usize = 256 * 1024;

/// Slow start is not what is measured.
const WARM_UP: Duration = Duration::from_millis(200);

/// smoltcp's device with checksums as chosen.
struct Checked(Loopback, ChecksumCapabilities);

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
        capabilities.checksum = self.1.clone();
        capabilities
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let (seconds, checksums) = match args.as_slice() {
        [seconds] => (seconds, ChecksumCapabilities::default()),
        [seconds, ignored] if ignored == "ignored" => (seconds, ChecksumCapabilities::ignored()),
        _ => return Err("usage: loopback SECONDS [ignored]".into()),
    };
    let time = Duration::try_from_secs_f64(seconds.parse()?)?;

    let mut device = Checked(Loopback::new(Medium::Ip), checksums);
    let mut interface = Interface::new(Config::new(HardwareAddress::Ip), &mut device, Instant::now());
    let address = IpAddress::v4(127, 0, 0, 1);
    let mut full = false;
    interface.update_ip_addrs(|addresses| full = addresses.push(IpCidr::new(address, 8)).is_err());
    if full {
        return Err("smoltcp was built without room for an address".into());
    }
    let mut sockets = SocketSet::new(Vec::new());
    let server = sockets.add(socket());
    let client = sockets.add(socket());
    sockets.get_mut::<Socket<'_>>(server).listen(80)?;
    sockets.get_mut::<Socket<'_>>(client).connect(interface.context(), (address, 80), 40_000)?;

    let data = vec![0x55; PIECE];
    let mut buffer = vec![0; PIECE];
    let mut run = |time: Duration| -> Result<f64, Box<dyn Error>> {
        let begin = Clock::now();
        let mut bytes = 0;
        while begin.elapsed() < time {
            // Some turns for one look at the clock.
            for _ in 0..16 {
                let socket = sockets.get_mut::<Socket<'_>>(client);
                while socket.can_send() {
                    socket.send_slice(&data)?;
                }
                interface.poll(Instant::now(), &mut device, &mut sockets);
                let socket = sockets.get_mut::<Socket<'_>>(server);
                while socket.can_recv() {
                    bytes += socket.recv_slice(&mut buffer)?;
                }
            }
        }
        Ok(bytes as f64 / begin.elapsed().as_secs_f64())
    };
    run(WARM_UP)?;
    let rate = run(time)?;
    if rate == 0.0 {
        return Err("nothing arrived".into());
    }
    println!("{rate:.0}");
    Ok(())
}

/// With what makes it fastest: nobody waits for an ACK, and nothing slows a local stream down.
fn socket() -> Socket<'static> {
    let mut socket = Socket::new(SocketBuffer::new(vec![0; RECEIVE_BUFFER]), SocketBuffer::new(vec![0; SEND_BUFFER]));
    socket.set_congestion_control(CongestionControl::None);
    socket.set_ack_delay(None);
    socket.set_nagle_enabled(false);
    socket
}
