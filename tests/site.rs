//! Starts the real program on a temporary data folder and a free port, and talks to it over HTTPS.

use std::{
    ffi::OsString,
    io::{BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpStream},
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    sync::{Arc, Mutex},
    time::Duration,
};

use reqwest::{
    Certificate, StatusCode, Url,
    blocking::{Client, ClientBuilder, RequestBuilder, Response},
    redirect::Policy,
};
use rustls::{
    ClientConfig, ClientConnection, RootCertStore, StreamOwned,
    crypto::ring,
    pki_types::{CertificateDer, ServerName, pem::PemObject as _},
};
use tempfile::TempDir;

use crate::waiting::signal;

/// The owner's name in the tests.
pub(crate) const OWNER: &str = "ada";
/// The owner's password in the tests.
pub(crate) const PASSWORD: &str = "correct horse battery";

/// A data folder with a running server on it. Stopped, by its process id, when dropped.
pub(crate) struct Site {
    dir: Option<TempDir>,
    data: PathBuf,
    child: Child,
    /// `https://127.0.0.1:PORT`
    pub(crate) base: String,
    /// The port of plain HTTP.
    pub(crate) http_port: u16,
    /// The path of the one-time link, if it was printed.
    pub(crate) setup_path: Option<String>,
    log: PathBuf,
    output: Arc<Mutex<String>>,
}

impl Site {
    /// A new, empty site.
    pub(crate) fn start() -> Self {
        let dir = TempDir::new().unwrap();
        let mut site = Self::start_on(&dir.path().join("data"));
        site.dir = Some(dir);
        site
    }

    /// A new site with its owner, and the owner's signed-in client.
    pub(crate) fn with_owner() -> (Self, Client) {
        let site = Self::start();
        let client = site.set_up();
        (site, client)
    }

    /// Makes the owner's account; the client is signed in.
    pub(crate) fn set_up(&self) -> Client {
        let client = self.client();
        self.set_up_with(&client);
        client
    }

    /// Makes the owner's account, and signs this browser in.
    pub(crate) fn set_up_with(&self, client: &Client) {
        let token = self.setup_token();
        let answer = self
            .post(client, "/setup")
            .form(&[
                ("token", token.as_str()),
                ("site_title", "Test site"),
                ("display_name", "Ada"),
                ("name", OWNER),
                ("password", PASSWORD),
            ])
            .send()
            .unwrap();
        assert_eq!(
            answer.status(),
            StatusCode::SEE_OTHER,
            "{}",
            answer.text().unwrap()
        );
    }

    /// A server on a data folder that stays.
    pub(crate) fn start_on(data: &Path) -> Self {
        Self::start_program(command(data), data)
    }

