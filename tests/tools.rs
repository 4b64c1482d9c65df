//! Programs from outside that judge: a browser, a validator. Where one is missing, a test that needs
//! it says so and is skipped; with `WEBSTEAD_REQUIRE_TOOLS` set it fails instead.

use std::{
    net::TcpListener,
    path::PathBuf,
    process::{Child, Command, Stdio},
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use fantoccini::{Client, ClientBuilder, Locator};
use hyper_util::client::legacy::connect::HttpConnector;
use serde_json::json;
use tokio::runtime::Runtime;

use crate::waiting::{found_within, wait_within};

/// Whether a tool is there. If not, says so; panics where tools are required.
pub(crate) fn is_there(tool: &str, found: bool) -> bool {
    if !found {
        eprintln!("SKIPPED: {tool} is not installed; .ci/run installs it");
        assert!(
            std::env::var_os("WEBSTEAD_REQUIRE_TOOLS").is_none(),
            "{tool} is required"
        );
    }
    found
}

/// Whether something can be done here that needs rights which not everybody has. If not, says so; panics where tools are
/// required.
pub(crate) fn is_possible(what: &str, done: bool) -> bool {
    if !done {
        eprintln!("SKIPPED: {what} is not possible here (it needs root)");
        assert!(
            std::env::var_os("WEBSTEAD_REQUIRE_TOOLS").is_none(),
            "{what} has to be possible"
        );
    }
    done
}

/// A small disk of its own, until dropped.
pub(crate) struct SmallDisk(PathBuf);

impl SmallDisk {
    /// At a folder, which is made, with so much room, as mount(8) has it: `1m`. `None` if that is not possible here.
    pub(crate) fn at(folder: PathBuf, size: &str) -> Option<Self> {
        std::fs::create_dir(&folder).unwrap();
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &format!("size={size}"), "tmpfs"])
            .arg(&folder)
            .output()
            .is_ok_and(|output| output.status.success());
        is_possible("a small disk", mounted).then_some(Self(folder))
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

/// The folder of npm packages.
pub(crate) fn node_modules() -> PathBuf {
    std::env::var_os("WEBSTEAD_NODE_MODULES").map_or_else(
        || PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("target/tools/node_modules"),
        PathBuf::from,
    )
}

/// A port of loopback that nobody has now.
pub(crate) fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().port()
}

fn runs(program: &str, argument: &str) -> bool {
    Command::new(program)
        .arg(argument)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success())
}

/// What the Nu HTML Checker finds wrong in files; `None` if it is not installed.
pub(crate) fn html_errors(files: &[PathBuf]) -> Option<String> {
    let jar = node_modules().join("vnu-jar/build/dist/vnu.jar");
    if !is_there(
        "the Nu HTML Checker (npm: vnu-jar, and java)",
        jar.is_file() && runs("java", "-version"),
    ) {
        return None;
    }
    let output = Command::new("java")
        .arg("-jar")
        .arg(jar)
        .args(["--errors-only", "--asciiquotes"])
        .args(files)
        .output()
        .unwrap();
    Some(String::from_utf8_lossy(&output.stderr).into_owned())
}

static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

/// How a browser is started.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Look {
    /// Prefers dark colours.
    pub(crate) is_dark: bool,
    /// Width of the window in pixels.
    pub(crate) width: u32,
    /// Runs scripts.
    pub(crate) scripts: bool,
}

/// What a person usually has.
pub(crate) const DESKTOP: Look = Look {
    is_dark: false,
    width: 1280,
    scripts: true,
};

/// The program that drives a browser; ended when dropped, also if the browser never came.
struct Driver(Child);

impl Drop for Driver {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A real browser, driven through `WebDriver`. Ended, by its process id, when dropped.
pub(crate) struct Browser {
    _turn: MutexGuard<'static, ()>,
    runtime: Runtime,
    client: Client,
    _driver: Driver,
    _profile: tempfile::TempDir,
}

impl Browser {
    /// Starts Debian's chromium; `None` if it is not installed.
    pub(crate) fn start(look: Look) -> Option<Self> {
        Self::start_by(Command::new("chromedriver"), look, true)
    }

    /// The same, by a command that starts its driver, perhaps on another machine, and that has the network of this
    /// thread. It believes every certificate, or those that it has a reason to believe.
    pub(crate) fn start_by(mut driver: Command, look: Look, believes_all: bool) -> Option<Self> {
        if !is_there(
            "chromium with chromedriver",
            runs("chromedriver", "--version"),
        ) {
            return None;
        }
        // One after the other: each is several processes.
        let turn = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
        let port = free_port();
        let driver = Driver(
            driver
                .arg(format!("--port={port}"))
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .spawn()
                .unwrap(),
        );
        let profile = tempfile::tempdir().unwrap();
        let mut args: Vec<String> = [
            "--headless=new",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-quic",
            "--no-first-run",
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-sync",
            "--disable-dev-shm-usage",
        ]
        .map(str::to_owned)
        .into();
        if believes_all {
            args.push("--ignore-certificate-errors".into());
        }
        args.push(format!("--user-data-dir={}", profile.path().display()));
        args.push(format!("--window-size={},900", look.width));
        args.push(format!(
            "--blink-settings=preferredColorScheme={}",
            i32::from(!look.is_dark)
        ));
        let scripts = if look.scripts { 1 } else { 2 };
        let mut capabilities = json!({
            "acceptInsecureCerts": believes_all,
            "goog:chromeOptions": {
                "args": args,
                "prefs": { "profile.managed_default_content_settings.javascript": scripts },
            },
        });
        // A window is never narrower than this; a phone is.
        if look.width < 500 {
            capabilities["goog:chromeOptions"]["mobileEmulation"] = json!({
                "deviceMetrics": { "width": look.width, "height": 844, "pixelRatio": 2.0, "touch": true },
            });
        }
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        let serde_json::Value::Object(capabilities) = capabilities else {
            unreachable!()
        };
        let client = runtime.block_on(async {
            for attempt in 0..100 {
                let mut builder = ClientBuilder::new(HttpConnector::new());
                builder.capabilities(capabilities.clone());
                match builder.connect(&format!("http://127.0.0.1:{port}")).await {
                    Ok(client) => return client,
                    Err(e) if attempt == 99 => panic!("the browser did not start: {e}"),
                    Err(_) => tokio::time::sleep(Duration::from_millis(100)).await,
                }
            }
            unreachable!("the last attempt panics");
        });
        Some(Self {
            _turn: turn,
            runtime,
            client,
            _driver: driver,
            _profile: profile,
        })
    }

