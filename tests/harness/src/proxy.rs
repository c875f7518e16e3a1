//! A TCP proxy that makes trouble: delays, throttles, stalls, refuses, or cuts connections after
//! so many bytes.
//!
//! It knows nothing of what it carries and serves before PostgreSQL and S3 alike. Each rule may be
//! changed while connections are open and is felt at their next chunk.

use std::collections::HashMap;
use std::io::{self, Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crate::error::Error;

/// How much is read at once: small enough that a cut lands near its byte.
const CHUNK: usize = 16 * 1024;

/// How long the proxy's own address may take to answer.
const WAKE_LIMIT: Duration = Duration::from_secs(5);

/// Which way bytes flow.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Direction {
    /// From the client to the server: uploads, queries, rows of a restore.
    Up,
    /// From the server to the client: downloads, rows of an export.
    Down,
}

/// What the proxy does to connections.
#[derive(Debug, Clone, Default)]
struct Rules {
    delay: Duration,
    bytes_per_second: Option<u64>,
    stalled: bool,
    refusing: bool,
    /// Bytes still to be passed in a direction, over all connections, before all are cut.
    cuts: HashMap<Direction, u64>,
    /// Bytes that may pass on each connection before that one is cut.
    each: HashMap<Direction, u64>,
}

#[derive(Debug, Default)]
struct State {
    rules: Rules,
    passed: HashMap<Direction, u64>,
    accepted: u64,
    cut: u64,
    open: HashMap<u64, [TcpStream; 2]>,
    closing: bool,
}

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

/// A running proxy. Dropping it closes all its connections.
#[derive(Debug)]
pub struct Proxy {
    address: SocketAddr,
    shared: Arc<Shared>,
    acceptor: Option<JoinHandle<()>>,
}

impl Proxy {
    /// Listens on a free port of 127.0.0.1 and passes connections on to `HOST:PORT`.
    ///
    /// # Errors
    /// When it cannot listen or the target's address is not one.
    pub fn start(target: &str) -> Result<Self, Error> {
        Self::start_at("127.0.0.1", target)
    }

    /// Listens on a free port of this address.
    ///
    /// # Errors
    /// As [`Proxy::start`].
    pub fn start_at(on: &str, target: &str) -> Result<Self, Error> {
        let parsed: SocketAddr = target
            .parse()
            .map_err(io::Error::other)
            .map_err(Error::io(format!("{target} is not an address")))?;
        let listener = TcpListener::bind((on, 0)).map_err(Error::io("the proxy cannot listen"))?;
        let address = listener.local_addr().map_err(Error::io("the proxy cannot listen"))?;
        let shared = Arc::new(Shared::default());
        let theirs = Arc::clone(&shared);
        let acceptor = std::thread::spawn(move || accept(&listener, parsed, &theirs));
        Ok(Self { address, shared, acceptor: Some(acceptor) })
    }

    /// `HOST:PORT` to connect to.
    #[must_use]
    pub fn address(&self) -> String {
        self.address.to_string()
    }

    /// The port to connect to.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.address.port()
    }

    /// Waits so long before passing on each chunk.
    pub fn delay(&self, delay: Duration) {
        self.change(|state| state.rules.delay = delay);
    }

    /// Passes on at most so many bytes per second and connection in each direction.
    pub fn throttle(&self, bytes_per_second: u64) {
        self.change(|state| state.rules.bytes_per_second = Some(bytes_per_second.max(1)));
    }

    /// Keeps connections open and passes nothing on, until [`Proxy::heal`].
    pub fn stall(&self) {
        self.change(|state| state.rules.stalled = true);
    }

    /// Closes new connections at once, until [`Proxy::heal`].
    pub fn refuse(&self) {
        self.change(|state| state.rules.refusing = true);
    }

    /// Cuts all connections, once, when this many more bytes have passed in this direction.
    pub fn cut_after(&self, direction: Direction, bytes: u64) {
        self.change(|state| {
            state.rules.cuts.insert(direction, bytes);
        });
    }

    /// Cuts every connection for itself as soon as this many bytes have passed on it in this
    /// direction, until [`Proxy::heal`].
    pub fn cut_each_after(&self, direction: Direction, bytes: u64) {
        self.change(|state| {
            state.rules.each.insert(direction, bytes);
        });
    }

    /// Cuts all connections now; new ones are welcome.
    pub fn cut(&self) {
        self.change(cut_all);
    }

    /// Takes all rules back.
    pub fn heal(&self) {
        self.change(|state| state.rules = Rules::default());
    }

    /// Bytes passed on so far.
    #[must_use]
    pub fn passed(&self, direction: Direction) -> u64 {
        self.shared.lock().passed.get(&direction).copied().unwrap_or(0)
    }

    /// Connections accepted so far.
    #[must_use]
    pub fn accepted(&self) -> u64 {
        self.shared.lock().accepted
    }

    /// How many times connections were cut so far.
    #[must_use]
    pub fn cuts(&self) -> u64 {
        self.shared.lock().cut
    }

    /// Waits until so many bytes have passed in all in this direction; false when `limit` passes
    /// first.
    #[must_use]
    pub fn wait_passed(&self, direction: Direction, bytes: u64, limit: Duration) -> bool {
        self.wait(limit, |state| state.passed.get(&direction).copied().unwrap_or(0) >= bytes)
    }

    /// Waits until connections have been cut so many times; false when `limit` passes first.
    #[must_use]
    pub fn wait_cuts(&self, cuts: u64, limit: Duration) -> bool {
        self.wait(limit, |state| state.cut >= cuts)
    }

    fn wait(&self, limit: Duration, reached: impl Fn(&State) -> bool) -> bool {
        let state = self.shared.lock();
        self.shared
            .changed
            .wait_timeout_while(state, limit, |state| !reached(state))
            .is_ok_and(|(state, _)| reached(&state))
    }

    fn change(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.shared.lock());
        self.shared.changed.notify_all();
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.change(|state| {
            state.closing = true;
            cut_all(state);
        });
        // Wakes the acceptor, which then sees that it is over.
        let woken = TcpStream::connect_timeout(&self.address, WAKE_LIMIT);
        // Where the address itself is gone nothing wakes it, and it ends with the process.
        if let Some(acceptor) = self.acceptor.take().filter(|_| woken.is_ok()) {
            let _ = acceptor.join();
        }
    }
}

