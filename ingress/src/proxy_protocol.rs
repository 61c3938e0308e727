//! The PROXY protocol, versions 1 and 2 (<https://www.haproxy.org/download/2.9/doc/proxy-protocol.txt>): a balancer that hands
//! connections on as they are says first whose they are.

use std::{
    io,
    net::{IpAddr, SocketAddr},
};

use ppp::{HeaderResult, v1, v2};
use tokio::io::{AsyncRead, AsyncReadExt};

/// The longest header of version 1, its end included (section 2.1).
const LONGEST_V1: usize = 107;

/// What version 2 may tell beside the addresses, in bytes: more than any balancer that is known to us sends.
const LONGEST_V2: usize = 4 * 1024;

/// Reads the header, and nothing behind it.
///
/// `None`: the balancer speaks for itself (a check of health), or does not know.
///
/// # Errors
/// If there is no such header, or the connection ends in it.
pub async fn source(io: &mut (impl AsyncRead + Unpin)) -> io::Result<Option<SocketAddr>> {
    let mut bytes = vec![0; v2::PROTOCOL_PREFIX.len()];
    io.read_exact(&mut bytes).await?;
    if bytes == v2::PROTOCOL_PREFIX {
        rest_of_v2(io, &mut bytes).await?;
    } else {
        rest_of_v1(io, &mut bytes).await?;
    }
    parse(&bytes)
}

/// Twelve bytes are here, and no header of this version is shorter than fifteen.
async fn rest_of_v1(io: &mut (impl AsyncRead + Unpin), bytes: &mut Vec<u8>) -> io::Result<()> {
    if !bytes.starts_with(v1::PROTOCOL_PREFIX.as_bytes()) {
        return Err(refused());
    }
    while !bytes.ends_with(b"\n") {
        if bytes.len() == LONGEST_V1 {
            return Err(refused());
        }
        bytes.push(io.read_u8().await?);
    }
    // The parser takes a space in place of the carriage return; the protocol does not (section 2.1).
    if bytes.ends_with(b"\r\n") { Ok(()) } else { Err(refused()) }
}

/// Version, family and length, and as many bytes as these say.
async fn rest_of_v2(io: &mut (impl AsyncRead + Unpin), bytes: &mut Vec<u8>) -> io::Result<()> {
    let mut head = [0; 4];
    io.read_exact(&mut head).await?;
    let length = usize::from(u16::from_be_bytes([head[2], head[3]]));
    if length > LONGEST_V2 {
        return Err(refused());
    }
    bytes.extend_from_slice(&head);
    let begins = bytes.len();
    bytes.resize(begins + length, 0);
    io.read_exact(&mut bytes[begins..]).await?;
    Ok(())
}

fn refused() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "no header of the PROXY protocol")
}

