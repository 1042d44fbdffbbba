//! Just enough HTTP/1.1: one request per connection, bodies with a `Content-Length`, nothing else.
//!
//! Flows in: connections. Flows out: one answer each, then the connection closes. Must never grow: what needs
//! more than this should not be asked of the subject.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::time::Duration;

/// The largest body taken: tests write small files, and a typing error must not fill the disk.
const BODY_BYTES_MAX: u64 = 64 << 20;

const PATIENCE: Duration = Duration::from_secs(10);

/// What was asked.
pub(crate) struct Request {
    /// `GET`, `PUT`, …
    pub(crate) method: String,
    /// The path without the query.
    pub(crate) path: String,
    /// The decoded value of `path=` in the query, if there is one.
    pub(crate) file: Option<String>,
    /// Empty when none was sent.
    pub(crate) body: Vec<u8>,
}

/// What is answered.
pub(crate) struct Response {
    /// The status code, such as 200.
    pub(crate) status: u16,
    /// Sent as it is.
    pub(crate) body: Vec<u8>,
}

/// Answers connections, each on its own thread, until the process ends.
pub(crate) fn serve<T>(listener: &TcpListener, answer: fn(&Request) -> Response) -> io::Result<T> {
    loop {
        let (stream, _) = listener.accept()?;
        std::thread::spawn(move || {
            // A client that went away is its own business.
            let _ = talk(stream, answer);
        });
    }
}

/// Asks the subject on this machine whether it is well.
pub(crate) fn is_healthy(port: u16) -> bool {
    let ask = || -> io::Result<bool> {
        let mut stream = TcpStream::connect(("127.0.0.1", port))?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.write_all(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")?;
        let mut status = String::new();
        BufReader::new(stream).read_line(&mut status)?;
        Ok(status.starts_with("HTTP/1.1 200 "))
    };
    ask().unwrap_or(false)
}

fn talk(mut stream: TcpStream, answer: fn(&Request) -> Response) -> io::Result<()> {
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    let response = match read(&mut BufReader::new(&stream)) {
        Ok(request) => answer(&request),
        Err(error) => Response { status: 400, body: format!("{error}\n").into_bytes() },
    };
    let head = format!(
        "HTTP/1.1 {} {}\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
        response.status,
        reason(response.status),
        response.body.len()
    );
    stream.write_all(head.as_bytes())?;
    stream.write_all(&response.body)
}

fn read(reader: &mut impl BufRead) -> io::Result<Request> {
    let mut line = String::new();
    reader.read_line(&mut line)?;
    let mut words = line.split_whitespace();
    let (Some(method), Some(target)) = (words.next(), words.next()) else {
        return Err(bad("not a request line"));
    };
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let file = query.split('&').find_map(|pair| pair.strip_prefix("path=")).map(decode).transpose()?;
    let length = content_length(reader)?;
    let mut body = Vec::new();
    reader.take(length).read_to_end(&mut body)?;
    if u64::try_from(body.len()).ok() != Some(length) {
        return Err(bad("the body ended early"));
    }
    Ok(Request { method: method.to_owned(), path: path.to_owned(), file, body })
}

/// Reads the headers to their end; all but the length are of no interest.
fn content_length(reader: &mut impl BufRead) -> io::Result<u64> {
    let mut length = 0;
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line)? == 0 || line.trim().is_empty() {
            return if length > BODY_BYTES_MAX { Err(bad("the body is too large")) } else { Ok(length) };
        }
        if let Some((name, value)) = line.split_once(':')
            && name.eq_ignore_ascii_case("content-length")
        {
            length = value.trim().parse().map_err(|_| bad("Content-Length is not a number"))?;
        }
    }
}

/// Undoes percent-encoding.
fn decode(text: &str) -> io::Result<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte != b'%' {
            bytes.push(byte);
            continue;
        }
        let hex: Vec<u8> = rest.by_ref().take(2).collect();
        let hex = String::from_utf8(hex).map_err(|_| bad("bad percent-encoding"))?;
        bytes.push(u8::from_str_radix(&hex, 16).map_err(|_| bad("bad percent-encoding"))?);
    }
    String::from_utf8(bytes).map_err(|_| bad("the path is not UTF-8"))
}

fn reason(status: u16) -> &'static str {
    match status {
        200 => "OK",
        201 => "Created",
        204 => "No Content",
        400 => "Bad Request",
        404 => "Not Found",
        405 => "Method Not Allowed",
        503 => "Service Unavailable",
        _ => "Internal Server Error",
    }
}

fn bad(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_read_with_its_file_and_body() {
        let text = "PUT /file?path=/data/a%20b%2Fc HTTP/1.1\r\nHost: x\r\ncontent-length: 3\r\n\r\nabcd";
        let request = read(&mut text.as_bytes()).unwrap();
        assert_eq!((request.method.as_str(), request.path.as_str()), ("PUT", "/file"));
        assert_eq!(request.file.as_deref(), Some("/data/a b/c"));
        assert_eq!(request.body, b"abc");
    }

    #[test]
    fn nonsense_is_refused() {
        for text in [
            "",
            "GET\r\n\r\n",
            "GET /file?path=%zz HTTP/1.1\r\n\r\n",
            "PUT / HTTP/1.1\r\nContent-Length: 9\r\n\r\nabc",
            "PUT / HTTP/1.1\r\nContent-Length: 99999999999\r\n\r\n",
        ] {
            assert!(read(&mut text.as_bytes()).is_err(), "{text:?}");
        }
    }
}
