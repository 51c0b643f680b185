//! The little of HTTP that driving a server takes.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use anyhow::{Context, bail};

/// How long a server may take to answer.
const TIMEOUT: Duration = Duration::from_secs(300);

/// Asks once, on a connection of its own. Any answer but a 2xx is an error.
pub(crate) fn get(address: SocketAddr, path: &str) -> anyhow::Result<String> {
    once(address, "GET", path)
}

/// The same with an empty POST.
pub(crate) fn post(address: SocketAddr, path: &str) -> anyhow::Result<String> {
    once(address, "POST", path)
}

fn once(address: SocketAddr, method: &str, path: &str) -> anyhow::Result<String> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(TIMEOUT))?;
    // HTTP/1.0: the answer comes in one piece and ends with the connection.
    write!(
        stream,
        "{method} {path} HTTP/1.0\r\nHost: {address}\r\nContent-Length: 0\r\n\r\n"
    )?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    let (head, body) = answer
        .split_once("\r\n\r\n")
        .context("an answer without an end of its head")?;
    let status = head.split(' ').nth(1).unwrap_or_default();
    if !status.starts_with('2') {
        bail!("{method} {path}: {status}: {}", body.trim());
    }
    Ok(body.to_owned())
}

/// Percent-encodes a query.
pub(crate) fn encode(text: &str) -> String {
    text.bytes()
        .map(|b| match b {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' => {
                char::from(b).to_string()
            }
            _ => format!("%{b:02X}"),
        })
        .collect()
}

/// A connection that pushes remote-write requests, one after the other.
pub(crate) struct Pusher {
    stream: BufReader<TcpStream>,
    address: SocketAddr,
    path: &'static str,
}

impl Pusher {
    pub(crate) fn connect(address: SocketAddr, path: &'static str) -> anyhow::Result<Self> {
        let stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(TIMEOUT))?;
        Ok(Self {
            stream: BufReader::new(stream),
            address,
            path,
        })
    }

    /// Sends one request and waits until it is acknowledged.
    pub(crate) fn push(&mut self, body: &[u8]) -> anyhow::Result<()> {
        let mut message = format!(
            "POST {} HTTP/1.1\r\nHost: {}\r\nContent-Encoding: snappy\r\nContent-Type: application/x-protobuf\r\n\
             X-Prometheus-Remote-Write-Version: 0.1.0\r\nContent-Length: {}\r\n\r\n",
            self.path,
            self.address,
            body.len()
        )
        .into_bytes();
        message.extend(body);
        self.stream.get_mut().write_all(&message)?;
        let mut line = String::new();
        self.stream.read_line(&mut line)?;
        let status = line.split(' ').nth(1).unwrap_or_default().to_owned();
        let mut length = 0;
        loop {
            line.clear();
            if self.stream.read_line(&mut line)? == 0 {
                bail!("the server closed the connection after {status:?}");
            }
            if line == "\r\n" {
                break;
            }
            if let Some((name, value)) = line.split_once(':')
                && name.eq_ignore_ascii_case("content-length")
            {
                length = value.trim().parse()?;
            }
        }
        let mut body = vec![0; length];
        self.stream.read_exact(&mut body)?;
        if !status.starts_with('2') {
            bail!("remote write: {status}: {}", String::from_utf8_lossy(&body));
        }
        Ok(())
    }
}

/// A connection that asks one question after the other, as a dashboard does.
pub(crate) struct Client {
    stream: BufReader<TcpStream>,
    address: SocketAddr,
    body: Vec<u8>,
}

impl Client {
    pub(crate) fn connect(address: SocketAddr) -> anyhow::Result<Self> {
        let stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(TIMEOUT))?;
        Ok(Self {
            stream: BufReader::with_capacity(256 * 1024, stream),
            address,
            body: Vec::new(),
        })
    }

    /// Asks and reads the whole answer, which stays in the client's buffer. Any answer but a 2xx is an error.
    pub(crate) fn get(&mut self, path: &str) -> anyhow::Result<&[u8]> {
        write!(
            self.stream.get_mut(),
            "GET {path} HTTP/1.1\r\nHost: {}\r\n\r\n",
            self.address
        )?;
        let (status, length) = self.head()?;
        self.body.clear();
        match length {
            Some(length) => self.piece(length)?,
            None => self.pieces()?,
        }
        if !status.starts_with('2') {
            bail!(
                "GET {path}: {status}: {}",
                String::from_utf8_lossy(&self.body)
            );
        }
        Ok(&self.body)
    }

    /// The status, and the length of the body where it is known beforehand.
    fn head(&mut self) -> anyhow::Result<(String, Option<usize>)> {
        let mut line = self.line()?;
        let status = line.split(' ').nth(1).unwrap_or_default().to_owned();
        let mut length = Some(0);
        loop {
            line = self.line()?;
            let Some((name, value)) = line.split_once(':') else {
                return Ok((status, length));
            };
            if name.eq_ignore_ascii_case("content-length") {
                length = Some(value.trim().parse()?);
            } else if name.eq_ignore_ascii_case("transfer-encoding") {
                length = None;
            }
        }
    }

    /// A body in pieces, each after its length.
    fn pieces(&mut self) -> anyhow::Result<()> {
        loop {
            let line = self.line()?;
            let length = usize::from_str_radix(&line, 16)?;
            self.piece(length)?;
            self.line()?;
            if length == 0 {
                return Ok(());
            }
        }
    }

    fn piece(&mut self, length: usize) -> anyhow::Result<()> {
        let from = self.body.len();
        self.body.resize(from + length, 0);
        self.stream.read_exact(&mut self.body[from..])?;
        Ok(())
    }

    fn line(&mut self) -> anyhow::Result<String> {
        let mut line = String::new();
        if self.stream.read_line(&mut line)? == 0 {
            bail!("the server closed the connection");
        }
        Ok(line.trim_end().to_owned())
    }
}
