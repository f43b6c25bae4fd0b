//! A gate before a real registry. It passes each request on, writes it down, and plays faults at
//! exact requests.
//!
//! A real registry decides what is stored, so a test learns from it what a fault left behind. The
//! gate speaks plain HTTP to both sides. The client's `Host` header goes on as it is: the registry
//! then names the gate in `Location`, and the client comes back through the gate.

mod message;
pub mod secure;
mod serving;

use std::any::Any;
use std::io;
use std::net::{Shutdown, TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, Weak};
use std::thread::JoinHandle;
use std::time::Duration;

/// One request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    pub method: String,
    /// The path with its query.
    pub path: String,
    /// The status of the answer, from the registry or from a fault, even if the client never got
    /// it. There is none before the answer.
    pub status: Option<u16>,
}

impl Seen {
    /// Whether the request writes a manifest, under a tag or a digest.
    pub fn puts_manifest(&self) -> bool {
        self.method == "PUT" && self.path.contains("/manifests/")
    }

    /// Whether the request moves a tag.
    pub fn moves_tag(&self) -> bool {
        self.puts_manifest() && !self.path.contains("/manifests/sha256:")
    }
}

/// What happens to a request.
#[derive(Clone, Debug)]
pub enum Effect {
    /// This status, with these headers and this body. The registry is not asked.
    Status(u16, Vec<(String, String)>, Vec<u8>),
    /// The connection ends in good order, without an answer. The registry is not asked.
    CutBefore,
    /// The connection is reset. The registry is not asked.
    Reset,
    /// The registry does all that it is asked for. The client gets no answer.
    CutAfter,
    /// The registry gets half of the request's body. Then both connections end. If there is no
    /// body, it gets half of the head.
    CutRequest,
    /// The client gets half of the answer's body. If there is no body, it gets half of the head,
    /// which some clients take for a whole one.
    CutAnswer,
    /// The request waits for `release` or `cut_held`, before the registry is asked.
    Hold,
    /// The answer waits for `release` or `cut_held`. The registry has done its work.
    HoldAnswer,
}

impl Effect {
    /// A status without special headers, and with an error in the words of the specification.
    pub fn status(status: u16) -> Self {
        let body = br#"{"errors":[{"code":"PLAYED","message":"as played"}]}"#;
        let kind = ("Content-Type".to_owned(), "application/json".to_owned());
        Self::Status(status, vec![kind], body.to_vec())
    }

    /// A status that asks the client to wait.
    pub fn wait(status: u16, seconds: &str) -> Self {
        let wait = ("Retry-After".to_owned(), seconds.to_owned());
        Self::Status(status, vec![wait], Vec::new())
    }
}

type Matches = Box<dyn Fn(&Seen) -> bool + Send>;
type Watch = Arc<dyn Fn(&Seen) + Send + Sync>;

/// A fault, and the requests that it strikes.
pub struct Fault {
    matches: Matches,
    skip: usize,
    left: usize,
    effect: Effect,
}

impl Fault {
    /// Strikes the nth request from now on. The next one is the first.
    pub fn nth(n: usize, effect: Effect) -> Self {
        Self::when(|_| true, effect).skipping(n.saturating_sub(1))
    }

    /// Strikes the next request of which the closure says yes.
    pub fn when(matches: impl Fn(&Seen) -> bool + Send + 'static, effect: Effect) -> Self {
        Self {
            matches: Box::new(matches),
            skip: 0,
            left: 1,
            effect,
        }
    }

    /// Lets the first few of its requests pass.
    pub fn skipping(mut self, requests: usize) -> Self {
        self.skip = requests;
        self
    }

    /// Strikes as many requests as this, instead of one.
    pub fn times(mut self, times: usize) -> Self {
        self.left = times;
        self
    }

