//! Where the control socket is, and who may have it.
//!
//! Root's daemons have theirs in `/run/tapsock`, a user's in `$XDG_RUNTIME_DIR/tapsock`; systemd may give another
//! directory (`RUNTIME_DIRECTORY`). The directory is its owner's alone, and so is the socket.

use std::fs::{DirBuilder, File, Metadata, TryLockError};
use std::io::{self, ErrorKind};
use std::os::fd::AsRawFd;
use std::os::unix::fs::{DirBuilderExt, FileTypeExt, MetadataExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use std::{env, fmt, fs, thread};

use nix::sys::socket::{self, AddressFamily, Backlog, SockFlag, SockType, UnixAddr};
use nix::sys::stat::{Mode, fchmod};
use nix::unistd::geteuid;

/// The longest name: the path of a Unix socket has 107 bytes.
const LONGEST: usize = 64;

/// How long another daemon may be at the directory.
const PATIENCE: Duration = Duration::from_secs(2);

/// Clients that may wait to be served.
const BACKLOG: i32 = 128;

/// Where the socket of a daemon is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    path: PathBuf,
    /// The path was given as it is, and its directory is somebody else's care.
    is_chosen: bool,
}

/// Why a daemon cannot have a socket, or a client finds none: one sentence.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Unavailable {
    /// Another daemon has it.
    Taken(String),
    /// There can be none here.
    Impossible(String),
}

impl fmt::Display for Unavailable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Unavailable::Taken(sentence) | Unavailable::Impossible(sentence) => f.write_str(sentence),
        }
    }
}

impl std::error::Error for Unavailable {}

/// Where daemons of this user have their sockets.
pub(super) fn directory() -> Result<PathBuf, Unavailable> {
    // systemd may give several, and separates them as PATH does.
    let variable = |name| {
        let value = env::var_os(name)?;
        env::split_paths(&value).next().filter(|path| path.is_absolute())
    };
    if let Some(given) = variable("RUNTIME_DIRECTORY") {
        return Ok(given);
    }
    if geteuid().is_root() {
        return Ok("/run/tapsock".into());
    }
    variable("XDG_RUNTIME_DIR").map(|runtime| runtime.join("tapsock")).ok_or_else(|| {
        Unavailable::Impossible(
            "there is no place for the control socket: XDG_RUNTIME_DIR is not set; log in by a session, or give a path: --name ./tapsock.sock".into(),
        )
    })
}

impl Place {
    /// Of the daemon of this name. A name with a slash in it is the path of the socket itself.
    ///
    /// # Errors
    ///
    /// [`Unavailable::Impossible`]: it cannot be a name, or this user has no directory for it.
    pub fn of(name: &str) -> Result<Place, Unavailable> {
        if name.contains('/') {
            return Ok(Place { path: name.into(), is_chosen: true });
        }
        let is_plain = |c: char| c.is_alphanumeric() || "-_.@:".contains(c);
        if name.is_empty() || name.len() > LONGEST || name.starts_with('.') || !name.chars().all(is_plain) {
            return Err(Unavailable::Impossible(format!(
                "'{name}' cannot be the name of a daemon: it has up to {LONGEST} letters, digits, '-', '_', '.', '@' and ':', and does not begin with a dot"
            )));
        }
        Ok(Place { path: directory()?.join(format!("{name}.sock")), is_chosen: false })
    }

    /// The path of the socket.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Makes the socket. One that a dead daemon has left is replaced.
    ///
    /// # Errors
    ///
    /// [`Unavailable::Taken`] if a living daemon has it, else [`Unavailable::Impossible`].
    pub fn take(&self) -> Result<Taken, Unavailable> {
        let path = &self.path;
        let failed = |error: io::Error| {
            Unavailable::Impossible(format!("the control socket {} cannot be made: {error}", path.display()))
        };
        let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
        // Another daemon that ends may remove the directory in between: then once more.
        for _ in 0..3 {
            if !self.is_chosen {
                make(parent)?;
            }
            match lock(parent) {
                Err(error) if error.kind() == ErrorKind::NotFound && !self.is_chosen => {}
                Err(error) => return Err(failed(error)),
                Ok(_locked) => {
                    self.clear(path)?;
                    match bind(path) {
                        Ok((listener, metadata)) => return Ok(Taken { listener, place: self.clone(), metadata }),
                        Err(error) if error.kind() == ErrorKind::NotFound && !self.is_chosen => {}
                        Err(error) => return Err(failed(error)),
                    }
                }
            }
        }
        Err(failed(ErrorKind::NotFound.into()))
    }

    /// Removes what a dead daemon has left.
    fn clear(&self, path: &Path) -> Result<(), Unavailable> {
        let shown = path.display();
        let Ok(metadata) = fs::symlink_metadata(path) else { return Ok(()) };
        if !metadata.file_type().is_socket() {
            return Err(Unavailable::Impossible(format!(
                "{shown} is there already, and is no socket; choose another --name"
            )));
        }
        match UnixStream::connect(path) {
            Err(error) if error.kind() == ErrorKind::ConnectionRefused => {}
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
            _ => {
                return Err(Unavailable::Taken(format!(
                    "another daemon has the control socket {shown}; stop it, or give this one another --name"
                )));
            }
        }
        fs::remove_file(path).or_else(|error| match error.kind() {
            ErrorKind::NotFound => Ok(()),
            _ => Err(Unavailable::Impossible(format!("{shown} of a dead daemon cannot be removed: {error}"))),
        })
    }
}