    /// Opens an address.
    pub(crate) fn open(&self, url: &str) {
        self.runtime.block_on(self.client.goto(url)).unwrap();
    }

    /// The address that is shown.
    pub(crate) fn url(&self) -> String {
        self.runtime
            .block_on(self.client.current_url())
            .unwrap()
            .to_string()
    }

    /// The text of the page.
    pub(crate) fn text(&self) -> String {
        self.runtime.block_on(async {
            self.client
                .find(Locator::Css("body"))
                .await
                .unwrap()
                .text()
                .await
                .unwrap()
        })
    }

    /// Waits until a script's expression is true.
    pub(crate) fn wait_for(&self, expression: &str) {
        let is_true = || self.run(&format!("return Boolean({expression})")) == json!(true);
        wait_within(Duration::from_secs(20), is_true, || {
            format!(
                "{expression} did not become true; the page says: {}",
                self.text()
            )
        });
    }

    /// Waits until the page shows a text; works without scripts, and while pages change.
    pub(crate) fn wait_for_text(&self, text: &str) {
        found_within(Duration::from_secs(20), || {
            let shown = self.runtime.block_on(async {
                match self.client.find(Locator::Css("body")).await {
                    Ok(body) => body.text().await.unwrap_or_default(),
                    Err(_) => String::new(),
                }
            });
            if shown.contains(text) {
                return Ok(());
            }
            Err(format!("{text:?} is not shown, but: {shown}"))
        });
    }

    /// Runs a script in the page.
    pub(crate) fn run(&self, script: &str) -> serde_json::Value {
        self.runtime
            .block_on(self.client.execute(script, vec![]))
            .unwrap()
    }

    /// Runs a script that ends by calling its last argument.
    pub(crate) fn run_async(&self, script: &str) -> serde_json::Value {
        self.runtime
            .block_on(self.client.execute_async(script, vec![]))
            .unwrap()
    }

    /// Replaces the text of a field.
    pub(crate) fn fill(&self, css: &str, text: &str) {
        self.runtime.block_on(async {
            let field = self.client.find(Locator::Css(css)).await.unwrap();
            field.clear().await.unwrap();
            field.send_keys(text).await.unwrap();
        });
    }

    /// Adds to the text of a field.
    pub(crate) fn type_into(&self, css: &str, text: &str) {
        self.runtime.block_on(async {
            self.client
                .find(Locator::Css(css))
                .await
                .unwrap()
                .send_keys(text)
                .await
                .unwrap();
        });
    }

    /// Presses what a selector finds.
    pub(crate) fn click(&self, css: &str) {
        self.runtime.block_on(async {
            let found = self.client.find(Locator::Css(css)).await;
            let found = found.unwrap_or_else(|e| panic!("{css}: {e}"));
            let element = serde_json::to_value(&found).unwrap();
            let scroll = "arguments[0].scrollIntoView({block: 'center', behavior: 'instant'})";
            self.client.execute(scroll, vec![element]).await.unwrap();
            found.click().await.unwrap();
        });
    }

    /// Whether a selector finds something.
    pub(crate) fn has(&self, css: &str) -> bool {
        self.runtime.block_on(async {
            !self
                .client
                .find_all(Locator::Css(css))
                .await
                .unwrap()
                .is_empty()
        })
    }

    /// Opens a new window and goes on there; gives the one before.
    pub(crate) fn new_window(&self) -> fantoccini::wd::WindowHandle {
        self.runtime.block_on(async {
            let before = self.client.window().await.unwrap();
            let new = self.client.new_window(true).await.unwrap();
            self.client.switch_to_window(new.handle).await.unwrap();
            before
        })
    }

    /// Goes on in a window.
    pub(crate) fn switch_to(&self, window: fantoccini::wd::WindowHandle) {
        self.runtime
            .block_on(self.client.switch_to_window(window))
            .unwrap();
    }

    /// Agrees to leave a page with unsaved text, if the browser asks.
    pub(crate) fn accept_dialog(&self) {
        let _ = self.runtime.block_on(self.client.accept_alert());
    }

    /// Forgets who is signed in.
    pub(crate) fn delete_cookies(&self) {
        self.runtime
            .block_on(self.client.delete_all_cookies())
            .unwrap();
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        let _ = self.runtime.block_on(self.client.clone().close());
    }
}