    /// Whether the fault is due at this request. Every fault counts every request that it matches,
    /// also one that another fault strikes, so that the count does not depend on other faults.
    fn is_due(&mut self, seen: &Seen) -> bool {
        if self.left == 0 || !(self.matches)(seen) {
            return false;
        }
        let due = self.skip == 0;
        self.skip = self.skip.saturating_sub(1);
        due
    }
}

#[derive(Default)]
struct State {
    ended: bool,
    seen: Vec<(u64, Seen)>,
    next: u64,
    held: usize,
    /// How each round of holding ended: whether its requests went on. A request that is held later
    /// belongs to the next round.
    rounds: Vec<bool>,
    streams: Vec<Weak<TcpStream>>,
    panic: Option<Box<dyn Any + Send>>,
}

/// What the gate and its threads share.
struct Hub {
    upstream: String,
    address: String,
    state: Mutex<State>,
    changed: Condvar,
    faults: Mutex<Vec<Fault>>,
    watch: Mutex<Option<Watch>>,
    /// Requests begin one at a time, so that the callbacks run in the order of the list.
    turn: Mutex<()>,
}

/// A lock that a callback's panic has not spoilt. The gate reports the panic itself.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Hub {
    /// Writes a request down, and decides what happens to it. If the callback panics, there is no
    /// answer, and the request must not go on.
    fn begin(&self, method: &str, path: &str) -> Option<(u64, Option<Effect>)> {
        let _turn = lock(&self.turn);
        let seen = Seen {
            method: method.to_owned(),
            path: path.to_owned(),
            status: None,
        };
        let id = {
            let mut state = lock(&self.state);
            state.next += 1;
            let id = state.next;
            state.seen.push((id, seen.clone()));
            id
        };
        let watch = lock(&self.watch).clone();
        let decide = || {
            // The callback comes first: it may set a fault for the very request that it sees.
            if let Some(watch) = watch {
                watch(&seen);
            }
            let mut chosen = None;
            for fault in lock(&self.faults).iter_mut() {
                if fault.is_due(&seen) && chosen.is_none() {
                    fault.left -= 1;
                    chosen = Some(fault.effect.clone());
                }
            }
            chosen
        };
        match catch_unwind(AssertUnwindSafe(decide)) {
            Ok(effect) => Some((id, effect)),
            Err(panic) => {
                // The first one tells the cause.
                lock(&self.state).panic.get_or_insert(panic);
                None
            }
        }
    }

    fn answered(&self, id: u64, status: u16) {
        let mut state = lock(&self.state);
        let found = state.seen.iter_mut().find(|(known, _)| *known == id);
        if let Some((_, seen)) = found {
            seen.status = Some(status);
        }
    }

    /// Waits for the end of the round. Returns whether the request goes on.
    fn hold(&self) -> bool {
        let mut state = lock(&self.state);
        let round = state.rounds.len();
        state.held += 1;
        self.changed.notify_all();
        let state = self
            .changed
            .wait_while(state, |state| !state.ended && state.rounds.len() <= round)
            .unwrap_or_else(PoisonError::into_inner);
        state.rounds.get(round).copied().unwrap_or(false) && !state.ended
    }

    fn end_round(&self, goes_on: bool) {
        let mut state = lock(&self.state);
        state.rounds.push(goes_on);
        state.held = 0;
        self.changed.notify_all();
    }

    /// Remembers a connection for as long as it lives, to end it with the gate.
    fn track(&self, stream: TcpStream) -> io::Result<Arc<TcpStream>> {
        stream.set_nodelay(true)?;
        let stream = Arc::new(stream);
        let mut state = lock(&self.state);
        if state.ended {
            return Err(io::ErrorKind::ConnectionAborted.into());
        }
        state.streams.retain(|stream| stream.strong_count() > 0);
        state.streams.push(Arc::downgrade(&stream));
        Ok(stream)
    }
}

/// A gate that is open until it is dropped.
pub struct Gate {
    hub: Arc<Hub>,
    /// The listening socket, as a type that can be shut down.
    listening: TcpStream,
    serving: Option<JoinHandle<()>>,
}

