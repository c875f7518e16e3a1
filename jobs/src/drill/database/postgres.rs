//! A PostgreSQL server of the drill's own, from binaries that the operator points at. It listens
//! on a Unix socket in a folder of 0700, and on loopback with a random password when a Temporal
//! server must reach it.

use std::ffi::OsString;
use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::time::Duration;

use postgres::conninfo::{ConnInfo, Environment};
use rand::Rng as _;
use rustix::process::Signal;

use super::super::folder::Folder;
use super::super::keeper::{Account, Server, Spec};
use crate::Error;

/// Longest start-up; `initdb` on a slow disk takes some seconds.
const START: Duration = Duration::from_secs(120);
const STOP: Duration = Duration::from_secs(20);

/// Of the socket, where there is no other.
const PORT: u16 = 5432;

/// Longest path of a Unix socket, with its name.
const LONGEST_SOCKET: usize = 100;

/// A running server.
#[derive(Debug)]
pub(super) struct OwnServer {
    server: Server,
    folder: Folder,
    /// Superuser over the socket.
    pub info: ConnInfo,
    /// Loopback port and the superuser's password there.
    pub tcp: Option<(u16, String)>,
}

/// Makes a cluster and starts a server on it.
pub(super) async fn start(bin: &Path, token: &str, tcp: bool) -> Result<OwnServer, Error> {
    let account = Account::unprivileged()?;
    for program in ["initdb", "postgres"] {
        if !bin.join(program).is_file() {
            return Err(Error::Refused {
                what: format!("{} holds no {program}", bin.display()),
                hint: "--postgres-bin names the folder of PostgreSQL's server programs, such as \
                       /usr/lib/postgresql/17/bin"
                    .into(),
            });
        }
    }
    let folder = Folder::new(token, account)?;
    let data = folder.path().join("data");
    if folder.path().as_os_str().len() + ".s.PGSQL.5432".len() + 1 > LONGEST_SOCKET {
        return Err(Error::Refused {
            what: format!("{} is too long for a Unix socket", folder.path().display()),
            hint: "point TMPDIR at a folder with a shorter name".into(),
        });
    }
    let password = format!("{:032x}", rand::rng().random::<u128>());
    let pwfile = folder.path().join("password");
    write(&pwfile, &password, account)?;
    initialize(bin, &folder, &data, &pwfile, account).await?;
    let tcp = if tcp { Some((free_port()?, password)) } else { None };
    configure(&folder, &data, tcp.as_ref().map(|(port, _)| *port), account)?;
    let mut server = Server::start(Spec {
        name: "the drill's PostgreSQL",
        program: &bin.join("postgres"),
        arguments: vec!["-D".into(), data.clone().into()],
        account,
        folder: &data,
        log: folder.path().join("log"),
    })?;
    let pid_file = data.join("postmaster.pid");
    server.wait_until(START, || std::future::ready(is_ready(&pid_file))).await?;
    let port = tcp.as_ref().map_or(PORT, |(port, _)| *port);
    let folder_name = folder.path().display();
    let text = format!("host='{folder_name}' port={port} user=postgres dbname=postgres");
    let info = ConnInfo::resolve(Some(&text), &Environment::default());
    let info = info.map_err(|error| Error::database("reach", "postgres", error))?;
    Ok(OwnServer { server, folder, info, tcp })
}

impl OwnServer {
    /// Ends it and removes its files; says whether they are gone.
    pub async fn stop(self) -> bool {
        // SIGINT is the fast shutdown: sessions are cut, and shared memory is freed.
        self.server.stop(Signal::INT, STOP).await;
        self.folder.remove()
    }

    /// A folder for files of a server beside it.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }
}

async fn initialize(
    bin: &Path,
    folder: &Folder,
    data: &Path,
    pwfile: &Path,
    account: Option<Account>,
) -> Result<(), Error> {
    let arguments: Vec<OsString> = [
        "--username=postgres",
        "--encoding=UTF8",
        "--no-locale",
        "--auth-local=trust",
        "--auth-host=scram-sha-256",
        "--no-sync",
    ]
    .into_iter()
    .map(OsString::from)
    .chain(["--pgdata".into(), data.into(), "--pwfile".into(), pwfile.into()])
    .collect();
    let mut initdb = Server::start(Spec {
        name: "initdb",
        program: &bin.join("initdb"),
        arguments,
        account,
        folder: folder.path(),
        log: folder.path().join("initdb.log"),
    })?;
    initdb.wait_for_success(START).await
}

fn configure(
    folder: &Folder,
    data: &Path,
    port: Option<u16>,
    account: Option<Account>,
) -> Result<(), Error> {
    let memory = "shared_buffers = '128MB'\nmax_wal_size = '4GB'\n";
    // It is thrown away: durability is of no use to it.
    let fast = "fsync = off\nsynchronous_commit = off\nfull_page_writes = off\nautovacuum = off\n\
                wal_level = minimal\nmax_wal_senders = 0\n";
    let listen = if port.is_some() { "127.0.0.1" } else { "" };
    let text = format!(
        "listen_addresses = '{listen}'\nport = {}\nunix_socket_directories = '{}'\n\
         unix_socket_permissions = 0700\nmax_connections = 200\npassword_encryption = \
         'scram-sha-256'\ntimezone = 'UTC'\n{memory}{fast}",
        port.unwrap_or(PORT),
        folder.path().display().to_string().replace('\'', "''"),
    );
    let path = data.join("postgresql.auto.conf");
    write(&path, &text, account)?;
    let hba = "local all all trust\nhost all all 127.0.0.1/32 scram-sha-256\n";
    write(&data.join("pg_hba.conf"), hba, account)
}

fn write(path: &Path, text: &str, account: Option<Account>) -> Result<(), Error> {
    let written = fs::write(path, text)
        .and_then(|()| fs::set_permissions(path, fs::Permissions::from_mode(0o600)))
        .and_then(|()| match account {
            Some(Account { uid, gid }) => std::os::unix::fs::chown(path, Some(uid), Some(gid)),
            None => Ok(()),
        });
    written.map_err(|source| Error::Local { doing: "write", path: path.to_owned(), source })
}

/// Ports to choose from: below Linux's range for outgoing connections, and no more than the
/// `smallint` in which Temporal keeps the ports of its members.
const PORTS: std::ops::Range<u16> = 15_000..32_000;

/// A port of loopback that nobody listens on at this moment.
pub(super) fn free_port() -> Result<u16, Error> {
    let free = |port: &u16| TcpListener::bind(("127.0.0.1", *port)).is_ok();
    let tries = std::iter::repeat_with(|| rand::rng().random_range(PORTS)).take(200);
    tries.into_iter().find(free).ok_or_else(|| Error::Refused {
        what: format!("no port of 127.0.0.1 from {} to {} is free", PORTS.start, PORTS.end),
        hint: "run the drill on another machine".into(),
    })
}

/// Whether `postmaster.pid` says that connections are accepted (PostgreSQL's `pidfile.h`: line
/// 8 is the status).
fn is_ready(pid_file: &Path) -> bool {
    fs::read_to_string(pid_file)
        .is_ok_and(|text| text.lines().nth(7).is_some_and(|line| line.trim_end() == "ready"))
}
