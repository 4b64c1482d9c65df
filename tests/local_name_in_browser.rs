//! `https://NAME.local` in a real browser on another machine of the network, which asks for the name as Linux systems
//! do (nss-mdns with Avahi), is warned, and does what the page about trusting says.

use std::{
    fs,
    path::Path,
    process::{Command, Stdio},
};

use crate::{
    local_name::Machine,
    networks::{Network, Running},
    tools::{Browser, DESKTOP, is_there},
    waiting::wait_until,
};

/// How the visitor's system asks for names.
const NAMES: &str = "passwd: files\ngroup: files\nhosts: files mdns_minimal [NOTFOUND=return]\n";

/// What the browser says of a certificate that it has no reason to believe.
const WARNING: &str = "ERR_CERT_AUTHORITY_INVALID";

fn has_tools() -> bool {
    let mdns = ["/lib", "/usr/lib"].iter().any(|lib| {
        let found = fs::read_dir(lib).into_iter().flatten().flatten();
        let mut folders = found.map(|entry| entry.path().join("libnss_mdns_minimal.so.2"));
        folders.any(|file| file.exists())
    });
    is_there("libnss-mdns", mdns)
        && is_there(
            "certutil (libnss3-tools)",
            Path::new("/usr/bin/certutil").exists(),
        )
}

/// The visitor at their machine.
struct Visitor {
    /// Answers their system's questions for names.
    avahi: Running,
    /// Where their programs keep what they know.
    home: tempfile::TempDir,
}

impl Visitor {
    fn command(&self, program: &str) -> Command {
        let mut command = self.avahi.beside(program);
        command.env("HOME", self.home.path());
        command
    }

    fn says(&self, program: &str, words: &[&str]) -> String {
        let output = self.command(program).args(words).output().unwrap();
        String::from_utf8([output.stdout, output.stderr].concat()).unwrap()
    }

    /// The browser, that believes nobody without a reason.
    fn browser(&self) -> Option<Browser> {
        let mut driver = self.command("chromedriver");
        driver.stdout(Stdio::null()).stderr(Stdio::null());
        Browser::start_by(driver, DESKTOP, false)
    }

    /// Trusts an authority, as *Manage certificates* of the browser does.
    fn trusts(&self, file: &Path) {
        let store = self.home.path().join(".pki/nssdb");
        fs::create_dir_all(&store).unwrap();
        let store = format!("sql:{}", store.display());
        let file = file.to_str().unwrap();
        for words in [
            &["-d", &store, "-N", "--empty-password"][..],
            &["-d", &store, "-A", "-t", "C,,", "-n", "own", "-i", file],
        ] {
            let told = self.says("certutil", words);
            assert!(told.is_empty(), "{words:?}: {told}");
        }
    }
}

#[test]
fn a_browser_finds_the_name_warns_and_warns_no_more_when_its_owner_did_what_the_page_says() {
    let Some(network) = Network::new(2) else {
        return;
    };
    if !has_tools() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let site = Machine::start(&network, 1, dir.path());
    network.etc(2, "nsswitch.conf", NAMES);
    network.etc(2, "resolv.conf", "");
    let Some(avahi) = network.avahi(2, "visitor") else {
        return;
    };
    let visitor = Visitor {
        avahi,
        home: tempfile::tempdir().unwrap(),
    };
    wait_until("the visitor's system knows the name", || {
        visitor
            .says("getent", &["ahosts", "pi.local"])
            .contains("192.168.77.1")
    });
    // The browser is driven over the visitor's own network.
    network.on(2, || walk(&visitor, &site));
}

fn walk(visitor: &Visitor, site: &Machine<'_>) {
    let Some(browser) = visitor.browser() else {
        return;
    };
    browser.open("https://pi.local/");
    browser.wait_for_text(WARNING);
    browser.open("http://pi.local/trust");
    let page = browser.text();
    let status = site.status();
    let is_number = |word: &&str| word.len() == 95 && word.matches(':').count() == 31;
    let number = status
        .split_whitespace()
        .find(is_number)
        .expect("a fingerprint");
    assert!(page.contains(number), "{number} is to be compared: {page}");

    // The link is the file that it says; a browser without a window shows no downloads.
    assert!(browser.has("a[href='/trust/webstead.crt']"));
    let file = visitor.home.path().join("webstead.crt");
    let shown = file.to_str().unwrap();
    visitor.says(
        "curl",
        &["-s", "-o", shown, "http://pi.local/trust/webstead.crt"],
    );
    let words = [
        "x509",
        "-inform",
        "der",
        "-noout",
        "-fingerprint",
        "-sha256",
        "-in",
        shown,
    ];
    let told = visitor.says("openssl", &words);
    assert!(told.contains(number), "{told}");
    drop(browser);
    visitor.trusts(&file);

    let browser = visitor.browser().unwrap();
    for address in ["https://pi.local/", "https://192.168.77.1/"] {
        browser.open(address);
        let page = browser.text();
        assert!(!page.contains(WARNING), "{address}: {page}");
        assert_eq!(browser.url(), address);
        assert_eq!(browser.run("return window.isSecureContext"), true);
    }
    // Who types the name alone is led to HTTPS, without a warning.
    browser.open("http://pi.local/");
    assert_eq!(browser.url(), "https://pi.local/");
}
