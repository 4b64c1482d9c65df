//! The task that announces: it has the sockets and the clock, the [`Responder`] has the rules.

use std::{
    collections::HashSet,
    io,
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::{Duration, Instant},
};

use tokio::{
    net::UdpSocket,
    sync::{mpsc, oneshot},
    task::JoinHandle,
    time::{sleep, sleep_until, timeout},
};

use super::{
    link::Family,
    message::MOST_BYTES,
    networks::{Here, Network},
    responder::{Outgoing, Responder, To},
    socket,
};
use crate::net::names::LocalName;

/// How often the addresses of the machine are looked at.
const LOOK_EVERY: Duration = Duration::from_secs(5);
/// Messages that are read from one socket in a [`WINDOW`]; an honest network has a few in a second.
const MOST_IN_WINDOW: u32 = 30;
const WINDOW: Duration = Duration::from_millis(100);
/// Messages that wait for their turn.
const WAITING: usize = 64;
/// Time for the goodbye.
const TO_SAY_GOODBYE: Duration = Duration::from_secs(1);

/// Whether there is a network on which a site that listens there can announce itself.
pub fn is_possible(listens: IpAddr) -> bool {
    Here::look(listens).is_ok_and(|here| !here.networks.is_empty())
}

/// A name that is announced.
pub struct Announcer {
    stop: Option<oneshot::Sender<()>>,
    task: JoinHandle<()>,
}

impl Announcer {
    /// Takes the name back, so that nobody looks for it here any longer.
    pub async fn say_goodbye(mut self) {
        drop(self.stop.take());
        let _ = timeout(TO_SAY_GOODBYE, &mut self.task).await;
    }
}

impl Drop for Announcer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Announces a name and a website that listens there, for as long as the answer is kept. `changed` is called when
/// the machine has another name or other addresses.
pub fn announce(
    name: Arc<LocalName>,
    listens: SocketAddr,
    changed: impl Fn() + Send + 'static,
) -> Announcer {
    let (stop, stopped) = oneshot::channel();
    let task = tokio::spawn(run(name, listens, changed, stopped));
    Announcer {
        stop: Some(stop),
        task,
    }
}

/// What was received.
struct Received {
    link: u32,
    source: SocketAddr,
    bytes: Vec<u8>,
}

async fn run(
    name: Arc<LocalName>,
    listens: SocketAddr,
    changed: impl Fn(),
    mut stopped: oneshot::Receiver<()>,
) {
    let mut responder = Responder::new(name.wanted(), listens.port());
    let (sender, mut received) = mpsc::channel(WAITING);
    let mut sockets = Sockets::new(sender);
    let mut here = Here::default();
    let mut look = Instant::now();
    let mut is_announced = false;
    loop {
        let now = Instant::now();
        if look <= now {
            look = now + LOOK_EVERY;
            if let Ok(found) = Here::look(listens.ip()) {
                let open = Here {
                    networks: sockets.follow(&found.networks),
                    own: found.own.clone(),
                };
                responder.replace(open, now);
                if here != found {
                    // At the start, everybody has seen these addresses.
                    if here != Here::default() {
                        changed();
                    }
                    here = found;
                }
            }
        }
        responder.tick(now);
        sockets.send(responder.outgoing()).await;
        if responder.is_settled() {
            let is_other = name.replace(&responder.name());
            if is_other {
                changed();
            }
            if is_other || !is_announced {
                say(&name);
            }
            is_announced = true;
        }
        let next = responder.next().map_or(look, |next| next.min(look));
        tokio::select! {
            Some(Received { link, source, bytes }) = received.recv() => {
                responder.receive(link, source, &bytes, Instant::now());
            }
            () = sleep_until(next.into()) => {}
            _ = &mut stopped => break,
        }
    }
    responder.say_goodbye();
    sockets.send(responder.outgoing()).await;
}

/// Tells the owner what the machine is called.
fn say(name: &LocalName) {
    let now = name.now();
    if now == name.wanted() {
        log::info!("this machine is {now}.local on its own network");
    } else {
        log::warn!(
            "another machine on this network is {}.local already, so this one is {now}.local; to choose another name, \
             write name = \"...\" under [local] in webstead.toml",
            name.wanted()
        );
    }
}

