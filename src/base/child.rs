//! Other programs: asked something that must end within a time, and held so that a signal reaches no other one.

use std::{
    io::{self, Read},
    os::fd::OwnedFd,
    process::{Command, ExitStatus, Stdio},
    sync::{Arc, Mutex, PoisonError},
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use rustix::{
    io::Errno,
    process::{Pid, PidfdFlags, pidfd_open},
};

/// The most that is kept of what a program writes.
const MAX_BYTES: usize = 1024 * 1024;
/// How long is waited for the end of what it writes once it has ended: a program that it has started may write on.
const LAST_WORDS: Duration = Duration::from_millis(500);

/// How a program ended, and what it wrote until then.
pub struct Answer {
    /// How it ended.
    pub status: ExitStatus,
    /// What it said.
    pub stdout: Vec<u8>,
    /// What it complained about.
    pub stderr: Vec<u8>,
}

/// A hold on a process: a signal by it reaches no other one that gets its number.
///
/// # Errors
/// [`Errno::NOSYS`] on kernels before 5.3, which have none; [`Errno::SRCH`] if there is no such process.
pub fn handle_of(process: u32) -> rustix::io::Result<OwnedFd> {
    let number = i32::try_from(process).ok().and_then(Pid::from_raw);
    pidfd_open(number.ok_or(Errno::SRCH)?, PidfdFlags::empty())
}

/// Starts a program and waits for its end; ends it if that does not come in time. What it writes is read meanwhile: a full
/// pipe would keep it from going on.
///
/// # Errors
/// If it cannot be started, or does not end.
pub fn output_within(command: &mut Command, limit: Duration) -> io::Result<Answer> {
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()?;
    let stdout = child.stdout.take().map(Words::of);
    let stderr = child.stderr.take().map(Words::of);
    let until = Instant::now() + limit;
    let status = loop {
        if let Some(status) = child.try_wait()? {
            break status;
        }
        if Instant::now() > until {
            child.kill()?;
            child.wait()?;
            let seconds = limit.as_secs();
            return Err(io::Error::other(format!("it hangs for {seconds} seconds")));
        }
        thread::sleep(Duration::from_millis(10));
    };
    Ok(Answer {
        status,
        stdout: stdout.map(Words::until_now).unwrap_or_default(),
        stderr: stderr.map(Words::until_now).unwrap_or_default(),
    })
}

/// What somebody writes, read as it comes.
struct Words {
    read: Arc<Mutex<Vec<u8>>>,
    reader: JoinHandle<()>,
}

impl Words {
    fn of(mut pipe: impl Read + Send + 'static) -> Self {
        let read = Arc::new(Mutex::new(Vec::new()));
        let kept = Arc::clone(&read);
        let reader = thread::spawn(move || {
            let mut buffer = vec![0; 16 * 1024];
            while let Ok(count @ 1..) = pipe.read(&mut buffer) {
                let mut kept = kept.lock().unwrap_or_else(PoisonError::into_inner);
                let room = MAX_BYTES.saturating_sub(kept.len()).min(count);
                kept.extend_from_slice(&buffer[..room]);
            }
        });
        Self { read, reader }
    }

    fn until_now(self) -> Vec<u8> {
        let until = Instant::now() + LAST_WORDS;
        while !self.reader.is_finished() && Instant::now() < until {
            thread::sleep(Duration::from_millis(1));
        }
        let mut read = self.read.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::take(&mut *read)
    }
}

#[cfg(test)]
mod tests {
    use std::{
        process::Command,
        time::{Duration, Instant},
    };

    use super::{MAX_BYTES, output_within};

    fn shell(script: &str) -> Command {
        let mut shell = Command::new("sh");
        shell.args(["-c", script]);
        shell
    }

    #[test]
    fn a_program_that_writes_more_than_a_pipe_holds_ends() {
        let much = "head -c 300000 /dev/zero; head -c 300000 /dev/zero >&2; exit 3";
        let answer = output_within(&mut shell(much), Duration::from_secs(20)).unwrap();
        assert_eq!(answer.status.code(), Some(3));
        assert_eq!(
            (answer.stdout.len(), answer.stderr.len()),
            (300_000, 300_000)
        );
        let endless = "head -c 9000000 /dev/zero";
        let answer = output_within(&mut shell(endless), Duration::from_secs(20)).unwrap();
        assert_eq!(answer.stdout.len(), MAX_BYTES);
    }

    #[test]
    fn neither_a_program_that_hangs_nor_one_that_leaves_another_behind_is_waited_for() {
        let began = Instant::now();
        let hangs = output_within(&mut shell("exec sleep 30"), Duration::from_millis(200));
        assert!(hangs.is_err());
        let left = output_within(&mut shell("sleep 5 & echo done"), Duration::from_secs(20));
        assert_eq!(left.unwrap().stdout, b"done\n");
        assert!(
            began.elapsed() < Duration::from_secs(4),
            "{:?}",
            began.elapsed()
        );
    }
}
