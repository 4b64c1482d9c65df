//! What a name has now, as the DNS servers of its zone say: no copy that somebody keeps.

use std::net::{IpAddr, SocketAddr};

use domain::base::{Rtype, iana::Rcode};
use futures_util::future::join_all;

use super::{
    ask::{Answer, Data, ask, resolvers},
    failure::Failure,
    no_answer::code_in_words,
    said::{Said, said_of},
};

/// More than a zone has.
const MOST_SERVERS: usize = 16;
/// More than a name has.
const MOST_LABELS: usize = 32;
/// More aliases than lead to a text.
const MOST_ALIASES: usize = 5;

/// The addresses of a name, IPv4 first; none if it has none. `check_at` is asked if it names somebody.
///
/// # Errors
/// If no server of the zone says anything, or if the name is an alias, whose addresses are another's.
pub(super) async fn addresses(name: &str, check_at: &[SocketAddr]) -> Result<Vec<IpAddr>, Failure> {
    let servers = servers_for(name, check_at).await?;
    let mut all = Vec::new();
    for kind in [Rtype::A, Rtype::AAAA] {
        for data in first_word(&servers, name, kind).await?.data {
            match data {
                Data::Address(address) => all.push(address),
                Data::Alias(other) => return Err(Failure::refused(alias(name, &other))),
                _ => {}
            }
        }
    }
    Ok(all)
}

/// The texts of a name.
///
/// # Errors
/// If no server of the zone says anything.
pub(super) async fn texts(name: &str, check_at: &[SocketAddr]) -> Result<Vec<String>, Failure> {
    let servers = servers_for(name, check_at).await?;
    first_word(&servers, name, Rtype::TXT).await.map(texts_in)
}

/// The texts of a name, as each server of its zone has them that answers; as this machine's own resolvers say, where
/// none of those can be asked. Aliases are followed.
///
/// # Errors
/// If nobody says anything, or if aliases lead nowhere.
pub async fn texts_by_server(
    name: &str,
    check_at: &[SocketAddr],
) -> Result<Vec<Vec<String>>, Failure> {
    let mut at = name.to_owned();
    for _ in 0..MOST_ALIASES {
        let answers = answers_of(&at, Rtype::TXT, check_at).await?;
        let mut all = answers.iter().flat_map(|answer| &answer.data).rev();
        let alias = all.find_map(|data| match data {
            Data::Alias(other) => Some(other.clone()),
            _ => None,
        });
        let texts: Vec<Vec<String>> = answers.into_iter().map(texts_in).collect();
        match alias {
            Some(other) if texts.iter().all(Vec::is_empty) => at = other,
            _ => return Ok(texts),
        }
    }
    let text = format!("{name} is an alias of an alias (CNAME), and so on");
    Err(Failure::refused(text))
}

/// What each server of a name's zone says of its addresses that says anything, or of `check_at` if that names somebody;
/// nothing if none of them can be asked.
pub async fn said_by_zone(name: &str, check_at: &[SocketAddr]) -> Vec<(SocketAddr, Said)> {
    let servers = servers_for(name, check_at).await.unwrap_or_default();
    let asked = servers
        .into_iter()
        .map(|server| async move { (server, said_of(server, name).await) });
    let mut all = join_all(asked).await;
    all.retain(|(_, said)| !said.is_nothing());
    all
}

fn texts_in(answer: Answer) -> Vec<String> {
    let texts = answer.data.into_iter().filter_map(|data| match data {
        Data::Text(text) => Some(text),
        _ => None,
    });
    texts.collect()
}

/// What each server says that knows anything of a name.
async fn answers_of(
    name: &str,
    kind: Rtype,
    check_at: &[SocketAddr],
) -> Result<Vec<Answer>, Failure> {
    let servers = servers_for(name, check_at).await.unwrap_or_default();
    let answers = join_all(servers.iter().map(|server| ask(*server, name, kind))).await;
    let says = |answer: &Answer| matches!(answer.rcode, Rcode::NOERROR | Rcode::NXDOMAIN);
    let answers: Vec<Answer> = answers.into_iter().flatten().filter(says).collect();
    if !answers.is_empty() {
        return Ok(answers);
    }
    // Some networks let nobody ask others than their own servers.
    let others = if check_at.is_empty() {
        resolvers()
    } else {
        check_at.to_vec()
    };
    Ok(vec![first_word(&others, name, kind).await?])
}

/// What is said of a name that is another name for something.
pub(super) fn alias(name: &str, other: &str) -> String {
    format!(
        "{name} is an alias (CNAME) of {other}; remove that to let it have addresses of its own"
    )
}