impl Shared {
    /// The state. A thread that panicked while holding it left nothing half-changed.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn cut_all(state: &mut State) {
    if !state.open.is_empty() {
        state.cut += 1;
    }
    for (_, ends) in state.open.drain() {
        for end in ends {
            // It may be closed already.
            let _ = end.shutdown(Shutdown::Both);
        }
    }
}

fn accept(listener: &TcpListener, target: SocketAddr, shared: &Arc<Shared>) {
    let mut pumps = Vec::new();
    for client in listener.incoming().flatten() {
        let id = {
            let mut state = shared.lock();
            if state.closing {
                break;
            }
            if state.rules.refusing {
                continue;
            }
            state.accepted += 1;
            state.accepted
        };
        if let Ok(both) = connect(id, client, target, shared) {
            pumps.extend(both);
        }
    }
    for pump in pumps {
        let _ = pump.join();
    }
}

/// Connects to the target and starts a thread for each direction. A target that cannot be reached
/// closes the client's connection, as a server that is down would.
fn connect(
    id: u64,
    client: TcpStream,
    target: SocketAddr,
    shared: &Arc<Shared>,
) -> io::Result<[JoinHandle<()>; 2]> {
    let server = TcpStream::connect(target)?;
    client.set_nodelay(true)?;
    server.set_nodelay(true)?;
    let ends = [client.try_clone()?, server.try_clone()?];
    let pairs = [
        (Direction::Up, client.try_clone()?, server.try_clone()?),
        (Direction::Down, server, client),
    ];
    shared.lock().open.insert(id, ends);
    Ok(pairs.map(|(direction, from, to)| {
        let shared = Arc::clone(shared);
        std::thread::spawn(move || {
            // Whatever ends one direction ends the connection, but only a half of it where the
            // sender has merely said all it had to say.
            match pump(direction, &from, &to, &shared) {
                Ok(()) => drop(to.shutdown(Shutdown::Write)),
                Err(_) => {
                    let _ = to.shutdown(Shutdown::Both);
                    let _ = from.shutdown(Shutdown::Both);
                }
            }
            if direction == Direction::Down {
                shared.lock().open.remove(&id);
            }
        })
    }))
}

fn pump(
    direction: Direction,
    mut from: &TcpStream,
    mut to: &TcpStream,
    shared: &Shared,
) -> io::Result<()> {
    let mut chunk = vec![0; CHUNK];
    let mut sent = 0_u64;
    loop {
        let read = from.read(&mut chunk)?;
        let Some(bytes) = chunk.get(..read).filter(|bytes| !bytes.is_empty()) else {
            return Ok(());
        };
        let mut allowed = admit(direction, bytes.len(), shared);
        let each = shared.lock().rules.each.get(&direction).copied();
        let left = each.map_or(u64::MAX, |limit| limit.saturating_sub(sent));
        let is_last = left < allowed as u64;
        allowed = usize::try_from(left).map_or(allowed, |left| left.min(allowed));
        sent += allowed as u64;
        to.write_all(bytes.get(..allowed).unwrap_or(bytes))?;
        let mut state = shared.lock();
        *state.passed.entry(direction).or_default() += allowed as u64;
        if let Some(left) = state.rules.cuts.get_mut(&direction) {
            *left = left.saturating_sub(allowed as u64);
            if *left == 0 {
                state.rules.cuts.remove(&direction);
                cut_all(&mut state);
            }
        }
        state.cut += u64::from(is_last);
        drop(state);
        shared.changed.notify_all();
        if allowed < read {
            return Err(io::ErrorKind::ConnectionAborted.into());
        }
    }
}

/// Waits as the rules want it, and says how many of the bytes may still pass.
fn admit(direction: Direction, bytes: usize, shared: &Shared) -> usize {
    let started = Instant::now();
    let mut state = shared.lock();
    loop {
        if state.closing {
            return 0;
        }
        let rules = &state.rules;
        let transfer = rules
            .bytes_per_second
            .map_or(Duration::ZERO, |rate| Duration::from_secs_f64(bytes as f64 / rate as f64));
        let due = rules.delay + transfer;
        let waited = started.elapsed();
        if !rules.stalled && waited >= due {
            let left = rules.cuts.get(&direction).copied().unwrap_or(u64::MAX);
            return usize::try_from(left).map_or(bytes, |left| left.min(bytes));
        }
        // A change of rules wakes it; a stall has no end of its own.
        let patience =
            if rules.stalled { Duration::from_secs(3_600) } else { due.saturating_sub(waited) };
        state = match shared.changed.wait_timeout(state, patience) {
            Ok((state, _)) => state,
            Err(poisoned) => poisoned.into_inner().0,
        };
    }
}
