//! Frames made by smoltcp's wire types, which share no code with the decoder under test.

use smoltcp::phy::ChecksumCapabilities;
use smoltcp::wire::*;

pub(in crate::trace) const HOST: EthernetAddress = EthernetAddress([0x2e, 0x5a, 0x01, 0x77, 0x03, 0x9c]);
pub(in crate::trace) const US: EthernetAddress = EthernetAddress([0x02, 0x00, 0x5e, 0x10, 0x00, 0x01]);
pub(in crate::trace) const HOST4: Ipv4Address = Ipv4Address::new(192, 168, 69, 100);
pub(in crate::trace) const US4: Ipv4Address = Ipv4Address::new(192, 168, 69, 1);
pub(in crate::trace) const HOST6: Ipv6Address = Ipv6Address::new(0xfd69, 0, 0, 0, 0, 0, 0, 0x100);
pub(in crate::trace) const US6: Ipv6Address = Ipv6Address::new(0xfd69, 0, 0, 0, 0, 0, 0, 1);

fn checksums() -> ChecksumCapabilities {
    ChecksumCapabilities::default()
}

fn ethernet(between: (EthernetAddress, EthernetAddress), ethertype: EthernetProtocol, payload: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0; 14 + payload.len()];
    let repr = EthernetRepr { src_addr: between.0, dst_addr: between.1, ethertype };
    let mut frame = EthernetFrame::new_unchecked(&mut bytes);
    repr.emit(&mut frame);
    frame.payload_mut().copy_from_slice(payload);
    bytes
}

/// From the host to us, unless the source is ours.
fn ip(between: (IpAddress, IpAddress), next_header: IpProtocol, hop_limit: u8, payload: &[u8]) -> Vec<u8> {
    let (source, destination) = between;
    let repr = IpRepr::new(source, destination, next_header, payload.len(), hop_limit);
    let mut packet = vec![0; repr.header_len() + payload.len()];
    repr.emit(&mut packet[..], &checksums());
    packet[repr.header_len()..].copy_from_slice(payload);
    let ours = [IpAddress::from(US4), IpAddress::from(US6)].contains(&source);
    let stations = if ours { (US, HOST) } else { (HOST, US) };
    let ethertype = match source {
        IpAddress::Ipv4(_) => EthernetProtocol::Ipv4,
        IpAddress::Ipv6(_) => EthernetProtocol::Ipv6,
    };
    ethernet(stations, ethertype, &packet)
}

/// A segment with neither options nor payload, for struct update.
pub(in crate::trace) fn segment(ports: (u16, u16)) -> TcpRepr<'static> {
    TcpRepr {
        src_port: ports.0,
        dst_port: ports.1,
        control: TcpControl::None,
        seq_number: TcpSeqNumber(0),
        ack_number: None,
        window_len: 0,
        window_scale: None,
        max_seg_size: None,
        sack_permitted: false,
        sack_ranges: [None; 3],
        timestamp: None,
        payload: &[],
    }
}

pub(in crate::trace) fn tcp(between: (impl Into<IpAddress>, impl Into<IpAddress>), segment: &TcpRepr<'_>) -> Vec<u8> {
    let between = (between.0.into(), between.1.into());
    let mut bytes = vec![0; segment.buffer_len()];
    segment.emit(&mut TcpPacket::new_unchecked(&mut bytes[..]), &between.0, &between.1, &checksums());
    ip(between, IpProtocol::Tcp, 64, &bytes)
}

pub(in crate::trace) fn udp(
    between: (impl Into<IpAddress>, impl Into<IpAddress>),
    ports: (u16, u16),
    payload: &[u8],
    caps: &ChecksumCapabilities,
) -> Vec<u8> {
    let between = (between.0.into(), between.1.into());
    let mut bytes = vec![0; 8 + payload.len()];
    let repr = UdpRepr { src_port: ports.0, dst_port: ports.1 };
    let mut packet = UdpPacket::new_unchecked(&mut bytes[..]);
    let fill = |buffer: &mut [u8]| buffer.copy_from_slice(payload);
    repr.emit(&mut packet, &between.0, &between.1, payload.len(), fill, caps);
    ip(between, IpProtocol::Udp, 64, &bytes)
}

pub(in crate::trace) fn icmp4(between: (Ipv4Address, Ipv4Address), message: &Icmpv4Repr<'_>) -> Vec<u8> {
    let mut bytes = vec![0; message.buffer_len()];
    message.emit(&mut Icmpv4Packet::new_unchecked(&mut bytes[..]), &checksums());
    ip((between.0.into(), between.1.into()), IpProtocol::Icmp, 64, &bytes)
}