/// The servers of a zone, as the first of this machine's resolvers finds them that says anything of it; none if
/// there is no zone of that name, or if nobody can be asked.
pub(super) async fn servers_of(zone: &str) -> Vec<SocketAddr> {
    for resolver in resolvers() {
        if let Some(servers) = servers_by(resolver, zone).await {
            return servers;
        }
    }
    Vec::new()
}

/// What one resolver says; `None` if it does not know.
async fn servers_by(resolver: SocketAddr, zone: &str) -> Option<Vec<SocketAddr>> {
    let found = ask(resolver, zone, Rtype::NS).await.ok()?;
    if !matches!(found.rcode, Rcode::NOERROR | Rcode::NXDOMAIN) {
        return None;
    }
    let has_zone = !found.data.is_empty();
    let mut servers = Vec::new();
    for data in found.data {
        let Data::Server(name) = data else { continue };
        for kind in [Rtype::A, Rtype::AAAA] {
            let Ok(answer) = ask(resolver, &name, kind).await else {
                continue;
            };
            let addresses = answer.data.into_iter().filter_map(|data| match data {
                Data::Address(address) => Some(address),
                _ => None,
            });
            servers.extend(addresses.map(|address: IpAddr| SocketAddr::new(address, 53)));
        }
        if servers.len() >= MOST_SERVERS {
            break;
        }
    }
    servers.truncate(MOST_SERVERS);
    (!has_zone || !servers.is_empty()).then_some(servers)
}

/// The servers that know a name: those of the nearest zone above it.
async fn servers_for(name: &str, check_at: &[SocketAddr]) -> Result<Vec<SocketAddr>, Failure> {
    if !check_at.is_empty() {
        return Ok(check_at.to_vec());
    }
    let mut zone = name;
    for _ in 0..MOST_LABELS {
        let servers = servers_of(zone).await;
        if !servers.is_empty() {
            return Ok(servers);
        }
        match zone.split_once('.') {
            // The servers of a whole top-level domain know no addresses.
            Some((_, above)) if above.contains('.') => zone = above,
            _ => break,
        }
    }
    Err(Failure::unreachable(format!(
        "nobody says which DNS servers have {name}: this machine's own ({}) were asked for those of it and of the names \
         above it; look whether the name is registered, and whether this machine reaches the internet",
        listed(&resolvers())
    )))
}

/// What the first server says that knows anything of a name.
async fn first_word(servers: &[SocketAddr], name: &str, kind: Rtype) -> Result<Answer, Failure> {
    let mut last = Failure::unreachable(format!("no DNS server can be asked for {name}"));
    for server in servers {
        match ask(*server, name, kind).await {
            Ok(answer) if matches!(answer.rcode, Rcode::NOERROR | Rcode::NXDOMAIN) => {
                return Ok(answer);
            }
            Ok(answer) => {
                let said = code_in_words(&answer.rcode.to_string());
                last = Failure::trouble(format!(
                    "the DNS server {server}, asked for the {kind} of {name}, says {said}"
                ));
            }
            Err(why) => last = why.into(),
        }
    }
    Err(last)
}

/// Servers, for people.
fn listed(servers: &[SocketAddr]) -> String {
    if servers.is_empty() {
        return "none is set in /etc/resolv.conf".into();
    }
    let all: Vec<String> = servers.iter().map(ToString::to_string).collect();
    all.join(", ")
}

#[cfg(test)]
mod tests {
    use domain::base::{Message, MessageBuilder, iana::Rcode};
    use tokio::net::UdpSocket;

    use super::addresses;

    #[tokio::test]
    async fn a_server_that_does_not_say_is_named_with_what_it_was_asked_and_what_to_do() {
        for (rcode, word) in [
            (Rcode::REFUSED, "lets this machine ask"),
            (Rcode::SERVFAIL, "its log says why"),
            (Rcode::NOTIMP, "the right server"),
        ] {
            let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
            let at = socket.local_addr().unwrap();
            let serve = async {
                loop {
                    let mut buffer = [0; 600];
                    let (length, from) = socket.recv_from(&mut buffer).await.unwrap();
                    let query = Message::from_octets(&buffer[..length]).unwrap();
                    let answer = MessageBuilder::new_vec().start_answer(&query, rcode);
                    let answer = answer.unwrap().finish();
                    socket.send_to(&answer, from).await.unwrap();
                }
            };
            let asked = [at];
            let why = tokio::select! {
                done = addresses("a.example", &asked) => done.unwrap_err().text,
                () = serve => unreachable!("it serves for ever"),
            };
            for word in [
                word,
                &at.to_string(),
                &rcode.to_string(),
                "the A of a.example",
            ] {
                assert!(why.contains(word), "{why}");
            }
        }
    }
}