    /// [`Site::start_on`] with more in its environment.
    pub(crate) fn start_with(data: &Path, environment: &[(&'static str, OsString)]) -> Self {
        let mut program = command(data);
        program.envs(environment.iter().map(|(name, value)| (name, value)));
        Self::start_program(program, data)
    }

    /// A copy of the program in a folder of its own, where it can be replaced, with a new site and its owner.
    pub(crate) fn of_own_program() -> (Self, PathBuf, Client) {
        Self::of_program(|_| {})
    }

    /// [`Site::of_own_program`], after something was done to the program.
    pub(crate) fn of_program(change: impl FnOnce(&Path)) -> (Self, PathBuf, Client) {
        let dir = TempDir::new().unwrap();
        let program = dir.path().join("webstead");
        std::fs::copy(env!("CARGO_BIN_EXE_webstead"), &program).unwrap();
        change(&program);
        let data = dir.path().join("data");
        let mut site = Self::start_program(command_of(&program, &data), &data);
        site.dir = Some(dir);
        let client = site.set_up();
        (site, program, client)
    }

    /// A new site that listens on all addresses, of IPv4 and of IPv6.
    pub(crate) fn on_all_addresses() -> Self {
        let dir = TempDir::new().unwrap();
        let data = dir.path().join("data");
        let mut site = Self::start_at(command(&data), &data, "[::]:0");
        site.dir = Some(dir);
        site
    }

    fn start_program(program: Command, data: &Path) -> Self {
        Self::start_at(program, data, "127.0.0.1:0")
    }

    fn start_at(mut program: Command, data: &Path, at: &str) -> Self {
        let log = data.with_extension("log");
        let mut child = program
            .args(["--https", at, "--http", at])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(
                std::fs::File::options()
                    .create(true)
                    .append(true)
                    .open(&log)
                    .unwrap(),
            )
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut line = || lines.next().map(Result::unwrap).unwrap_or_default();
        let (first, second, _third) = (line(), line(), line());
        // What comes later is kept: a program that nobody reads would stop when the pipe is full.
        let output = Arc::new(Mutex::new(String::new()));
        let kept = Arc::clone(&output);
        std::thread::spawn(move || {
            for line in lines.map_while(Result::ok) {
                let mut kept = kept.lock().unwrap();
                kept.push_str(&line);
                kept.push('\n');
            }
        });
        let shown = first.split_whitespace().nth(2).unwrap_or_else(|| {
            panic!(
                "the server did not start: {}",
                std::fs::read_to_string(&log).unwrap_or_default()
            )
        });
        let port = Url::parse(shown).unwrap().port().unwrap();
        let setup_path = second.find("/setup?").map(|at| second[at..].to_owned());
        let base = format!("https://127.0.0.1:{port}");
        Self {
            dir: None,
            data: data.to_path_buf(),
            child,
            base,
            http_port: http_port_of(&log),
            setup_path,
            log,
            output,
        }
    }

    /// The data folder.
    pub(crate) fn data(&self) -> &Path {
        &self.data
    }

    /// The server's process.
    pub(crate) fn process_id(&self) -> u32 {
        self.child.id()
    }

    /// The most memory that the server has had until now, in KiB.
    pub(crate) fn peak_memory_kib(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let peak = status
            .lines()
            .find_map(|line| line.strip_prefix("VmHWM:"))
            .unwrap();
        peak.split_whitespace().next().unwrap().parse().unwrap()
    }

    /// What the server has logged.
    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap()
    }

    /// The secret of the one-time link.
    pub(crate) fn setup_token(&self) -> String {
        self.setup_path
            .as_ref()
            .unwrap()
            .split_once("token=")
            .unwrap()
            .1
            .to_owned()
    }

    /// A client like a browser: cookies, trust in this site's own authority, no redirects by itself.
    pub(crate) fn client(&self) -> Client {
        self.client_builder().build().unwrap()
    }

    /// [`Site::client`] before it is built.
    pub(crate) fn client_builder(&self) -> ClientBuilder {
        let pem = std::fs::read(self.data.join("tls/authority-cert.pem")).unwrap();
        // reqwest comes without an implementation of cryptography; that of the program serves here too.
        let _ = ring::default_provider().install_default();
        Client::builder()
            .tls_certs_only([Certificate::from_pem(&pem).unwrap()])
            .cookie_store(true)
            .redirect(Policy::none())
            .timeout(Duration::from_mins(1))
    }

    /// The whole address of a path.
    pub(crate) fn url(&self, path: &str) -> String {
        format!("{}{path}", self.base)
    }

    /// `GET path`
    pub(crate) fn get(&self, client: &Client, path: &str) -> Response {
        client.get(self.url(path)).send().unwrap()
    }

    /// Status and text of `GET path`.
    pub(crate) fn text(&self, client: &Client, path: &str) -> (u16, String) {
        let answer = self.get(client, path);
        (answer.status().as_u16(), answer.text().unwrap())
    }

    /// A form of this site's own that is being sent.
    pub(crate) fn post(&self, client: &Client, path: &str) -> RequestBuilder {
        client
            .post(self.url(path))
            .header("Sec-Fetch-Site", "same-origin")
    }

    /// Signs somebody in with a new client.
    pub(crate) fn sign_in(&self, name: &str, password: &str) -> Client {
        self.sign_in_by(self.client(), name, password)
    }

    /// The same by this client.
    pub(crate) fn sign_in_by(&self, client: Client, name: &str, password: &str) -> Client {
        let answer = self
            .post(&client, "/sign-in")
            .form(&[("name", name), ("password", password)])
            .send()
            .unwrap();
        assert_eq!(answer.status(), StatusCode::SEE_OTHER);
        client
    }

    /// Publishes a post and gives the path of its editor.
    pub(crate) fn publish(&self, client: &Client, fields: &[(&str, &str)]) -> String {
        self.save_new(client, fields, "publish")
    }

    /// Saves a new post and gives the path of its editor.
    pub(crate) fn save_new(
        &self,
        client: &Client,
        fields: &[(&str, &str)],
        action: &str,
    ) -> String {
        let mut form = fields.to_vec();
        form.push(("action", action));
        let answer = self
            .post(client, "/admin/posts")
            .form(&form)
            .send()
            .unwrap();
        let status = answer.status();
        let location = answer
            .headers()
            .get("location")
            .map(|l| l.to_str().unwrap().to_owned());
        let location = location.unwrap_or_else(|| panic!("{status}: {}", answer.text().unwrap()));
        location.split('?').next().unwrap().to_owned()
    }

    /// A connection over TLS to the server by a name, with the protocol's bytes left to the test.
    pub(crate) fn connect(&self, name: &str) -> StreamOwned<ClientConnection, TcpStream> {
        self.connect_for(name, &[])
    }

    /// [`Site::connect`] for a protocol of RFC 7301, such as `h2`.
    pub(crate) fn connect_for(
        &self,
        name: &str,
        protocol: &[u8],
    ) -> StreamOwned<ClientConnection, TcpStream> {
        let port = self.base.rsplit(':').next().unwrap();
        let pem = std::fs::read(self.data.join("tls/authority-cert.pem")).unwrap();
        let mut roots = RootCertStore::empty();
        for certificate in CertificateDer::pem_slice_iter(&pem) {
            roots.add(certificate.unwrap()).unwrap();
        }
        let mut config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        if !protocol.is_empty() {
            config.alpn_protocols = vec![protocol.to_vec()];
        }
        let name = ServerName::try_from(name.to_owned()).unwrap();
        let tls = ClientConnection::new(Arc::new(config), name).unwrap();
        let socket = TcpStream::connect(format!("127.0.0.1:{port}")).unwrap();
        socket
            .set_read_timeout(Some(Duration::from_secs(30)))
            .unwrap();
        StreamOwned::new(tls, socket)
    }

    /// Sends bytes as they are over TLS and gives the whole answer.
    pub(crate) fn raw(&self, request: &[u8]) -> String {
        self.raw_to("127.0.0.1", request)
    }

    /// [`Site::raw`] with bytes before the handshake.
    pub(crate) fn raw_after(&self, before: &[u8], request: &[u8]) -> String {
        let mut stream = self.connect("127.0.0.1");
        stream.sock.write_all(before).unwrap();
        let _ = stream.write_all(request);
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer);
        String::from_utf8_lossy(&answer).into_owned()
    }

