//! A machine with a site in a network of its own, and what the doctor finds there.

use std::{
    collections::HashMap,
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::Output,
    time::{Duration, Instant},
};

use serde_json::Value;

use crate::{
    netns::{Connected, Network},
    waiting::{found_within, signal, wait_until},
};

/// What the doctor found: for each station how it stands, its state, and what it says and advises; and the same for each
/// further name.
pub(crate) struct Found(
    pub(crate) HashMap<String, [String; 4]>,
    pub(crate) HashMap<String, [String; 4]>,
);

impl Found {
    pub(crate) fn read(output: Output) -> Self {
        let text = String::from_utf8(output.stdout).unwrap();
        let errors = String::from_utf8_lossy(&output.stderr);
        let json: Value =
            serde_json::from_str(&text).unwrap_or_else(|e| panic!("{e}: {text} {errors}"));
        let word = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let stations = json["stations"].as_array().unwrap();
        assert_eq!(stations.len(), 8);
        let further = json["further"].as_array().unwrap();
        let mut all = stations.iter().chain(further);
        let is_wrong = all.any(|station| station["health"] == "wrong");
        assert_eq!(output.status.code(), Some(i32::from(is_wrong)), "{text}");
        let of = |stations: &[Value], key: &str| {
            let stations = stations.iter().map(|station| {
                let fields =
                    ["health", "state", "says", "remedy"].map(|field| word(&station[field]));
                (word(&station[key]), fields)
            });
            stations.collect()
        };
        Self(of(stations, "place"), of(further, "name"))
    }

    /// The state of a further name, what it says and advises; nothing if it is not listed.
    pub(crate) fn further(&self, name: &str) -> [&str; 3] {
        let found = self.1.get(name);
        found.map_or([""; 3], |[_, state, says, remedy]| [state, says, remedy])
    }

    pub(crate) fn state(&self, place: &str) -> &str {
        &self.0[place][1]
    }

    /// Holds the doctor to a state with these words.
    #[track_caller]
    pub(crate) fn must(&self, place: &str, state: &str, words: &[&str]) {
        let [health, found, says, remedy] = &self.0[place];
        assert_eq!(found, state, "{health}: {says} {remedy}; all: {:?}", self.0);
        for word in words {
            assert!(
                says.contains(word) || remedy.contains(word),
                "{word}: {says} {remedy}"
            );
        }
        let needs_remedy = health == "wrong";
        assert!(!needs_remedy || !remedy.is_empty(), "{state} has no remedy");
    }
}

/// A machine in a network, with a site.
pub(crate) struct Machine {
    pub(crate) network: Network,
    data: PathBuf,
    process: u32,
}

pub(crate) const PROGRAM: &str = env!("CARGO_BIN_EXE_webstead");

/// The time service of the machine says that it has set the clock: the first word does that or does not, and the rest is
/// the command.
const WITH_CLOCK: &str = "at=/run/systemd/timesync; mkdir -p $at && mount -t tmpfs none $at && \
     $0 && exec \"$@\"";

impl Machine {
    /// With a site on ports 443 and 80.
    pub(crate) fn new(connected: Connected) -> Option<Self> {
        let mut machine = Self::without_site(connected)?;
        machine.start(443, 80);
        Some(machine)
    }

    /// With a data folder and no site in it yet.
    pub(crate) fn without_site(connected: Connected) -> Option<Self> {
        let network = Network::new(connected)?;
        let data = network.dir().join("data");
        fs::create_dir(&data).unwrap();
        Some(Self {
            network,
            data,
            process: 0,
        })
    }

    /// Starts the site on these ports of IPv4.
    pub(crate) fn start(&mut self, https: u16, http: u16) {
        self.begin(https, http);
        self.wait("the site starts", Self::answers);
    }

    /// Starts it, and does not wait.
    pub(crate) fn begin(&mut self, https: u16, http: u16) {
        self.begin_with(&[], https, http);
    }

    /// The same, with words before the program's name.
    pub(crate) fn begin_with(&mut self, before: &[&str], https: u16, http: u16) {
        let data = self.data.to_str().unwrap().to_owned();
        let ports = [https, http].map(|port| format!("0.0.0.0:{port}"));
        let words = [
            PROGRAM, "--data", &data, "serve", "--https", &ports[0], "--http", &ports[1],
        ];
        self.process = self.network.start("home", &[before, &words].concat());
    }