impl Gate {
    /// Opens a gate before the registry at `host:port`.
    pub fn before(upstream: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let hub = Arc::new(Hub {
            upstream: upstream.to_owned(),
            address: listener.local_addr().unwrap().to_string(),
            state: Mutex::default(),
            changed: Condvar::new(),
            faults: Mutex::default(),
            watch: Mutex::default(),
            turn: Mutex::default(),
        });
        let listening = OwnedFd::from(listener.try_clone().unwrap()).into();
        let shared = Arc::clone(&hub);
        let serving = std::thread::spawn(move || serving::accept(&listener, &shared));
        Self {
            hub,
            listening,
            serving: Some(serving),
        }
    }

    /// The address, `127.0.0.1:port`.
    pub fn address(&self) -> String {
        self.hub.address.clone()
    }

    /// A reference to an image behind the gate.
    pub fn reference(&self, name: &str) -> String {
        format!("{}/{name}", self.hub.address)
    }

    /// The requests, in the order in which they began.
    pub fn requests(&self) -> Vec<Seen> {
        let state = lock(&self.hub.state);
        state.seen.iter().map(|(_, seen)| seen.clone()).collect()
    }

    /// Clears the list of requests.
    pub fn forget(&self) {
        lock(&self.hub.state).seen.clear();
    }

    /// Adds a fault. If several are due at one request, the oldest strikes it.
    pub fn fail(&self, fault: Fault) {
        lock(&self.hub.faults).push(fault);
    }

    /// Removes all faults. Requests that are held stay held.
    pub fn mend(&self) {
        lock(&self.hub.faults).clear();
    }

    /// Calls this for each request before anything else happens to it: one call at a time, in the
    /// order of the list. The callback may ask the registry, but not through the gate, which would
    /// wait for the callback. A panic in it cuts the request off, and goes on in the test when the
    /// gate is dropped.
    pub fn on_request(&self, watch: impl Fn(&Seen) + Send + Sync + 'static) {
        *lock(&self.hub.watch) = Some(Arc::new(watch));
    }

    /// Waits until a request is held. Returns whether one is.
    pub fn wait_until_held(&self, timeout: Duration) -> bool {
        self.wait_until_all_held(1, timeout)
    }

    /// Waits until as many requests as this are held at once. Returns whether they are.
    pub fn wait_until_all_held(&self, requests: usize, timeout: Duration) -> bool {
        let state = lock(&self.hub.state);
        let (state, _) = self
            .hub
            .changed
            .wait_timeout_while(state, timeout, |state| state.held < requests)
            .unwrap_or_else(PoisonError::into_inner);
        state.held >= requests
    }

    /// Lets all held requests go on, even if their clients have died: that is a client that was
    /// killed just after it had sent its request.
    pub fn release(&self) {
        self.hub.end_round(true);
    }

    /// Cuts all held requests off: with `Hold` that is a client that was killed just before its
    /// request reached the registry.
    pub fn cut_held(&self) {
        self.hub.end_round(false);
    }
}

impl Drop for Gate {
    /// Ends all connections. No request reaches the registry after this.
    fn drop(&mut self) {
        let streams = {
            let mut state = lock(&self.hub.state);
            state.ended = true;
            self.hub.changed.notify_all();
            std::mem::take(&mut state.streams)
        };
        for stream in streams.iter().filter_map(Weak::upgrade) {
            // The other side may have ended it already.
            let _ = stream.shutdown(Shutdown::Both);
        }
        // This wakes the thread that waits for clients, and no client gets in any more. If the
        // socket were only closed, a child that another test has just forked would keep it open.
        if self.listening.shutdown(Shutdown::Both).is_ok()
            && let Some(serving) = self.serving.take()
        {
            let _ = serving.join();
        }
        let panic = lock(&self.hub.state).panic.take();
        if let Some(panic) = panic
            && !std::thread::panicking()
        {
            resume_unwind(panic);
        }
    }
}