/// Makes the directory, or sees that it is nobody else's.
fn make(directory: &Path) -> Result<(), Unavailable> {
    let shown = directory.display();
    let impossible = |why: String| Unavailable::Impossible(format!("the control socket cannot be in {shown}: {why}"));
    match DirBuilder::new().mode(0o700).create(directory) {
        Ok(()) => return Ok(()),
        Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
        Err(error) => return Err(impossible(error.to_string())),
    }
    let metadata = fs::symlink_metadata(directory).map_err(|error| impossible(error.to_string()))?;
    if !metadata.is_dir() {
        return Err(impossible("it is no directory".into()));
    }
    if metadata.uid() != geteuid().as_raw() {
        return Err(impossible("it belongs to somebody else".into()));
    }
    if metadata.mode() & 0o022 != 0 {
        return Err(impossible(format!("others may write there; run: chmod 700 {shown}")));
    }
    Ok(())
}

/// Keeps other daemons away from the directory while one looks and binds.
fn lock(directory: &Path) -> io::Result<File> {
    let file = File::open(directory)?;
    let begun = Instant::now();
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(file),
            Err(TryLockError::WouldBlock) if begun.elapsed() < PATIENCE => thread::sleep(Duration::from_millis(10)),
            Err(error) => return Err(error.into()),
        }
    }
}

fn bind(path: &Path) -> io::Result<(UnixListener, Metadata)> {
    let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
    let socket = socket::socket(AddressFamily::Unix, SockType::Stream, flags, None)?;
    // Linux gives what bind(2) makes the mode of the socket: there is no moment when others can open it, and no path
    // that somebody may have put something else at.
    fchmod(&socket, Mode::S_IRUSR | Mode::S_IWUSR)?;
    socket::bind(socket.as_raw_fd(), &UnixAddr::new(path)?)?;
    socket::listen(&socket, Backlog::new(BACKLOG)?)?;
    Ok((UnixListener::from(socket), fs::symlink_metadata(path)?))
}

/// A control socket that this process has. Dropping it removes it.
#[derive(Debug)]
pub struct Taken {
    pub(super) listener: UnixListener,
    place: Place,
    metadata: Metadata,
}

impl Taken {
    /// Where it is.
    pub fn path(&self) -> &Path {
        self.place.path()
    }

    /// Another handle of it, to listen with.
    pub(super) fn listener(&self) -> io::Result<UnixListener> {
        self.listener.try_clone()
    }
}

impl Drop for Taken {
    fn drop(&mut self) {
        let path = self.place.path();
        let is_ours = |found: &Metadata| (found.dev(), found.ino()) == (self.metadata.dev(), self.metadata.ino());
        if fs::symlink_metadata(path).is_ok_and(|found| is_ours(&found)) {
            // What cannot be removed is replaced by the next daemon.
            let _ = fs::remove_file(path);
            if !self.place.is_chosen {
                // Others may have theirs there; then it stays.
                let _ = path.parent().map(fs::remove_dir);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs::Permissions;
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn place(directory: &tempfile::TempDir) -> Place {
        Place { path: directory.path().join("tapsock/tap0.sock"), is_chosen: false }
    }

    #[test]
    fn the_socket_and_its_directory_are_their_owners_alone_and_nothing_is_left() {
        let directory = tempfile::tempdir().unwrap();
        let taken = place(&directory).take().unwrap();
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(taken.path()), mode(taken.path().parent().unwrap())), (0o600, 0o700));
        drop(taken);
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 0);
    }

    #[test]
    fn a_living_daemon_keeps_its_socket_and_a_dead_ones_is_replaced() {
        let directory = tempfile::tempdir().unwrap();
        let place = place(&directory);
        let living = place.take().unwrap();
        let Err(Unavailable::Taken(sentence)) = place.take() else { panic!() };
        assert!(sentence.contains("another --name"), "{sentence}");
        // Whoever dies leaves the file, and nobody listens any more.
        let path = living.path().to_owned();
        fs::rename(&path, path.with_extension("moved")).unwrap();
        drop(living);
        fs::rename(path.with_extension("moved"), &path).unwrap();
        let next = place.take().unwrap();
        UnixStream::connect(next.path()).unwrap();
    }

    #[test]
    fn a_directory_that_others_may_write_to_is_refused_with_what_to_do() {
        let directory = tempfile::tempdir().unwrap();
        let inner = directory.path().join("tapsock");
        fs::create_dir(&inner).unwrap();
        fs::set_permissions(&inner, Permissions::from_mode(0o777)).unwrap();
        let Err(Unavailable::Impossible(sentence)) = place(&directory).take() else { panic!() };
        assert!(sentence.contains("chmod 700"), "{sentence}");
    }

    #[test]
    fn a_file_that_is_no_socket_is_not_removed() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("precious");
        fs::write(&path, "work").unwrap();
        let place = Place::of(path.to_str().unwrap()).unwrap();
        assert!(matches!(place.take(), Err(Unavailable::Impossible(_))));
        assert_eq!(fs::read_to_string(&path).unwrap(), "work");
    }

    #[test]
    fn names_are_plain_and_paths_are_taken_as_they_are() {
        for name in ["", ".", "..", ".hidden", "a b", "a\n", &"x".repeat(65)] {
            assert!(Place::of(name).is_err(), "{name:?}");
        }
        assert_eq!(Place::of("./my.sock").unwrap().path(), Path::new("./my.sock"));
    }
}