pub(in crate::trace) fn icmp6(between: (Ipv6Address, Ipv6Address), hop_limit: u8, message: &Icmpv6Repr<'_>) -> Vec<u8> {
    let mut bytes = vec![0; message.buffer_len()];
    message.emit(&between.0, &between.1, &mut Icmpv6Packet::new_unchecked(&mut bytes[..]), &checksums());
    ip((between.0.into(), between.1.into()), IpProtocol::Icmpv6, hop_limit, &bytes)
}

pub(in crate::trace) fn arp(
    operation: ArpOperation,
    sender: (EthernetAddress, Ipv4Address),
    target: Ipv4Address,
) -> Vec<u8> {
    let repr = ArpRepr::EthernetIpv4 {
        operation,
        source_hardware_addr: sender.0,
        source_protocol_addr: sender.1,
        target_hardware_addr: if operation == ArpOperation::Request { EthernetAddress([0; 6]) } else { HOST },
        target_protocol_addr: target,
    };
    let mut bytes = vec![0; repr.buffer_len()];
    repr.emit(&mut ArpPacket::new_unchecked(&mut bytes[..]));
    let to = if operation == ArpOperation::Request { EthernetAddress::BROADCAST } else { HOST };
    ethernet((sender.0, to), EthernetProtocol::Arp, &bytes)
}

pub(in crate::trace) fn bytes_of_type(ethertype: u16, payload: &[u8]) -> Vec<u8> {
    ethernet((HOST, US), EthernetProtocol::from(ethertype), payload)
}

/// One of each kind, for tests that damage them.
pub(in crate::trace) fn of_every_kind() -> Vec<(&'static str, Vec<u8>)> {
    let syn = TcpRepr {
        control: TcpControl::Syn,
        window_len: 64240,
        window_scale: Some(7),
        max_seg_size: Some(1460),
        sack_permitted: true,
        timestamp: Some(TcpTimestampRepr { tsval: 1, tsecr: 0 }),
        ..segment((43210, 80))
    };
    let data = TcpRepr {
        control: TcpControl::Psh,
        ack_number: Some(TcpSeqNumber(7)),
        sack_ranges: [Some((10, 20)), Some((30, 40)), None],
        payload: b"GET / HTTP/1.1\r\n",
        ..segment((43210, 80))
    };
    let quoted =
        Ipv4Repr { src_addr: US4, dst_addr: HOST4, next_header: IpProtocol::Udp, payload_len: 8, hop_limit: 64 };
    let echo4 = Icmpv4Repr::EchoRequest { ident: 1, seq_no: 2, data: &[0xab; 56] };
    let echo6 = Icmpv6Repr::EchoRequest { ident: 1, seq_no: 2, data: &[0xab; 57] };
    let unreachable = Icmpv4Repr::DstUnreachable {
        reason: Icmpv4DstUnreachable::PortUnreachable,
        header: quoted,
        data: &[0x13, 0x88, 0, 53, 0, 8, 0, 0],
    };
    let solicit = Icmpv6Repr::Ndisc(NdiscRepr::NeighborSolicit { target_addr: US6, lladdr: Some(HOST.into()) });
    let advertise = Icmpv6Repr::Ndisc(NdiscRepr::NeighborAdvert {
        flags: NdiscNeighborFlags::SOLICITED | NdiscNeighborFlags::OVERRIDE,
        target_addr: US6,
        lladdr: Some(US.into()),
    });
    vec![
        ("syn", tcp((HOST4, US4), &syn)),
        ("syn6", tcp((HOST6, US6), &syn)),
        ("data", tcp((HOST4, US4), &data)),
        ("udp", udp((HOST4, US4), (5000, 7), b"hello", &checksums())),
        ("udp6", udp((HOST6, US6), (5000, 7), b"hello", &checksums())),
        ("echo", icmp4((HOST4, US4), &echo4)),
        ("echo6", icmp6((HOST6, US6), 64, &echo6)),
        ("unreachable", icmp4((HOST4, US4), &unreachable)),
        ("solicit", icmp6((HOST6, US6), 255, &solicit)),
        ("advertise", icmp6((US6, HOST6), 255, &advertise)),
        ("arp request", arp(ArpOperation::Request, (HOST, HOST4), US4)),
        ("arp reply", arp(ArpOperation::Reply, (US, US4), HOST4)),
        ("lldp", bytes_of_type(0x88cc, &[2, 7, 4])),
    ]
}
