//! Proof of death on one host: a file in shared memory that its process keeps locked as long as it lives.
//!
//! Its random number goes into the log. Who finds the file unlocked knows that the process is gone, and need not wait
//! for its time-to-live. What cannot be seen proves nothing: another host's file, another container's, one of another
//! user.
//!
//! The lock belongs to a *mapping* of the file, not to a descriptor. So it ends with the memory of the process, after
//! its last thread: a program that closes all descriptors keeps it, a forked child does not get it, exec ends it.

use std::fs::{File, OpenOptions};
use std::io::ErrorKind;
use std::os::fd::AsRawFd;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Where the files are: gone with the machine's memory, and never that of another machine.
const FOLDER: &str = "/dev/shm";
/// The file of a process that was killed is removed by a later one when it is older than this.
const LEFT_OVER: Duration = Duration::from_secs(24 * 3600);
/// Most files that are removed at once ..
const SWEPT_MAX: usize = 64;
/// .. and most names that are looked at for it: more than a program leaves that is killed every other second for a day.
const NAMES_MAX: usize = 65_536;
/// Of the mapping: it is never read.
const MAPPED: usize = 1;

/// This process's own file.
#[derive(Debug)]
pub(super) struct Lifeline {
    id: u128,
    path: PathBuf,
    mapping: usize,
}

/// What a file says of its process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sign {
    /// Its lock is held, or it cannot be tried now.
    Alive,
    /// Its lock is free.
    Dead,
    /// It is not here, or not to be trusted; that does not change.
    Nothing,
}

impl Lifeline {
    /// A file of this process's own, locked from now on; `None` where that is not possible.
    pub(super) fn hold() -> Option<Lifeline> {
        Lifeline::hold_in(Path::new(FOLDER))
    }

    fn hold_in(folder: &Path) -> Option<Lifeline> {
        sweep(folder, LEFT_OVER);
        let id = random()?;
        let path = path_of(folder, id);
        let file = OpenOptions::new().read(true).write(true).create_new(true).mode(0o644).open(&path).ok()?;
        // Locked before anybody is told its number.
        let mapping =
            if is_in_memory(&file) && try_lock(&file, libc::LOCK_EX) == Some(true) { map(&file) } else { None };
        if mapping.is_none() {
            let _ = std::fs::remove_file(&path);
        }
        Some(Lifeline { id, path, mapping: mapping? })
    }

    /// Its number, to be said in the log.
    pub(super) fn id(&self) -> u128 {
        self.id
    }

    /// Lets go of the lock: nothing is used any more. `said`: everybody knows, no proof is needed.
    ///
    /// One that is dropped instead keeps the lock until the process ends.
    pub(super) fn end(self, said: bool) {
        if said {
            let _ = std::fs::remove_file(&self.path);
        }
        // SAFETY: the mapping is this one's own, and nobody reads it.
        unsafe { libc::munmap(self.mapping as *mut libc::c_void, MAPPED) };
    }
}

/// Tries the lock of the process `id`.
pub(super) fn look(id: u128) -> Sign {
    look_in(Path::new(FOLDER), id)
}

fn look_in(folder: &Path, id: u128) -> Sign {
    // Neither a link nor a pipe can lead it astray.
    let opened =
        OpenOptions::new().read(true).custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK).open(path_of(folder, id));
    let file = match opened {
        Ok(file) => file,
        Err(why) if why.kind() == ErrorKind::NotFound || why.raw_os_error() == Some(libc::ELOOP) => {
            return Sign::Nothing
        }
        Err(_) => return Sign::Alive,
    };
    // SAFETY: it only reads a number.
    let me = unsafe { libc::geteuid() };
    if !file.metadata().is_ok_and(|meta| meta.is_file() && (meta.uid() == me || meta.uid() == 0)) {
        return Sign::Nothing;
    }
    // Shared, so that two who look at the same time do not take each other for the owner.
    match try_lock(&file, libc::LOCK_SH) {
        Some(true) => Sign::Dead,
        _ => Sign::Alive,
    }
}