    /// Asks the site to stop, and waits until it has.
    pub(crate) fn stop(&self) {
        self.signal("TERM");
        self.wait("the site stops", Self::has_ended);
    }

    /// Whether the process is over, and waits only for who started it to notice.
    fn has_ended(&self) -> bool {
        let status = fs::read_to_string(format!("/proc/{}/stat", self.process));
        status.is_ok_and(|status| status.contains(") Z "))
    }

    pub(crate) fn signal(&self, name: &str) {
        signal(self.process, name);
    }

    pub(crate) fn data(&self) -> &Path {
        &self.data
    }

    /// Sets what is in the site's settings; a running one reads them again.
    pub(crate) fn set(&self, toml: &str) {
        fs::write(self.data.join("webstead.toml"), toml).unwrap();
        if self.process != 0 && !self.has_ended() {
            self.signal("HUP");
        }
    }

    /// The program on this machine.
    pub(crate) fn says(&self, words: &[&str]) -> Output {
        let data = self.data.to_str().unwrap();
        self.network
            .run("home", &[&[PROGRAM, "--data", data], words].concat())
    }

    fn answers(&self) -> bool {
        self.says(&["status"]).status.success()
    }

    #[track_caller]
    pub(crate) fn wait(&self, what: &str, is_so: impl Fn(&Self) -> bool) {
        wait_until(what, || is_so(self));
    }

    /// The doctor on this machine, for a site of this name.
    pub(crate) fn examine(&self, domain: &str) -> Found {
        self.examine_with(domain, "")
    }

    /// The same, with more settings.
    pub(crate) fn examine_with(&self, domain: &str, more: &str) -> Found {
        let toml = self.network.dir().join(format!("{domain}.toml"));
        fs::write(&toml, format!("domain = \"{domain}\"\n{more}")).unwrap();
        self.ask(&[], &["--config", toml.to_str().unwrap()])
    }

    /// The doctor with the site's own settings.
    pub(crate) fn look(&self) -> Found {
        self.ask(&[], &[])
    }

    /// The same on a machine of which nobody sets the clock.
    pub(crate) fn look_without_time_service(&self) -> Found {
        self.doctor("true", &[], &[])
    }

    /// The same, with words before and behind the program's name.
    pub(crate) fn ask(&self, before: &[&str], more: &[&str]) -> Found {
        self.doctor("touch /run/systemd/timesync/synchronized", before, more)
    }

    fn doctor(&self, clock: &str, before: &[&str], more: &[&str]) -> Found {
        // Whoever sets the clock of the machine that the tests run on is not asked.
        let nobody = self.network.dir().join("nobody-knows");
        if !nobody.exists() {
            say_of_clock(&nobody, "exit 1", "exit 1");
        }
        let path = std::env::var("PATH").unwrap_or_default();
        let path = format!("PATH={}:{path}", nobody.display());
        let data = self.data.to_str().unwrap();
        let began = Instant::now();
        let words = [
            &["env", &path, "sh", "-c", WITH_CLOCK, clock],
            before,
            &[PROGRAM, "--data", data],
            more,
            &["doctor", "--json"],
        ];
        let found = Found::read(self.network.run("home", &words.concat()));
        assert!(
            began.elapsed() < Duration::from_secs(30),
            "it ends in seconds"
        );
        found
    }

    /// Looks with the site's own settings until a station is in this state.
    #[track_caller]
    pub(crate) fn until(&self, place: &str, state: &str) -> Found {
        self.until_with(&[], place, state)
    }

    /// The same, with words before the program's name.
    #[track_caller]
    pub(crate) fn until_with(&self, before: &[&str], place: &str, state: &str) -> Found {
        found_within(Duration::from_mins(1), || {
            let found = self.ask(before, &[]);
            if found.state(place) == state {
                return Ok(found);
            }
            Err(format!("{state}: {:?}", found.0))
        })
    }
}

/// Makes programs in a folder that are asked whether the clock is set, as scripts of a shell.
pub(crate) fn say_of_clock(folder: &Path, timedatectl: &str, chronyc: &str) {
    fs::create_dir_all(folder).unwrap();
    for (name, script) in [("timedatectl", timedatectl), ("chronyc", chronyc)] {
        let file = folder.join(name);
        fs::write(&file, format!("#!/bin/sh\n{script}\n")).unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(0o755)).unwrap();
    }
}
