//! Secrets of the environment and of URLs are neither printed nor stored, whatever a store answers.

use std::io::Write;
use std::net::{Shutdown, TcpListener, TcpStream};
use std::path::Path;
use std::process::Command;
use std::sync::{Arc, Mutex};

use crate::server::head;
use crate::shell::{Ran, Shell};

/// Texts that must not appear. Each is also searched in the form that URLs escape.
const SECRETS: [&str; 8] = [
    "AKIASECRETSECRET1234",
    "wJalrXUtnFEMI/K7MDENG+bPxRfiCYSECRET",
    "FwoGZXIvYXdzSESSION",
    "c2lnbmF0dXJlU0VDUkVU",
    "YWNjb3VudGtleVNFQ1JFVA==",
    "QmVhcmVyU0VDUkVU",
    "endpointuser",
    "endpointpassword",
];

/// A server that refuses everything and repeats each request in its answer, and the requests.
struct Echo {
    port: u16,
    asked: Arc<Mutex<String>>,
}

impl Echo {
    fn start(status: &'static str) -> Echo {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let (port, asked) = (listener.local_addr().unwrap().port(), Arc::new(Mutex::new(String::new())));
        let heard = Arc::clone(&asked);
        std::thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                let heard = Arc::clone(&heard);
                // A client may close the connection.
                std::thread::spawn(move || answer(&client, status, &heard));
            }
        });
        Echo { port, asked }
    }
}

fn answer(mut client: &TcpStream, status: &str, heard: &Mutex<String>) -> std::io::Result<()> {
    let Ok(head) = head(client) else { return Ok(()) };
    heard.lock().unwrap().push_str(&head);
    let body = format!("<Error><Code>Refused</Code><Message>{head}</Message><a>{}</a></Error>", SECRETS.join(" "));
    let length = body.len();
    write!(client, "HTTP/1.1 {status}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}")?;
    client.shutdown(Shutdown::Both)
}

/// Fails if one of the secrets is in a text.
fn look(what: &str, text: &str) {
    let text = text.to_lowercase();
    for secret in SECRETS {
        let escaped = secret.replace('/', "%2F").replace('+', "%2B").replace('=', "%3D");
        for secret in [secret, &escaped] {
            assert!(!text.contains(&secret.to_lowercase()), "{what}: {secret} in: {text}");
        }
    }
}

fn look_at(line: &str, ran: &Ran) {
    look(line, &ran.stdout);
    look(line, &ran.stderr);
}

/// Everything below a folder.
fn look_into(folder: &Path) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        look("a name", path.to_str().unwrap());
        if path.is_dir() {
            look_into(&path);
        } else {
            look(path.to_str().unwrap(), &String::from_utf8_lossy(&std::fs::read(&path).unwrap()));
        }
    }
}

const LINES: [&str; 12] = [
    "deltic doctor URL",
    "deltic init URL --layer names=generic",
    "deltic import URL --layer names=names",
    "deltic log URL",
    "deltic fsck URL",
    "deltic gc URL",
    "deltic get URL names a",
    "deltic digest URL --format json",
    "deltic run --set catalogs.in=URL",
    "deltic plan --set catalogs.in=URL",
    "deltic run --set catalogs.out=URL",
    "deltic config show --origin --set catalogs.in=URL",
];

fn with_environment(command: &mut Command, port: u16) -> &mut Command {
    let endpoint = format!("http://endpointuser:endpointpassword@127.0.0.1:{port}");
    command.env("AWS_ENDPOINT_URL", &endpoint).env("AWS_ALLOW_HTTP", "true").env("AWS_REGION", "us-east-1");
    command.env("AWS_ACCESS_KEY_ID", SECRETS[0]).env("AWS_SECRET_ACCESS_KEY", SECRETS[1]);
    command.env("AWS_SESSION_TOKEN", SECRETS[2]).env("AZURE_STORAGE_ENDPOINT", &endpoint);
    command.env("AZURE_ALLOW_HTTP", "true").env("AZURE_STORAGE_ACCOUNT_NAME", "account")
}

fn site() -> Shell {
    let shell = Shell::new();
    shell.write("names/a", "a");
    shell.write(
        "application.conf",
        "[catalogs]\nin = 'file:in'\nout = 'file:out'\n[compiler.copy]\nfrom = 'in'\nlayers = ['names']\n",
    );
    shell.ok("deltic init file:in --layer names=generic && deltic import file:in --layer names=names && deltic run");
    shell
}

/// Runs every command against a server that refuses and repeats.
fn against(status: &'static str, url: &str, secret: Option<(&str, &str)>, sent: &str) {
    let (shell, echo) = (site(), Echo::start(status));
    for line in LINES {
        let line = format!("{} -vv", line.replace("URL", url));
        let mut command = shell.command(&line);
        with_environment(&mut command, echo.port).envs(secret);
        let ran = Ran::from(command.output().unwrap());
        look_at(&line, &ran);
        assert_eq!(ran.code == 0, line.contains("config show"), "{line}: {ran:?}");
        let refused = format!("{}{}", ran.stdout, ran.stderr).contains(&status[..3]);
        assert!(refused || line.contains("config show"), "{line}: {ran:?}");
    }
    look_into(&shell.work());
    assert!(echo.asked.lock().unwrap().contains(sent), "the server got {sent}");
}