    /// What the server has written to its standard output since it was ready, once `word` is in it.
    pub(crate) fn output_until(&self, word: &str) -> String {
        let deadline = std::time::Instant::now() + Duration::from_secs(10);
        loop {
            let output = self.output.lock().unwrap().clone();
            if output.contains(word) || std::time::Instant::now() > deadline {
                return output;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// [`Site::raw`] with a name in the handshake.
    pub(crate) fn raw_to(&self, name: &str, request: &[u8]) -> String {
        let mut stream = self.connect(name);
        // A door that closes before all is said is an answer too.
        let _ = stream.write_all(request);
        let mut answer = Vec::new();
        // A connection that is closed without a farewell ends the answer too.
        let _ = stream.read_to_end(&mut answer);
        String::from_utf8_lossy(&answer).into_owned()
    }

    /// A server with these settings, and a client that finds its hosts.
    pub(crate) fn with_settings(toml: &str) -> Self {
        let dir = TempDir::new().unwrap();
        let data = dir.path().join("data");
        std::fs::create_dir_all(&data).unwrap();
        std::fs::write(data.join("webstead.toml"), toml).unwrap();
        let mut site = Self::start_on(&data);
        site.dir = Some(dir);
        site
    }

    /// A client that finds the names below `localhost` here.
    pub(crate) fn client_for(&self, hosts: &[&str]) -> Client {
        self.client_builder_for(hosts).build().unwrap()
    }

    /// [`Site::client_for`] before it is built.
    pub(crate) fn client_builder_for(&self, hosts: &[&str]) -> ClientBuilder {
        let port = self.base.rsplit(':').next().unwrap().parse().unwrap();
        let address = SocketAddr::from(([127, 0, 0, 1], port));
        hosts.iter().fold(self.client_builder(), |builder, host| {
            builder.resolve(host, address)
        })
    }

    /// The address of a path of another host.
    pub(crate) fn url_of(&self, host: &str, path: &str) -> String {
        format!("{}{path}", self.base.replace("127.0.0.1", host))
    }

    /// Ends the server at once, as a pulled plug does (SIGKILL), and starts it again.
    pub(crate) fn kill_and_restart(self) -> Self {
        let mut this = self;
        this.child.kill().unwrap();
        this.child.wait().unwrap();
        this.restarted()
    }

    /// Asks the server to stop (SIGTERM), waits for it, and starts it again.
    pub(crate) fn restart(self) -> Self {
        let mut this = self;
        assert!(this.stop().success());
        this.restarted()
    }

    fn restarted(self) -> Self {
        self.restarted_as(Path::new(env!("CARGO_BIN_EXE_webstead")))
    }

    /// Stops, and another program starts on the same folder.
    pub(crate) fn restarted_as(mut self, program: &Path) -> Self {
        let (dir, data) = (self.dir.take(), self.data.clone());
        drop(self);
        let mut site = Self::start_program(command_of(program, &data), &data);
        site.dir = dir;
        site
    }

    /// Asks the server to stop (SIGTERM) and waits for it.
    pub(crate) fn stop(&mut self) -> ExitStatus {
        self.signal("TERM");
        self.child.wait().unwrap()
    }

    /// Waits for a server that was asked to stop before.
    pub(crate) fn wait_for_end(&mut self) -> ExitStatus {
        self.child.wait().unwrap()
    }

    /// Starts a server that has stopped again, on the same folder.
    pub(crate) fn restart_stopped(self) -> Self {
        self.restarted()
    }

    /// Sends a signal to the server.
    pub(crate) fn signal(&self, name: &str) {
        signal(self.child.id(), name);
    }
}

/// The port of plain HTTP that the last start has logged.
fn http_port_of(log: &Path) -> u16 {
    let text = std::fs::read_to_string(log).unwrap();
    let before = text.rsplit_once(" for plain HTTP").unwrap().0;
    before.rsplit_once(':').unwrap().1.parse().unwrap()
}

impl Drop for Site {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        // Another process may have taken over.
        let lock = std::fs::read_to_string(self.data.join("server.lock")).unwrap_or_default();
        let process = lock.lines().next().unwrap_or_default();
        let line = std::fs::read(format!("/proc/{process}/cmdline")).unwrap_or_default();
        let is_ours = String::from_utf8_lossy(&line).contains(&*self.data.to_string_lossy());
        if is_ours && !process.is_empty() {
            let _ = Command::new("kill").args(["-9", process]).status();
        }
    }
}

/// The program with a data folder, ready for more arguments.
pub(crate) fn command(data: &Path) -> Command {
    command_of(Path::new(env!("CARGO_BIN_EXE_webstead")), data)
}

fn command_of(program: &Path, data: &Path) -> Command {
    let mut command = Command::new(program);
    command
        .arg("--data")
        .arg(data)
        .env_remove("STATE_DIRECTORY");
    command
}

/// What stands in the first element that `start` opens, up to the next tag.
pub(crate) fn between<'a>(html: &'a str, start: &str, end: &str) -> &'a str {
    let at = html
        .find(start)
        .unwrap_or_else(|| panic!("{start:?} is not in {html}"))
        + start.len();
    &html[at..at + html[at..].find(end).unwrap()]
}
