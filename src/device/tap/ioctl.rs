//! System calls about interfaces that no safe crate has.
#![allow(unsafe_code)] // ioctl(2) with a pointer, and a descriptor that changes its owner

use std::io;
use std::os::fd::{AsRawFd, FromRawFd, IntoRawFd, OwnedFd};

use nix::libc;
use nix::sys::socket::{AddressFamily, SockFlag, SockType, socket};
use tun_tap::Iface;

/// What [`interface`] finds out.
pub(super) struct Interface {
    pub(super) up: bool,
    pub(super) mtu: usize,
}

/// Looks at the interface of this name in the caller's network namespace; ENODEV if there is none.
pub(super) fn interface(name: &str) -> io::Result<Interface> {
    // Any socket carries these questions into its network namespace; nothing is sent on it.
    let socket = socket(AddressFamily::Inet, SockType::Datagram, SockFlag::SOCK_CLOEXEC, None)?;
    let mut request = request(name)?;
    // SAFETY: SIOCGIFFLAGS reads the name and writes the flags within the one `ifreq` that it is given,
    // which is initialised, exclusively borrowed and outlives the call.
    let result = unsafe { libc::ioctl(socket.as_raw_fd(), libc::SIOCGIFFLAGS, &mut request) };
    if result < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: SIOCGIFFLAGS succeeded, so the kernel wrote this field; every bit pattern is an i16.
    let flags = unsafe { request.ifr_ifru.ifru_flags };
    let mut request = self::request(name)?;
    // SAFETY: as above, with SIOCGIFMTU and the MTU.
    let result = unsafe { libc::ioctl(socket.as_raw_fd(), libc::SIOCGIFMTU, &mut request) };
    if result < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: SIOCGIFMTU succeeded, so the kernel wrote this field; every bit pattern is an i32.
    let mtu = unsafe { request.ifr_ifru.ifru_mtu };
    Ok(Interface {
        up: i32::from(flags) & libc::IFF_UP != 0,
        mtu: usize::try_from(mtu).map_err(|_| io::Error::from(io::ErrorKind::InvalidData))?,
    })
}

/// An `ifreq` that asks about this name.
fn request(name: &str) -> io::Result<libc::ifreq> {
    // SAFETY: `ifreq` is plain C data of integers, arrays and null-able pointers: all zeroes is a value of it.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    // The last byte stays the terminating zero.
    if name.len() >= request.ifr_name.len() {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    for (to, from) in request.ifr_name.iter_mut().zip(name.bytes()) {
        *to = from.cast_signed() as libc::c_char;
    }
    Ok(request)
}

/// Takes the descriptor out of `tun_tap`'s hands, so that it can be lent and closed by the standard types.
pub(super) fn take_descriptor(iface: Iface) -> OwnedFd {
    // SAFETY: `into_raw_fd` gives up an open descriptor; nobody else owns it.
    unsafe { OwnedFd::from_raw_fd(iface.into_raw_fd()) }
}