/// The sockets of all networks.
struct Sockets {
    open: Vec<Open>,
    sender: mpsc::Sender<Received>,
    /// Networks on which it did not work, so that the log says it once.
    failed: HashSet<String>,
}

/// Those of one network.
struct Open {
    network: Network,
    sockets: Vec<(Family, Arc<UdpSocket>, JoinHandle<()>)>,
}

impl Drop for Open {
    fn drop(&mut self) {
        for (_, _, reading) in &self.sockets {
            reading.abort();
        }
    }
}

impl Sockets {
    fn new(sender: mpsc::Sender<Received>) -> Self {
        Self {
            open: Vec::new(),
            sender,
            failed: HashSet::new(),
        }
    }

    /// Has sockets for these networks from now on; gives those that it could be done for.
    fn follow(&mut self, networks: &[Network]) -> Vec<Network> {
        self.open.retain(|open| networks.contains(&open.network));
        for network in networks {
            if self.open.iter().any(|open| open.network == *network) {
                continue;
            }
            match self.open(network) {
                Ok(open) => {
                    self.failed.remove(&network.name);
                    self.open.push(open);
                }
                Err(e) if self.failed.insert(network.name.clone()) => log::warn!(
                    "the machine's name cannot be announced on {} ({e}); another program may have port {} for itself",
                    network.name,
                    super::PORT
                ),
                Err(_) => {}
            }
        }
        self.open.iter().map(|open| open.network.clone()).collect()
    }

    fn open(&self, network: &Network) -> io::Result<Open> {
        let mut open = Open {
            network: network.clone(),
            sockets: Vec::new(),
        };
        let mut problem = None;
        for family in [Family::V4, Family::V6] {
            match socket::open(family, network) {
                Ok(Some(socket)) => {
                    let socket = Arc::new(socket);
                    let reading = read(Arc::clone(&socket), network.index, self.sender.clone());
                    let reading = tokio::spawn(reading);
                    open.sockets.push((family, socket, reading));
                }
                Ok(None) => {}
                Err(e) => problem = Some(e),
            }
        }
        match problem {
            // One of the two is enough.
            Some(e) if open.sockets.is_empty() => Err(e),
            _ => Ok(open),
        }
    }

    async fn send(&self, messages: Vec<Outgoing>) {
        for Outgoing { link, to, bytes } in messages {
            let Some(open) = self.open.iter().find(|open| open.network.index == link) else {
                continue;
            };
            for (family, socket, _) in &open.sockets {
                let to = match to {
                    To::All => socket::group(*family, &open.network),
                    To::Everybody(one) if one == *family => socket::group(one, &open.network),
                    To::One(address) if address.is_ipv4() == (*family == Family::V4) => address,
                    To::Everybody(_) | To::One(_) => continue,
                };
                if let Err(e) = socket.send_to(&bytes, to).await {
                    log::debug!("{to} on {} was not reached: {e}", open.network.name);
                }
            }
        }
    }
}

/// Passes on what is received, and no more than is honest.
async fn read(socket: Arc<UdpSocket>, link: u32, sender: mpsc::Sender<Received>) {
    let mut buffer = vec![0; MOST_BYTES];
    let (mut window, mut count) = (Instant::now(), 0);
    loop {
        match socket.recv_from(&mut buffer).await {
            Ok((length, source)) => {
                let bytes = buffer[..length].to_vec();
                let received = Received {
                    link,
                    source,
                    bytes,
                };
                if sender.send(received).await.is_err() {
                    return;
                }
            }
            // Such as a network that is down for a moment.
            Err(_) => sleep(WINDOW).await,
        }
        count += 1;
        if window.elapsed() >= WINDOW {
            (window, count) = (Instant::now(), 0);
        } else if count >= MOST_IN_WINDOW {
            sleep(WINDOW.saturating_sub(window.elapsed())).await;
            (window, count) = (Instant::now(), 0);
        }
    }
}
