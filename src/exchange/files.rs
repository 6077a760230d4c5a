//! Through files in a folder that all processes see, on one machine or on a network file system.
//!
//! ```text
//! alive-R-NAME     number R lives: a counter that goes on every two seconds, removed when the process ends
//! join-R           NAME and how many processes number R waits for
//! session          the session's name, and the NAME of each number, a line each: written by number 0 when all have joined
//! SESSION-K-R      what number R said in round K
//! ```
//!
//! Names are drawn, so what an ended or killed fit left behind is not taken for part of this one. Files are found by listing the folder: a
//! network file system may remember for long that a file was not there, but not what a folder held when it is opened anew.

use std::collections::HashSet;
use std::fs::{self, File};
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use super::Shard;
use crate::data::{Exchange, Stop, Unfinished, write_whole};
use crate::error::{Error, Result};

/// From one sign of life to the next.
const BEAT: Duration = Duration::from_secs(2);

/// A process that has given no sign for so long has ended.
const SILENT: Duration = Duration::from_secs(90);

/// Longest pause between two looks into the folder.
const PAUSE: Duration = Duration::from_millis(50);

/// The folder, as one of the processes sees it.
pub(super) struct Files {
    dir: PathBuf,
    shard: Shard,
    stop: Stop,
    /// What was begun when the processes met.
    session: Mutex<Option<Session>>,
}

struct Session {
    name: String,
    /// Files with the signs of life of all.
    alive: Vec<String>,
    /// Rounds that lie behind.
    rounds: usize,
    _beat: Beat,
}

impl Files {
    pub(super) fn new(dir: &Path, shard: Shard, stop: Stop) -> Self {
        Self { dir: dir.to_path_buf(), shard, stop, session: Mutex::new(None) }
    }

    /// Waits until all processes are here.
    fn met(&self, say: &mut dyn FnMut(&str)) -> Result<Session> {
        fs::create_dir_all(&self.dir).map_err(|reason| Error::file(&self.dir, "create the folder", reason))?;
        let Shard { rank, size } = self.shard;
        let name = format!("{:016x}", rand::random::<u64>());
        let beat = Beat::begin(self.dir.join(alive(rank, &name))).map_err(|reason| self.unwritable(reason))?;
        if rank == 0 {
            self.clear()?;
        }
        let joined = format!("{name} {size}");
        let mut missing = usize::MAX;
        loop {
            let here = self.listed()?;
            if let Some(session) = self.session_with(rank, &name) {
                let [session, names @ ..] = &session[..] else { unreachable!("it has this process's name") };
                let alive = names.iter().enumerate().map(|(rank, name)| alive(rank, name)).collect();
                return Ok(Session { name: session.clone(), alive, rounds: 0, _beat: beat });
            }
            // (Number 0 removes what it finds when it comes.)
            let join = format!("join-{rank}");
            if !here.contains(&join) {
                self.write(&join, joined.as_bytes())?;
            } else if self.read(&join).is_some_and(|other| other != joined) {
                return Err(self.told(format!("another process is number {} of these, too", rank + 1)));
            }
            let absent: Vec<usize> = (0..size).filter(|rank| !here.contains(&format!("join-{rank}"))).collect();
            if rank == 0 && absent.is_empty() {
                self.begin(&name)?;
            }
            if rank == 0 && absent.len() < missing && absent != [0] {
                missing = absent.len();
                let numbers: Vec<String> = absent.iter().map(|rank| (rank + 1).to_string()).collect();
                say(&format!("waiting in {} for the processes {} of {size}", self.dir.display(), numbers.join(", ")));
            }
            self.pause(PAUSE)?;
        }
    }

    /// Writes who takes part.
    fn begin(&self, name: &str) -> Result<()> {
        let mut lines = vec![name.to_owned()];
        for rank in 0..self.shard.size {
            let joined = self.read(&format!("join-{rank}")).unwrap_or_default();
            let (name, size) = joined.split_once(' ').unwrap_or_default();
            if size != self.shard.size.to_string() {
                let problem = format!("number {} is one of {size}, number 1 one of {}", rank + 1, self.shard.size);
                return Err(self.told(problem));
            }
            lines.push(name.to_owned());
        }
        // Of killed processes.
        self.remove(|name| name.starts_with("alive-") && !lines.iter().any(|taking_part| name.ends_with(taking_part)))?;
        self.write("session", lines.join("\n").as_bytes())
    }

    /// The lines of the session that has begun, if the process `rank` is in it under `name`.
    fn session_with(&self, rank: usize, name: &str) -> Option<Vec<String>> {
        let lines: Vec<String> = self.read("session")?.lines().map(str::to_owned).collect();
        lines.get(rank + 1).is_some_and(|found| found == name).then_some(lines)
    }

    /// Removes what an earlier fit has left. Signs of life stay, and what is being written: they may be of processes that have come before this one.
    fn clear(&self) -> Result<()> {
        self.remove(|name| !name.starts_with("alive-") && !name.ends_with(".partial"))
    }

    fn remove(&self, which: impl Fn(&str) -> bool) -> Result<()> {
        for name in self.listed()?.into_iter().filter(|name| which(name)) {
            match fs::remove_file(self.dir.join(name)) {
                Err(reason) if reason.kind() != ErrorKind::NotFound => return Err(self.unwritable(reason)),
                _ => {}
            }
        }
        Ok(())
    }