/// Removes what killed processes left behind.
fn sweep(folder: &Path, age: Duration) {
    let Ok(names) = std::fs::read_dir(folder) else { return };
    let ids = names.take(NAMES_MAX).filter_map(|entry| {
        let entry = entry.ok()?;
        let id = id_of(entry.file_name().to_str()?)?;
        let old = entry.metadata().ok()?.modified().ok()?.elapsed().is_ok_and(|passed| passed >= age);
        old.then_some(id)
    });
    for id in ids.filter(|id| look_in(folder, *id) == Sign::Dead).take(SWEPT_MAX) {
        let _ = std::fs::remove_file(path_of(folder, id));
    }
}

fn path_of(folder: &Path, id: u128) -> PathBuf {
    folder.join(format!("tidegate-{id:032x}.lock"))
}

fn id_of(name: &str) -> Option<u128> {
    let digits = name.strip_prefix("tidegate-")?.strip_suffix(".lock")?;
    u128::from_str_radix(digits, 16).ok().filter(|_| digits.len() == 32)
}

/// Whether the lock was free; `None` when it could not be tried. It goes with the last use of the file.
fn try_lock(file: &File, kind: i32) -> Option<bool> {
    // SAFETY: the descriptor is open.
    if unsafe { libc::flock(file.as_raw_fd(), kind | libc::LOCK_NB) } == 0 {
        return Some(true);
    }
    (std::io::Error::last_os_error().kind() == ErrorKind::WouldBlock).then_some(false)
}

/// Keeps the open file, and so its lock, for as long as this process's memory; not for that of a forked child.
fn map(file: &File) -> Option<usize> {
    // SAFETY: a new mapping that nobody reads or writes.
    let at =
        unsafe { libc::mmap(std::ptr::null_mut(), MAPPED, libc::PROT_NONE, libc::MAP_SHARED, file.as_raw_fd(), 0) };
    if at == libc::MAP_FAILED {
        return None;
    }
    // SAFETY: the mapping is this one's own. Where it fails, a forked child only delays the proof.
    unsafe { libc::madvise(at, MAPPED, libc::MADV_DONTFORK) };
    Some(at as usize)
}

/// A folder that two machines share would make one's silence the other's proof.
fn is_in_memory(file: &File) -> bool {
    // SAFETY: all zeros are a valid value, and the call fills it.
    let mut of: libc::statfs = unsafe { std::mem::zeroed() };
    // SAFETY: the descriptor is open and the place to write to is valid.
    unsafe { libc::fstatfs(file.as_raw_fd(), &mut of) == 0 && of.f_type == libc::TMPFS_MAGIC }
}

