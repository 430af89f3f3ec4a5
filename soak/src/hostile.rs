//! What no honest host sends: garbage, damaged frames, floods of SYNs, ICMP errors about live connections.
//!
//! None of it may harm a transfer: damaged frames keep their old checksums, and ARP, which has none, is left alone.

use std::ffi::CString;
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use crate::Tally;

const ETH_P_ALL: u16 = 3;
const STACK_MAC: [u8; 6] = [2, 0, 0x5e, 0x10, 0, 1];

/// How many frames are sent in one go, and how long it rests after each: some thousand frames a second.
const BURST: usize = 20;
const REST: Duration = Duration::from_millis(5);

/// A packet socket on one interface.
struct Wire {
    socket: OwnedFd,
    /// Frames of others that went by.
    seen: Vec<Vec<u8>>,
}

impl Wire {
    fn open(interface: &str) -> io::Result<Wire> {
        let name = CString::new(interface)?;
        // SAFETY: the name is a valid C string; the call reads it and nothing else.
        let index = unsafe { libc::if_nametoindex(name.as_ptr()) };
        if index == 0 {
            return Err(io::Error::last_os_error());
        }
        let kind = libc::SOCK_RAW | libc::SOCK_NONBLOCK | libc::SOCK_CLOEXEC;
        // SAFETY: plain numbers go in, a descriptor or -1 comes out.
        let socket = unsafe { libc::socket(libc::AF_PACKET, kind, i32::from(ETH_P_ALL.to_be())) };
        if socket < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: the descriptor is fresh and nobody else owns it.
        let socket = unsafe { OwnedFd::from_raw_fd(socket) };
        // SAFETY: all zeros are a valid sockaddr_ll.
        let mut address: libc::sockaddr_ll = unsafe { std::mem::zeroed() };
        address.sll_family = libc::AF_PACKET as u16;
        address.sll_protocol = ETH_P_ALL.to_be();
        address.sll_ifindex = index as i32;
        let length = size_of::<libc::sockaddr_ll>() as u32;
        // SAFETY: the address is a sockaddr_ll of this length and lives until the call returns.
        let bound = unsafe { libc::bind(socket.as_raw_fd(), (&raw const address).cast(), length) };
        if bound < 0 {
            return Err(io::Error::last_os_error());
        }
        Ok(Wire { socket, seen: Vec::new() })
    }

    /// Sends one frame. A full queue loses it, as a link would.
    fn send(&self, frame: &[u8]) {
        // SAFETY: the pointer and the length are those of one slice.
        unsafe { libc::send(self.socket.as_raw_fd(), frame.as_ptr().cast(), frame.len(), 0) };
    }

    /// Keeps some of the frames that go by.
    fn look(&mut self, random: &mut fastrand::Rng) {
        let mut buffer = vec![0; 4096];
        for _ in 0..200 {
            // SAFETY: the pointer and the length are those of one buffer.
            let count = unsafe { libc::recv(self.socket.as_raw_fd(), buffer.as_mut_ptr().cast(), buffer.len(), 0) };
            let Ok(count) = usize::try_from(count) else { return };
            if !(34..=1514).contains(&count) {
                continue;
            }
            let frame = buffer[..count].to_vec();
            if self.seen.len() < 200 {
                self.seen.push(frame);
            } else {
                let at = random.usize(..self.seen.len());
                self.seen[at] = frame;
            }
        }
    }
}

fn sum(start: u32, bytes: &[u8]) -> u32 {
    let mut total = start;
    for pair in bytes.chunks(2) {
        total += u32::from(pair[0]) << 8 | pair.get(1).copied().map_or(0, u32::from);
    }
    while total > 0xffff {
        total = (total & 0xffff) + (total >> 16);
    }
    total
}

/// An IPv4 packet to the stack, in a frame.
fn packet(source: [u8; 4], protocol: u8, payload: &[u8]) -> Vec<u8> {
    let mut frame = vec![0; 34];
    frame[..6].copy_from_slice(&STACK_MAC);
    frame[6..12].copy_from_slice(&[2, 0, 0, 0, 0, source[3]]);
    frame[12] = 8;
    frame[14] = 0x45;
    frame[16..18].copy_from_slice(&(20 + payload.len() as u16).to_be_bytes());
    frame[22] = 64;
    frame[23] = protocol;
    frame[26..30].copy_from_slice(&source);
    frame[30..34].copy_from_slice(&[192, 168, 69, 1]);
    let check = !(sum(0, &frame[14..34]) as u16);
    frame[24..26].copy_from_slice(&check.to_be_bytes());
    frame.extend_from_slice(payload);
    frame
}