    /// What number `rank` says under `name`: waits for it.
    fn heard(&self, name: &str, alive: &str) -> Result<Vec<u8>> {
        let path = self.dir.join(name);
        let (mut sign, mut since) = (self.read(alive), Instant::now());
        let mut pause = Duration::from_micros(200);
        loop {
            let here = self.listed()?;
            if here.contains(name) {
                return fs::read(&path).map_err(|reason| Error::file(&path, "read", reason));
            }
            // A process says all before it ends: so it is looked for after what it says.
            if !here.contains(alive) {
                return Err(self.ended(alive));
            }
            let now = self.read(alive);
            if now != sign {
                (sign, since) = (now, Instant::now());
            } else if since.elapsed() > SILENT {
                return Err(self.ended(alive));
            }
            self.pause(pause)?;
            pause = (pause * 2).min(PAUSE);
        }
    }

    fn ended(&self, alive: &str) -> Error {
        let rank: usize = alive.split('-').nth(1).and_then(|rank| rank.parse().ok()).unwrap_or(0);
        self.told(format!("process {} of {} has ended before its time", rank + 1, self.shard.size))
    }

    fn told(&self, problem: String) -> Error {
        Error::Config {
            place: format!("--shard, in {}", self.dir.display()),
            problem,
            hint: "see what that process says; then start all of them again, each with its own number".to_owned(),
        }
    }

    fn pause(&self, time: Duration) -> Result<()> {
        if self.stop.asked() {
            return Err(Error::Interrupted { run: None });
        }
        thread::sleep(time);
        Ok(())
    }

    fn listed(&self) -> Result<HashSet<String>> {
        let names = fs::read_dir(&self.dir).map_err(|reason| Error::file(&self.dir, "read", reason))?;
        Ok(names.flatten().map(|entry| entry.file_name().to_string_lossy().into_owned()).collect())
    }

    fn read(&self, name: &str) -> Option<String> {
        fs::read_to_string(self.dir.join(name)).ok()
    }

    fn write(&self, name: &str, bytes: &[u8]) -> Result<()> {
        write_whole(&self.dir.join(name), &[bytes]).map_err(|reason| self.unwritable(reason))
    }

    fn unwritable(&self, reason: std::io::Error) -> Error {
        Error::file(&self.dir, "write in", reason)
    }
}

fn alive(rank: usize, name: &str) -> String {
    format!("alive-{rank}-{name}")
}

impl Exchange for Files {
    fn rank(&self) -> usize {
        self.shard.rank
    }

    fn size(&self) -> usize {
        self.shard.size
    }

    fn meet(&self, say: &mut dyn FnMut(&str)) -> Result<()> {
        let session = self.met(say)?;
        *self.session.lock().unwrap_or_else(PoisonError::into_inner) = Some(session);
        Ok(())
    }

    fn all(&self, mine: Vec<u8>) -> Result<Vec<Vec<u8>>> {
        let mut session = self.session.lock().unwrap_or_else(PoisonError::into_inner);
        let Session { name, alive, rounds, .. } = session.as_mut().expect("the processes have met");
        let Shard { rank, size } = self.shard;
        let file = |round: usize, rank: usize| format!("{name}-{round}-{rank}");
        self.write(&file(*rounds, rank), &mine)?;
        let said = (0..size).map(|other| match other == rank {
            true => Ok(Vec::new()),
            false => self.heard(&file(*rounds, other), &alive[other]),
        });
        let mut said = said.collect::<Result<Vec<_>>>()?;
        said[rank] = mine;
        // All have begun this round, and so have read the one before.
        if let Some(before) = rounds.checked_sub(1) {
            let _ = fs::remove_file(self.dir.join(file(before, rank)));
        }
        *rounds += 1;
        Ok(said)
    }
}

impl Drop for Files {
    fn drop(&mut self) {
        // Ends the signs of life.
        *self.session.lock().unwrap_or_else(PoisonError::into_inner) = None;
        // Whoever is last tidies up; what cannot be removed does no harm.
        if self.listed().is_ok_and(|here| !here.iter().any(|name| name.starts_with("alive-"))) {
            let _ = fs::remove_dir_all(&self.dir);
        }
    }
}

/// Signs of life, as long as it lives.
struct Beat {
    path: PathBuf,
    end: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
    _unfinished: Unfinished,
}

impl Beat {
    fn begin(path: PathBuf) -> std::io::Result<Self> {
        let (_, unfinished) = Unfinished::made(|| write_whole(&path, &[b"0"]).map(|()| path.clone()))?;
        let (end, ended) = channel();
        let thread = thread::spawn({
            let path = path.clone();
            move || Self::go_on(&path, &ended)
        });
        Ok(Self { path, end: Some(end), thread: Some(thread), _unfinished: unfinished })
    }

    fn go_on(path: &Path, ended: &Receiver<()>) {
        for count in 1_u64.. {
            if ended.recv_timeout(BEAT) != Err(RecvTimeoutError::Timeout) {
                return;
            }
            // A sign that cannot be given may be given the next time. (The program may be ending, and have removed the file.)
            let sign = |mut file: File| file.write_all(count.to_string().as_bytes());
            let _ = File::options().write(true).open(path).and_then(sign);
        }
    }
}

impl Drop for Beat {
    fn drop(&mut self) {
        self.end = None;
        let _ = self.thread.take().map(JoinHandle::join);
        let _ = fs::remove_file(&self.path);
    }
}