#[test]
fn refused_by_s3() {
    against("403 Forbidden", "s3://bucket/x", None, SECRETS[2]);
}

#[test]
fn refused_by_azure_with_a_signature() {
    let sas = format!("sv=2023-11-03&sp=rwdl&sig={}%3D", SECRETS[3]);
    against("403 Forbidden", "az://container/x", Some(("AZURE_STORAGE_SAS_KEY", &sas)), SECRETS[3]);
}

#[test]
fn refused_by_azure_with_a_key() {
    against("403 Forbidden", "az://container/x", Some(("AZURE_STORAGE_ACCOUNT_KEY", SECRETS[4])), "SharedKey account:");
}

#[test]
fn refused_by_azure_with_a_token() {
    against("403 Forbidden", "az://container/x", Some(("AZURE_STORAGE_TOKEN", SECRETS[5])), SECRETS[5]);
}

/// An error does not repeat a secret from another place either.
#[test]
fn what_names_a_file() {
    let (shell, secret) = (site(), SECRETS[2]);
    for line in [format!("deltic import file:in --layer names={secret}"), format!("deltic run --config {secret}")] {
        let ran = Ran::from(with_environment(&mut shell.command(&line), 1).output().unwrap());
        look_at(&line, &ran);
        assert!(ran.code != 0 && ran.stderr.contains("can not be read"), "{ran:?}");
    }
}

/// Repeated requests are logged.
#[test]
fn a_server_that_fails() {
    let (shell, echo) = (site(), Echo::start("500 Internal Server Error"));
    let sas = format!("sv=2023-11-03&sig={}%3D", SECRETS[3]);
    for url in ["s3://bucket/x", "az://container/x"] {
        let mut command = shell.command(&format!("DELTIC_LOG=trace deltic log {url}"));
        let command = with_environment(&mut command, echo.port).env("AZURE_STORAGE_SAS_KEY", &sas);
        let ran = Ran::from(command.output().unwrap());
        assert!(ran.code == 1 && ran.stderr.contains("backing off") && ran.stderr.contains("500"), "{ran:?}");
        look_at(url, &ran);
    }
}

/// Without a server, the error is that of the client, and names the address.
#[test]
fn a_server_that_is_not_there() {
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let shell = site();
    let sas = format!("sv=2023-11-03&sig={}%3D", SECRETS[3]);
    let mut command = shell.command("deltic log az://container/x -vv");
    let command = with_environment(&mut command, port).env("AZURE_STORAGE_SAS_KEY", &sas);
    let ran = Ran::from(command.output().unwrap());
    assert!(ran.code == 1 && ran.stderr.contains("127.0.0.1"), "{ran:?}");
    look_at("nobody", &ran);
}

/// Every command refuses a URL that holds a secret, and does not print it, but gives advice.
#[test]
fn urls_with_secrets_are_refused() {
    let shell = site();
    let (key, signature) = (SECRETS[1], SECRETS[3]);
    for url in [
        format!("s3://{}:{key}@bucket/x", SECRETS[0]),
        format!("az://container/x?sv=2023-11-03\\&sig={signature}"),
        format!("gs://bucket/x?X-Goog-Signature={signature}"),
        format!("s3://bucket/x?X-Amz-Signature={signature}"),
        format!("file://{}:{key}@host/x", SECRETS[0]),
        format!("file:///tmp/x?sig={signature}"),
    ] {
        for line in LINES {
            let line = format!("{} -vv", line.replace("URL", &url));
            let ran = shell.run(&line);
            assert_eq!(ran.code, 2, "{line}: {ran:?}");
            assert!(ran.stderr.contains("environment"), "{line}: {ran:?}");
            look_at(&line, &ran);
        }
        let surplus = shell.run(&format!("deltic log file:in {url}"));
        assert_eq!(surplus.code, 2);
        look_at("an argument too many", &surplus);
        let in_file = format!("[catalogs]\nin = '{}'\n", url.replace('\\', ""));
        shell.write("secret.conf", &in_file);
        let ran = shell.run("deltic config show --config secret.conf");
        assert!(ran.code == 2 && ran.stderr.contains("secret.conf:2:1"), "{ran:?}");
        look_at("the file", &ran);
        shell.run("rm secret.conf");
    }
    look_into(&shell.work());
}

/// Notes and configurations are recorded: texts in the form of secrets are refused there too.
#[test]
fn records_take_no_secrets() {
    let shell = site();
    let url = format!("https://user:{}@host/x", SECRETS[1]);
    shell.write("names/a", "another");
    for line in [
        format!("deltic import file:in --layer names=names --note 'from {url}'"),
        format!("deltic run --full --note 'from {url}' --set 'compiler.copy.prefix=\"a\"'"),
        format!("deltic run --set 'compiler.copy.prefix=\"{url}\"'"),
        format!("deltic config show --set 'compiler.copy.prefix=\"{url}\"'"),
        format!("DELTIC__COMPILER__COPY__PREFIX='{url}' deltic plan"),
    ] {
        let ran = shell.run(&line);
        assert_eq!(ran.code, 2, "{line}: {ran:?}");
        assert!(ran.stderr.contains("environment"), "{line}: {ran:?}");
        look_at(&line, &ran);
    }
    look_into(&shell.work());
    shell.ok("deltic import file:in --layer names=names --note 'from https://host/x'");
}