/// A SYN of somebody on the link who does not exist.
fn syn(random: &mut fastrand::Rng) -> Vec<u8> {
    let source = [192, 168, 69, random.u8(150..250)];
    let mut tcp = [0; 20];
    tcp[..2].copy_from_slice(&random.u16(1024..).to_be_bytes());
    tcp[2..4].copy_from_slice(&[7_u16, 9, 80, 81][random.usize(..4)].to_be_bytes());
    tcp[4..8].copy_from_slice(&random.u32(..).to_be_bytes());
    tcp[12] = 0x50;
    tcp[13] = 2;
    tcp[14] = 0xfa;
    let pseudo = sum(sum(sum(6 + 20, &source), &[192, 168, 69, 1]), &tcp);
    tcp[16..18].copy_from_slice(&(!(pseudo as u16)).to_be_bytes());
    packet(source, 6, &tcp)
}

/// An error about a packet that the stack has really sent.
fn icmp_error(random: &mut fastrand::Rng, seen: &[Vec<u8>]) -> Option<Vec<u8>> {
    let from_stack = |frame: &&Vec<u8>| frame[6..12] == STACK_MAC && frame[12..14] == [8, 0];
    let about = seen.iter().filter(from_stack).nth(random.usize(..20))?;
    let (kind, code, mtu) = [(3, 0, 0), (3, 1, 0), (3, 4, random.u16(..1500)), (11, 0, 0)][random.usize(..4)];
    let mut icmp = vec![kind, code, 0, 0, 0, 0, (mtu >> 8) as u8, mtu as u8];
    icmp.extend_from_slice(&about[14..about.len().min(14 + 48)]);
    let check = !(sum(0, &icmp) as u16);
    icmp[2..4].copy_from_slice(&check.to_be_bytes());
    Some(packet([192, 168, 69, 100], 1, &icmp))
}

/// A frame that went by, with some bits turned and its old checksums.
fn damaged(random: &mut fastrand::Rng, seen: &[Vec<u8>]) -> Option<Vec<u8>> {
    let mut frame = seen.get(random.usize(..seen.len().max(1)))?.clone();
    if frame[12..14] == [8, 6] || frame[..6] != STACK_MAC {
        return None;
    }
    // Behind the Ethernet header, where a checksum covers it; one bit, which every checksum notices.
    let at = random.usize(14..frame.len());
    frame[at] ^= 1 << random.u8(..8);
    if random.u8(..4) == 0 {
        frame.truncate(random.usize(14..frame.len()));
    }
    Some(frame)
}

fn garbage(random: &mut fastrand::Rng) -> Vec<u8> {
    let mut frame = vec![0; random.usize(14..1514)];
    random.fill(&mut frame);
    frame[..6].copy_from_slice(&STACK_MAC);
    match random.u8(..4) {
        0 => frame[12..14].copy_from_slice(&[8, 0]),
        1 => frame[12..14].copy_from_slice(&[0x86, 0xdd]),
        // Half a header of IPv4 that is right, from nobody.
        2 => {
            let mut payload = frame.split_off(14.max(frame.len() / 2));
            payload.truncate(1400);
            frame = packet([192, 168, 69, random.u8(150..250)], random.u8(..), &payload);
        }
        _ => {}
    }
    frame
}

/// A piece of a datagram whose other pieces never come.
fn stray_fragment(random: &mut fastrand::Rng) -> Vec<u8> {
    let mut frame = packet([192, 168, 69, random.u8(150..250)], 17, &vec![7; random.usize(1..180) * 8]);
    frame[18..20].copy_from_slice(&random.u16(..).to_be_bytes());
    frame[20..22].copy_from_slice(&(0x2000 | random.u16(..0x1f00)).to_be_bytes());
    frame[24..26].fill(0);
    let check = !(sum(0, &frame[14..34]) as u16);
    frame[24..26].copy_from_slice(&check.to_be_bytes());
    frame
}

/// Until it is stopped.
///
/// # Errors
///
/// What the system says about the socket.
pub fn run(tap: &str, mut random: fastrand::Rng, stop: &AtomicBool, tally: &Tally) -> io::Result<()> {
    let mut wire = Wire::open(tap)?;
    while !stop.load(Ordering::Relaxed) {
        wire.look(&mut random);
        for _ in 0..BURST {
            let (what, frame) = match random.u8(..10) {
                0 | 1 => ("hostile: SYN of nobody", Some(syn(&mut random))),
                2 => ("hostile: ICMP error", icmp_error(&mut random, &wire.seen)),
                3 => ("hostile: stray fragment", Some(stray_fragment(&mut random))),
                4..=6 => ("hostile: damaged frame", damaged(&mut random, &wire.seen)),
                _ => ("hostile: garbage", Some(garbage(&mut random))),
            };
            if let Some(frame) = frame {
                wire.send(&frame);
                tally.count(what, frame.len() as u64);
            }
        }
        thread::sleep(REST);
    }
    Ok(())
}