fn random() -> Option<u128> {
    let mut bytes = [0u8; 16];
    // SAFETY: the buffer is valid for its length.
    let got = unsafe { libc::getrandom(bytes.as_mut_ptr().cast(), bytes.len(), 0) };
    let id = u128::from_le_bytes(bytes);
    (got == bytes.len() as isize && id != 0).then_some(id)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A folder of this test's own in shared memory.
    struct Place(PathBuf);

    impl Place {
        fn new() -> Place {
            let path = Path::new(FOLDER).join(format!("tidegate-test-{:x}", random().unwrap()));
            std::fs::create_dir(&path).unwrap();
            Place(path)
        }
        fn hold(&self) -> Lifeline {
            Lifeline::hold_in(&self.0).unwrap()
        }
        fn look(&self, id: u128) -> Sign {
            look_in(&self.0, id)
        }
        fn files(&self) -> usize {
            std::fs::read_dir(&self.0).unwrap().count()
        }
    }

    impl Drop for Place {
        fn drop(&mut self) {
            let _ = std::fs::remove_dir_all(&self.0);
        }
    }

    #[test]
    fn a_process_is_alive_as_long_as_it_holds_and_dead_when_it_let_go_without_a_word() {
        let place = Place::new();
        let held = place.hold();
        let id = held.id();
        assert_eq!(place.look(id), Sign::Alive);
        held.end(false);
        assert_eq!((place.look(id), place.look(id)), (Sign::Dead, Sign::Dead));
    }

    #[test]
    fn one_that_said_goodbye_leaves_nothing() {
        let place = Place::new();
        let held = place.hold();
        let id = held.id();
        held.end(true);
        assert_eq!((place.look(id), place.files()), (Sign::Nothing, 0));
    }

    #[test]
    fn two_who_look_at_the_same_time_see_the_same() {
        let place = Place::new();
        let held = place.hold();
        let id = held.id();
        held.end(false);
        let other = File::open(path_of(&place.0, id)).unwrap();
        assert_eq!(try_lock(&other, libc::LOCK_SH), Some(true));
        assert_eq!(place.look(id), Sign::Dead);
    }

    #[test]
    fn a_forked_child_holds_nothing_and_a_killed_process_is_dead() {
        let place = Place::new();
        let path = place.0.clone();
        let mut ends = [0; 2];
        // SAFETY: a plain pipe; the children only call what a forked child may.
        unsafe {
            assert_eq!(libc::pipe(ends.as_mut_ptr()), 0);
            let child = libc::fork();
            if child == 0 {
                let held = Lifeline::hold_in(&path);
                let id = held.as_ref().map_or(0, Lifeline::id).to_le_bytes();
                let orphan = libc::fork();
                if orphan != 0 {
                    libc::write(ends[1], id.as_ptr().cast(), 16);
                }
                libc::sleep(5);
                libc::_exit(0);
            }
            let mut id = [0u8; 16];
            assert_eq!(libc::read(ends[0], id.as_mut_ptr().cast(), 16), 16);
            let id = u128::from_le_bytes(id);
            assert_eq!(place.look(id), Sign::Alive);
            libc::kill(child, libc::SIGSTOP);
            assert_eq!(place.look(id), Sign::Alive, "stopped is not dead");
            libc::kill(child, libc::SIGKILL);
            libc::waitpid(child, std::ptr::null_mut(), 0);
            assert_eq!(place.look(id), Sign::Dead, "though its child lives");
        }
    }

    #[test]
    fn a_program_that_closes_all_descriptors_lives() {
        let place = Place::new();
        let held = place.hold();
        let open = std::fs::read_dir("/proc/self/fd")
            .unwrap()
            .filter_map(|entry| std::fs::read_link(entry.unwrap().path()).ok());
        assert!(!open.into_iter().any(|path| path == held.path), "there is no descriptor that could be closed");
        assert_eq!(place.look(held.id()), Sign::Alive);
        held.end(true);
    }

    #[test]
    fn what_is_no_plain_file_of_this_user_proves_nothing() {
        let place = Place::new();
        assert_eq!(place.look(1), Sign::Nothing, "not there");
        let plain = place.0.join("plain");
        std::fs::write(&plain, "").unwrap();
        std::os::unix::fs::symlink(&plain, path_of(&place.0, 2)).unwrap();
        assert_eq!(place.look(2), Sign::Nothing, "a link");
        std::fs::create_dir(path_of(&place.0, 3)).unwrap();
        assert_eq!(place.look(3), Sign::Nothing, "a folder");
        std::fs::copy(&plain, path_of(&place.0, 4)).unwrap();
        assert_eq!(place.look(4), Sign::Dead, "a plain file, for comparison");
        // SAFETY: it only reads a number.
        if unsafe { libc::geteuid() } == 0 {
            std::os::unix::fs::chown(path_of(&place.0, 4), Some(12_345), None).unwrap();
            assert_eq!(place.look(4), Sign::Nothing, "another user's");
        }
    }

    #[test]
    fn where_no_file_can_be_held_there_is_no_proof_and_nothing_is_left() {
        assert!(Lifeline::hold_in(Path::new("/nonexistent")).is_none());
        let elsewhere = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
        let in_memory = is_in_memory(&File::open(&elsewhere).unwrap());
        let held = Lifeline::hold_in(&elsewhere);
        assert_eq!(held.is_some(), in_memory, "a disk may be another machine's, too");
        held.into_iter().for_each(|held| held.end(true));
        let left = std::fs::read_dir(&elsewhere)
            .unwrap()
            .filter(|entry| id_of(entry.as_ref().unwrap().file_name().to_str().unwrap()).is_some());
        assert_eq!(left.count(), 0);
    }

    #[test]
    fn what_the_killed_left_is_swept_when_it_is_old_and_nobody_holds_it() {
        let place = Place::new();
        let (dead, living) = (place.hold(), place.hold());
        dead.end(false);
        std::fs::write(place.0.join("tidegate-7.lock"), "").unwrap();
        std::fs::write(place.0.join("another"), "").unwrap();
        sweep(&place.0, LEFT_OVER);
        assert_eq!(place.files(), 4, "too young");
        sweep(&place.0, Duration::ZERO);
        assert_eq!((place.files(), place.look(living.id())), (3, Sign::Alive), "only what is ours, and free");
        living.end(true);
    }
}
