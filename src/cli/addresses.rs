//! The lines that tell a person where the site is.

use std::io::Write;

use url::Url;

use crate::{base::Result, server::Started};

/// Who the lines are for, which decides the address that comes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum For {
    /// Who started the program on this machine.
    ThisMachine,
    /// Who set up a machine without a screen, and opens the site on another one.
    TheNetwork,
}

/// Writes the site's addresses, the link that sets it up or the one to sign in, and where its data are.
pub(super) fn tell(out: &mut impl Write, started: &Started, data: &str, whom: For) -> Result<()> {
    write_lines(out, started, data, whom).map_err(crate::base::Error::internal)
}

fn write_lines(
    out: &mut impl Write,
    started: &Started,
    data: &str,
    whom: For,
) -> std::io::Result<()> {
    let addresses = in_order(started, whom);
    let (first, others) = addresses
        .split_first()
        .map_or((String::new(), &[][..]), |(first, others)| {
            (first.clone(), others)
        });
    if others.is_empty() {
        writeln!(out, "Your site:  {first}/")?;
    } else {
        writeln!(out, "Your site:  {first}/  (also {})", others.join(", "))?;
    }
    match &started.setup_path {
        Some(path) => writeln!(out, "Set it up:  {first}{path}")?,
        None => writeln!(out, "Sign in:    {first}/sign-in")?,
    }
    writeln!(out, "Its data:   {data}")?;
    out.flush()
}

/// The addresses, best first.
fn in_order(started: &Started, whom: For) -> Vec<String> {
    let mut addresses = started.addresses.clone();
    if addresses.is_empty() {
        addresses.push(format!("https://{}", started.https_address));
    }
    if whom == For::TheNetwork {
        // A stable sort: what is equally good stays in its order.
        addresses.sort_by_key(|address| {
            let host = Url::parse(address).ok();
            let host = host.as_ref().and_then(Url::host_str).unwrap_or_default();
            let is_announced = host.strip_suffix(".local").is_some() == started.is_named;
            (host == "localhost", !is_announced)
        });
    }
    addresses
}

#[cfg(test)]
mod tests {
    use super::{For, in_order};
    use crate::server::Started;

    #[test]
    fn who_sits_elsewhere_is_told_an_address_that_works_there_first() {
        let started = |port: &str, is_named: bool| Started {
            addresses: ["localhost", "pi.local", "192.168.1.7"]
                .map(|host| format!("https://{host}{port}"))
                .into(),
            setup_path: None,
            https_address: "[::]:443".parse().unwrap(),
            http_address: None,
            is_announced: false,
            version: String::new(),
            schema: 0,
            program: "webstead".into(),
            secret: String::new(),
            is_named,
        };
        let here = ["localhost", "pi.local", "192.168.1.7"];
        let by_name = ["pi.local", "192.168.1.7", "localhost"];
        let by_number = ["192.168.1.7", "pi.local", "localhost"];
        for (port, announced, whom, expected) in [
            ("", true, For::ThisMachine, here),
            ("", true, For::TheNetwork, by_name),
            ("", false, For::TheNetwork, by_number),
            (":8443", true, For::TheNetwork, by_name),
        ] {
            let found = in_order(&started(port, announced), whom);
            let expected = expected.map(|host| format!("https://{host}{port}"));
            assert_eq!(found, expected);
        }
    }
}