fn parse(bytes: &[u8]) -> io::Result<Option<SocketAddr>> {
    let at = |ip: IpAddr, port| Some(SocketAddr::new(ip.to_canonical(), port));
    match HeaderResult::parse(bytes) {
        HeaderResult::V1(Ok(header)) => Ok(match header.addresses {
            v1::Addresses::Unknown => None,
            v1::Addresses::Tcp4(pair) => at(pair.source_address.into(), pair.source_port),
            v1::Addresses::Tcp6(pair) => at(pair.source_address.into(), pair.source_port),
        }),
        HeaderResult::V2(Ok(header)) => Ok(match (header.command, header.addresses) {
            (v2::Command::Local, _) => None,
            (v2::Command::Proxy, v2::Addresses::IPv4(pair)) => {
                at(pair.source_address.into(), pair.source_port)
            }
            (v2::Command::Proxy, v2::Addresses::IPv6(pair)) => {
                at(pair.source_address.into(), pair.source_port)
            }
            (v2::Command::Proxy, v2::Addresses::Unix(_) | v2::Addresses::Unspecified) => None,
        }),
        HeaderResult::V1(Err(_)) | HeaderResult::V2(Err(_)) => Err(refused()),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{prop_assert, proptest};

    use super::*;

    /// What is read as the header, and what is left for whoever reads on.
    fn read(bytes: &[u8]) -> (Option<Option<SocketAddr>>, Vec<u8>) {
        let mut rest = bytes;
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let found = runtime.block_on(source(&mut rest)).ok();
        (found, rest.to_vec())
    }

    /// As the protocol's own document writes them: signature, version 2 and command, family, length.
    fn binary(command: u8, family: u8, rest: &[u8]) -> Vec<u8> {
        let length = u16::try_from(rest.len()).unwrap().to_be_bytes();
        [b"\r\n\r\n\0\r\nQUIT\n".as_slice(), &[0x20 | command, family], &length, rest].concat()
    }

    #[test]
    fn the_source_is_told_and_nothing_more_is_read() {
        let call = b"GET / HTTP/1.1\r\n".as_slice();
        let at = |text: &str| Some(Some(text.parse().unwrap()));
        let four = [[192, 0, 2, 1], [198, 51, 100, 7]].concat();
        let four = [four.as_slice(), &[0x1f, 0x90, 0x01, 0xbb]].concat();
        let with_more = [four.as_slice(), &[0x04, 0x00, 0x02, 0xaa, 0xbb]].concat();
        for (header, expected) in [
            (b"PROXY TCP4 192.0.2.1 198.51.100.7 8080 443\r\n".to_vec(), at("192.0.2.1:8080")),
            (b"PROXY TCP6 2001:db8::1 2001:db8::2 8080 443\r\n".to_vec(), at("[2001:db8::1]:8080")),
            (b"PROXY TCP6 ::ffff:192.0.2.1 2001:db8::2 8080 443\r\n".to_vec(), at("192.0.2.1:8080")),
            (b"PROXY UNKNOWN\r\n".to_vec(), Some(None)),
            (b"PROXY UNKNOWN something else\r\n".to_vec(), Some(None)),
            (binary(1, 0x11, &four), at("192.0.2.1:8080")),
            (binary(1, 0x11, &with_more), at("192.0.2.1:8080")),
            (binary(0, 0x11, &four), Some(None)),
            (binary(0, 0x00, &[]), Some(None)),
        ] {
            let (found, rest) = read(&[header.as_slice(), call].concat());
            assert_eq!((found, rest.as_slice()), (expected, call), "{header:?}");
        }
    }

    #[test]
    fn what_is_no_header_is_refused() {
        let endless = format!("PROXY TCP4 {}\r\n", "1".repeat(120));
        let short = binary(1, 0x11, &[192, 0, 2, 1]);
        let large = binary(1, 0x00, &vec![0; LONGEST_V2 + 1]);
        for bytes in [
            b"GET /v1.0/quota HTTP/1.1\r\nHost: a\r\n\r\n".as_slice(),
            b"PROXY TCP4 192.0.2.256 198.51.100.7 8080 443\r\n",
            b"PROXY TCP4 192.0.2.1 198.51.100.7 80808 443\r\n",
            b"PROXY TCP4 192.0.2.1\r\nGET / HTTP/1.1\r\n",
            b"PROXY TCP4 192.0.2.1 198.51.100.7 8080 443\nGET / HTTP/1.1\r\n",
            b"PROXY TCP4 192.0.2.1 198.51.100.7 8080 443 \nGET / HTTP/1.1\r\n",
            b"PROXYTCP4 192.0.2.1 198.51.100.7 8080 443\r\n",
            b"\r\n\r\n\0\r\nQUIT\n\x31\x11\x00\x00",
            b"\r\n\r\n\0\r\nQUIT\n\x21\x11\x00",
            b"",
            endless.as_bytes(),
            &short,
            &large,
        ] {
            assert_eq!(read(bytes).0, None, "{bytes:?}");
        }
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(begins in 0..3_usize, bytes: Vec<u8>) {
            let begin = [b"".as_slice(), b"PROXY TCP4 ", b"\r\n\r\n\0\r\nQUIT\n\x21"][begins];
            let (_, rest) = read(&[begin, bytes.as_slice()].concat());
            prop_assert!(rest.len() <= bytes.len() + begin.len());
        }
    }
}
