//! A server for one test, with the answers of the test.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, channel};

/// A server on this machine; it serves until the tests end.
pub(crate) struct Server {
    pub(crate) port: u16,
    /// The head of each request.
    pub(crate) asked: Receiver<String>,
}

impl Server {
    /// Starts a server. `answer` decides whether and what it answers; the connection is closed after that.
    pub(crate) fn start(answer: impl Fn(&mut TcpStream) + Clone + Send + 'static) -> Server {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let (port, (heads, asked)) = (listener.local_addr().unwrap().port(), channel());
        std::thread::spawn(move || {
            for mut client in listener.incoming().map_while(Result::ok) {
                let (heads, answer) = (heads.clone(), answer.clone());
                std::thread::spawn(move || {
                    // A client may close the connection, and the test may be over.
                    if let Ok(head) = head(&client) {
                        let _ = heads.send(head);
                        answer(&mut client);
                    }
                });
            }
        });
        Server { port, asked }
    }

    /// A server that gives the same answer to all requests.
    pub(crate) fn saying(status: &str, body: &str) -> Server {
        let length = body.len();
        let text = format!("HTTP/1.1 {status}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}");
        Server::start(move |client| drop(client.write_all(text.as_bytes())))
    }

    /// A server that reads requests and never answers.
    pub(crate) fn silent() -> Server {
        Server::start(|client| drop(client.read_to_end(&mut Vec::new())))
    }

    /// The environment variables with which a command finds it, as arguments of `env`.
    pub(crate) fn variables(&self) -> String {
        let port = self.port;
        format!(
            "AWS_ENDPOINT_URL=http://127.0.0.1:{port} AWS_ALLOW_HTTP=true AWS_REGION=us-east-1 AWS_ACCESS_KEY_ID=key \
             AWS_SECRET_ACCESS_KEY=secretsecret AZURE_STORAGE_ENDPOINT=http://127.0.0.1:{port} AZURE_ALLOW_HTTP=true \
             AZURE_STORAGE_ACCOUNT_NAME=account AZURE_STORAGE_TOKEN=tokentoken"
        )
    }
}

/// Reads a request, and returns its head.
pub(crate) fn head(client: &TcpStream) -> std::io::Result<String> {
    let mut from = BufReader::new(client);
    let (mut head, mut length) = (String::new(), 0);
    loop {
        let before = head.len();
        if from.read_line(&mut head)? == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
        let line = head[before..].to_lowercase();
        if let Some(number) = line.strip_prefix("content-length:") {
            length = number.trim().parse().unwrap();
        }
        if line == "\r\n" {
            break;
        }
    }
    std::io::copy(&mut from.take(length), &mut std::io::sink())?;
    Ok(head)
}
