//! A connection to a server that breaks: after a record was created, and before the server's answer has arrived.
//!
//! Everything else is passed on unchanged. There is one request for each connection, so the proxy need not find the end of an
//! answer.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Of this many answers to the creation of a record, one is lost.
const LOST: u64 = 3;

/// The environment's servers, each behind a separate proxy.
pub(crate) struct Proxy {
    environment: Vec<(&'static str, String)>,
    /// Creations of records that passed the proxies.
    records: Arc<AtomicU64>,
}

impl Proxy {
    /// Proxies for the servers in the environment; none if it names none.
    pub(crate) fn for_servers() -> Option<Proxy> {
        let records = Arc::new(AtomicU64::new(0));
        let line = |variable: &'static str| {
            let server = std::env::var(variable).ok()?;
            let server = server.strip_prefix("http://")?.trim_end_matches('/').to_owned();
            Some((variable, start(server, Arc::clone(&records))))
        };
        let environment: Vec<_> =
            ["AWS_ENDPOINT_URL", "AZURITE_BLOB_STORAGE_URL"].into_iter().filter_map(line).collect();
        (!environment.is_empty()).then_some(Proxy { environment, records })
    }

    /// How many answers were lost.
    pub(crate) fn lost(&self) -> u64 {
        self.records.load(Ordering::Relaxed).div_ceil(LOST)
    }

    /// The environment variables with which a process uses the proxies.
    pub(crate) fn environment(&self) -> impl Iterator<Item = (&'static str, String)> {
        self.environment.iter().cloned()
    }
}

/// Starts a proxy for a server and returns its URL. It ends with the process.
fn start(server: String, records: Arc<AtomicU64>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let server = Arc::new(server);
    std::thread::spawn(move || {
        for client in listener.incoming().map_while(Result::ok) {
            let (server, records) = (Arc::clone(&server), Arc::clone(&records));
            // A client may close the connection.
            std::thread::spawn(move || pass_on(&client, &server, &records));
        }
    });
    url
}

fn pass_on(client: &TcpStream, server: &str, records: &AtomicU64) -> std::io::Result<()> {
    let mut from = BufReader::new(client);
    let (mut head, mut length) = (String::new(), 0);
    loop {
        let mut line = String::new();
        if from.read_line(&mut line)? == 0 {
            return Ok(());
        }
        if let Some(number) = line.to_lowercase().strip_prefix("content-length:") {
            length = number.trim().parse().unwrap();
        }
        if line == "\r\n" {
            break;
        }
        head.push_str(&line);
    }
    let mut body = vec![0; length];
    from.read_exact(&mut body)?;

    let mut to = TcpStream::connect(server)?;
    to.write_all(format!("{head}Connection: close\r\n\r\n").as_bytes())?;
    to.write_all(&body)?;
    let mut answer = Vec::new();
    to.read_to_end(&mut answer)?;

    let creates = head.starts_with("PUT ") && head.lines().next().is_some_and(|line| line.contains("/versions/0"));
    if creates && records.fetch_add(1, Ordering::Relaxed).is_multiple_of(LOST) {
        return client.shutdown(Shutdown::Both);
    }
    let mut client = client;
    client.write_all(&answer)?;
    client.shutdown(Shutdown::Both)
}
