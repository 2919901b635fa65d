//! What a file is besides its bytes, and targets that cannot be replaced, on the real file system.
//!
//! Much of this needs root or a tool. What is missing is written to the file that `PATCHWRIGHT_SKIPS` names.

use std::ffi::OsStr;
use std::fs::{self, File, OpenOptions, Permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, SystemTime};

use patchwright::report::{ApplyOutcome, RevertOutcome};
use patchwright::{ApplyOptions, DiffOptions, ErrorKind, HardLinks, Quiet, RevertOptions, apply, diff, revert, verify};

use crate::folder::{Folder, noise};
use crate::skips::skip;

/// Runs a tool; `None` when it is missing or fails.
fn run<S: AsRef<OsStr>>(program: &str, args: &[S]) -> Option<String> {
    let output = Command::new(program).args(args).stderr(Stdio::null()).output().ok()?;
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).into_owned())
}

fn is_root() -> bool {
    run("id", &["-u"]).is_some_and(|id| id.trim() == "0")
}

/// A folder with `app` at the old version and a patch for it.
struct Case {
    folder: Folder,
    old: Vec<u8>,
    new: Vec<u8>,
    patch: std::path::PathBuf,
    target: std::path::PathBuf,
}

impl Case {
    fn new() -> Self {
        let old = noise(1, 5000);
        let mut new = old.clone();
        new[1000..1040].fill(7);
        new.splice(3000..3000, noise(2, 90));
        Self::of(old, new)
    }

    fn of(old: Vec<u8>, new: Vec<u8>) -> Self {
        let folder = Folder::new();
        let patch = folder.patch(&old, &new, &DiffOptions::default());
        let target = folder.write("app", &old);
        Self { folder, old, new, patch, target }
    }

    fn apply(&self) -> patchwright::Result<patchwright::report::ApplyReport> {
        apply(&self.patch, &self.target, &ApplyOptions::default(), &Quiet)
    }

    fn revert(&self) -> patchwright::Result<patchwright::report::RevertReport> {
        revert(&self.patch, &self.target, &RevertOptions::default(), &Quiet)
    }

    #[track_caller]
    fn is_old(&self) {
        assert!(fs::read(&self.target).unwrap() == self.old, "the target is not the old version");
    }

    #[track_caller]
    fn is_new(&self) {
        assert!(fs::read(&self.target).unwrap() == self.new, "the target is not the new version");
    }

    /// Applies and reverts; `look` must see the same each time.
    #[track_caller]
    fn keeps<T: PartialEq + std::fmt::Debug>(&self, look: impl Fn(&Path) -> T) {
        let before = look(&self.target);
        self.apply().unwrap();
        self.is_new();
        assert_eq!(look(&self.target), before, "after apply");
        self.revert().unwrap();
        self.is_old();
        assert_eq!(look(&self.target), before, "after revert");
        assert_eq!(self.folder.names(), ["app", "fix.pwp"]);
    }
}

#[test]
fn permission_bits_stay() {
    for mode in [0o644, 0o755, 0o600, 0o4755, 0o2755, 0o6711, 0o1777, 0o444, 0o400] {
        let case = Case::new();
        fs::set_permissions(&case.target, Permissions::from_mode(mode)).unwrap();
        case.keeps(|path| fs::metadata(path).unwrap().mode() & 0o7777);
    }
}

#[test]
fn owner_and_group_stay_with_the_set_id_bits() {
    if !is_root() {
        return skip("owner_and_group_stay_with_the_set_id_bits", "needs root");
    }
    let case = Case::new();
    std::os::unix::fs::chown(&case.target, Some(1234), Some(4321)).unwrap();
    fs::set_permissions(&case.target, Permissions::from_mode(0o6755)).unwrap();
    case.keeps(|path| {
        let metadata = fs::metadata(path).unwrap();
        (metadata.uid(), metadata.gid(), metadata.mode() & 0o7777)
    });
}

#[test]
fn apply_sets_the_time_of_change_and_revert_brings_the_old_one_back() {
    let case = Case::new();
    let then = SystemTime::UNIX_EPOCH + Duration::new(1_000_000_000, 123_456_789);
    File::options().write(true).open(&case.target).unwrap().set_modified(then).unwrap();
    let before = SystemTime::now() - Duration::from_secs(2);
    case.apply().unwrap();
    assert!(fs::metadata(&case.target).unwrap().modified().unwrap() > before);
    case.revert().unwrap();
    assert_eq!(fs::metadata(&case.target).unwrap().modified().unwrap(), then);
}

#[test]
fn extended_attributes_stay() {
    let test = "extended_attributes_stay";
    let case = Case::new();
    let target = case.target.to_str().unwrap();
    if run("setfattr", &["-n", "user.note", "-v", "kept", target]).is_none() {
        return skip(test, "setfattr is missing or the file system has no extended attributes");
    }
    run("setfattr", &["-n", "user.empty", "-v", "", target]).unwrap();
    case.keeps(|path| {
        let dump = run("getfattr", &["-d", "-m", "user", "--absolute-names", path.to_str().unwrap()]).unwrap();
        assert!(dump.contains("user.note=\"kept\"") && dump.contains("user.empty"), "{dump}");
        dump
    });
}

#[test]
fn access_control_lists_stay() {
    let case = Case::new();
    let target = case.target.to_str().unwrap();
    if run("setfacl", &["-m", "u:1234:rw,g:4321:r,m::rw", target]).is_none() {
        return skip("access_control_lists_stay", "setfacl is missing or the file system has no lists");
    }
    case.keeps(|path| {
        let list = run("getfacl", &["-n", "--absolute-names", path.to_str().unwrap()]).unwrap();
        assert!(list.contains("user:1234:rw-"), "{list}");
        list
    });
}

#[test]
fn a_folder_that_gives_its_files_a_list_gives_the_target_none() {
    let test = "a_folder_that_gives_its_files_a_list_gives_the_target_none";
    let case = Case::new();
    if run("setfacl", &["-d", "-m", "u:1234:rwx", case.folder.root().to_str().unwrap()]).is_none() {
        return skip(test, "setfacl is missing or the file system has no lists");
    }
    case.keeps(|path| run("getfacl", &["-n", "--absolute-names", path.to_str().unwrap()]).unwrap());
}

#[test]
fn a_link_stays_and_its_file_is_patched() {
    let case = Case::new();
    let elsewhere = Folder::new();
    let link = elsewhere.path("link");
    symlink(elsewhere.path("hop"), &link).unwrap();
    symlink(&case.target, elsewhere.path("hop")).unwrap();
    apply(&case.patch, &link, &ApplyOptions::default(), &Quiet).unwrap();
    case.is_new();
    assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
    assert_eq!(elsewhere.names(), ["hop", "link"]);
    revert(&case.patch, &link, &RevertOptions::default(), &Quiet).unwrap();
    case.is_old();
}

#[test]
fn what_is_no_file_is_refused() {
    let case = Case::new();
    let folder = Folder::new();
    symlink("loop", folder.path("loop")).unwrap();
    symlink("nowhere", folder.path("dangling")).unwrap();
    fs::create_dir(folder.path("folder")).unwrap();
    assert!(run("mkfifo", &[folder.path("pipe")]).is_some());
    let _socket = std::os::unix::net::UnixListener::bind(folder.path("socket")).unwrap();
    let names = folder.names();
    for (name, kind) in [
        ("loop", ErrorKind::Io),
        ("dangling", ErrorKind::Io),
        ("missing", ErrorKind::Io),
        ("folder", ErrorKind::WrongInput),
        ("pipe", ErrorKind::WrongInput),
        ("socket", ErrorKind::WrongInput),
    ] {
        let target = folder.path(name);
        let error = apply(&case.patch, &target, &ApplyOptions::default(), &Quiet).unwrap_err();
        assert_eq!(error.kind, kind, "{name}: {error}");
        let error = revert(&case.patch, &target, &RevertOptions::default(), &Quiet).unwrap_err();
        assert_eq!(error.kind, kind, "{name}: {error}");
        assert_eq!(folder.names(), names, "{name}");
    }
    let device = Path::new("/dev/null");
    let error = apply(&case.patch, device, &ApplyOptions::default(), &Quiet).unwrap_err();
    assert_eq!(error.kind, ErrorKind::WrongInput, "{error}");
    // As a patch, neither: and opening a pipe must not wait for somebody to write to it.
    for name in ["folder", "socket", "missing"] {
        let error = apply(&folder.path(name), &case.target, &ApplyOptions::default(), &Quiet).unwrap_err();
        assert_eq!(error.kind, ErrorKind::Io, "{name}: {error}");
    }
    case.is_old();
}

#[test]
fn a_pipe_in_place_of_a_patch_is_refused_at_once() {
    let case = Case::new();
    let pipe = case.folder.path("pipe");
    assert!(run("mkfifo", &[&pipe]).is_some());
    let (done, waiting) = std::sync::mpsc::channel();
    let (patch, target) = (pipe.clone(), case.target.clone());
    let worker = std::thread::spawn(move || {
        let result = apply(&patch, &target, &ApplyOptions::default(), &Quiet).map(|_| ()).map_err(|error| error.kind);
        let _ = done.send(result);
    });
    let found = waiting.recv_timeout(Duration::from_secs(3));
    if found.is_err() {
        // Lets the other one go before the test fails.
        drop(OpenOptions::new().write(true).open(&pipe));
    }
    worker.join().unwrap();
    assert_eq!(found, Ok(Err(ErrorKind::Io)));
}

#[test]
fn other_names_of_the_file_are_named_before_they_are_left_behind() {
    let case = Case::new();
    let other = case.folder.path("other");
    fs::hard_link(&case.target, &other).unwrap();
    let error = case.apply().unwrap_err();
    assert_eq!(error.kind, ErrorKind::Refused, "{error}");
    assert!(error.hint.as_deref().is_some_and(|hint| hint.contains("--break-hard-links")), "{error:?}");
    case.is_old();
    let options = ApplyOptions { hard_links: HardLinks::Break, ..ApplyOptions::default() };
    apply(&case.patch, &case.target, &options, &Quiet).unwrap();
    case.is_new();
    assert!(fs::read(&other).unwrap() == case.old);
}

#[test]
fn an_immutable_file_is_refused_with_the_way_out() {
    let test = "an_immutable_file_is_refused_with_the_way_out";
    for flag in ["i", "a"] {
        let case = Case::new();
        let target = case.target.to_str().unwrap();
        if run("chattr", &[&format!("+{flag}"), target]).is_none() {
            return skip(test, "needs root, chattr and a file system with flags");
        }
        let result = case.apply();
        run("chattr", &[&format!("-{flag}"), target]).unwrap();
        let error = result.unwrap_err();
        assert_eq!(error.kind, ErrorKind::Io, "{error}");
        assert!(error.hint.as_deref().is_some_and(|hint| hint.contains("chattr")), "{error:?}");
        case.is_old();
        assert_eq!(case.folder.names(), ["app", "fix.pwp"]);
        case.apply().unwrap();
    }
}

struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn a_running_program_is_patched_and_goes_on() {
    let Ok(program) = fs::read("/bin/sleep") else {
        return skip("a_running_program_is_patched_and_goes_on", "there is no /bin/sleep");
    };
    let mut new = program.clone();
    new.extend_from_slice(b"patched");
    let case = Case::of(program, new);
    fs::set_permissions(&case.target, Permissions::from_mode(0o755)).unwrap();
    let start = || {
        // Another thread that forks just now may hold the file open for writing.
        for _ in 0..50 {
            match Command::new(&case.target).arg("60").spawn() {
                Err(error) if error.kind() == std::io::ErrorKind::ExecutableFileBusy => {
                    std::thread::sleep(Duration::from_millis(20));
                }
                other => return Running(other.unwrap()),
            }
        }
        panic!("the program stays busy");
    };
    let mut before = start();
    case.apply().unwrap();
    case.is_new();
    assert!(before.0.try_wait().unwrap().is_none(), "the process has ended");
    let mut after = start();
    case.revert().unwrap();
    case.is_old();
    assert!(before.0.try_wait().unwrap().is_none() && after.0.try_wait().unwrap().is_none());
}

/// Unmounts when dropped.
struct Mount(std::path::PathBuf);

impl Mount {
    fn new(args: &[&OsStr], at: &Path) -> Option<Self> {
        let args: Vec<&OsStr> = args.iter().copied().chain([at.as_os_str()]).collect();
        run("mount", &args).map(|_| Self(at.to_owned()))
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        let _ = run("umount", &[&self.0]);
    }
}

#[test]
fn a_mount_point_is_refused() {
    let case = Case::new();
    let real = case.folder.write("real", &case.old);
    let Some(mount) = Mount::new(&["--bind".as_ref(), real.as_os_str()], &case.target) else {
        return skip("a_mount_point_is_refused", "needs root and the right to mount");
    };
    let error = case.apply().unwrap_err();
    assert_eq!(error.kind, ErrorKind::Io, "{error}");
    assert!(error.hint.as_deref().is_some_and(|hint| hint.contains("mount point")), "{error:?}");
    case.is_old();
    assert_eq!(case.folder.names(), ["app", "fix.pwp", "real"]);
    drop(mount);
    case.apply().unwrap();
}

#[test]
fn a_full_disk_is_told_and_nothing_changes() {
    let test = "a_full_disk_is_told_and_nothing_changes";
    let case = Case::of(noise(1, 40_000), noise(2, 50_000));
    let small = case.folder.path("small");
    fs::create_dir(&small).unwrap();
    let Some(_mount) = Mount::new(&["-t", "tmpfs", "-o", "size=64k", "tmpfs"].map(OsStr::new), &small) else {
        return skip(test, "needs root and the right to mount");
    };
    let target = small.join("app");
    fs::write(&target, &case.old).unwrap();
    let error = apply(&case.patch, &target, &ApplyOptions::default(), &Quiet).unwrap_err();
    assert_eq!(error.kind, ErrorKind::Io, "{error}");
    assert!(error.message.contains("free") || error.message.contains("space"), "{error}");
    assert!(error.hint.as_deref().is_some_and(|hint| hint.contains("nothing was changed")), "{error:?}");
    assert!(fs::read(&target).unwrap() == case.old);
    assert_eq!(fs::read_dir(&small).unwrap().count(), 1);
    // Enough for the new file, too little for the undo record as well.
    run("mount", &["-o", "remount,size=104k", small.to_str().unwrap()]).unwrap();
    let error = apply(&case.patch, &target, &ApplyOptions::default(), &Quiet).unwrap_err();
    assert_eq!(error.kind, ErrorKind::Io, "{error}");
    assert!(fs::read(&target).unwrap() == case.old);
    assert_eq!(fs::read_dir(&small).unwrap().count(), 1);
    // The result may stand on another file system.
    let options = ApplyOptions { output: Some(case.folder.path("out")), ..ApplyOptions::default() };
    apply(&case.patch, &target, &options, &Quiet).unwrap();
    assert!(fs::read(case.folder.path("out")).unwrap() == case.new);
    run("mount", &["-o", "remount,size=1m", small.to_str().unwrap()]).unwrap();
    apply(&case.patch, &target, &ApplyOptions::default(), &Quiet).unwrap();
    assert!(fs::read(&target).unwrap() == case.new);
}

#[test]
fn a_folder_locked_by_another_process_is_busy() {
    let case = Case::new();
    let state = case.folder.path(".patchwright");
    fs::create_dir(&state).unwrap();
    let lock = File::create(state.join("lock")).unwrap();
    lock.lock().unwrap();
    let error = case.apply().unwrap_err();
    assert_eq!(error.kind, ErrorKind::Busy, "{error}");
    case.is_old();
    drop(lock);
    case.apply().unwrap();
    case.is_new();
}

#[test]
fn of_many_calls_at_a_time_one_applies_and_one_reverts() {
    for round in 0..5 {
        let case = Case::new();
        let together = |work: &(dyn Fn() -> bool + Sync)| {
            std::thread::scope(|scope| {
                let workers: Vec<_> = (0..4).map(|_| scope.spawn(work)).collect();
                workers.into_iter().filter(|_| true).map(|worker| worker.join().unwrap()).filter(|did| *did).count()
            })
        };
        assert_eq!(together(&|| case.apply().unwrap().outcome == ApplyOutcome::Applied), 1, "round {round}");
        case.is_new();
        assert_eq!(together(&|| case.revert().unwrap().outcome == RevertOutcome::Reverted), 1, "round {round}");
        case.is_old();
        assert_eq!(case.folder.names(), ["app", "fix.pwp"]);
    }
}

/// Whoever may write to the folder must not have us write elsewhere.
#[test]
fn a_state_folder_that_others_own_or_write_to_is_refused() {
    for (owner, mode) in [(Some(65534), 0o755), (None, 0o777), (None, 0o775)] {
        if owner.is_some() && !is_root() {
            skip("a_state_folder_that_others_own_or_write_to_is_refused", "needs root");
            continue;
        }
        let case = Case::new();
        let state = case.folder.path(".patchwright");
        fs::create_dir(&state).unwrap();
        fs::set_permissions(&state, Permissions::from_mode(mode)).unwrap();
        std::os::unix::fs::chown(&state, owner, owner).unwrap();
        let error = case.apply().unwrap_err();
        assert_eq!(error.kind, ErrorKind::Refused, "{error}");
        case.is_old();
    }
}

#[test]
fn a_state_folder_that_is_a_link_is_refused() {
    for name in ["dir", "missing"] {
        let case = Case::new();
        let elsewhere = Folder::new();
        fs::create_dir(elsewhere.path("dir")).unwrap();
        symlink(elsewhere.path(name), case.folder.path(".patchwright")).unwrap();
        let error = case.apply().unwrap_err();
        assert_eq!(error.kind, ErrorKind::Io, "{error}");
        case.is_old();
        assert_eq!(fs::read_dir(elsewhere.path("dir")).unwrap().count(), 0);
        assert_eq!(elsewhere.names(), ["dir"]);
    }
    // The lock, the stage and the records likewise.
    for name in ["lock", "stage", "files"] {
        let case = Case::new();
        let elsewhere = Folder::new();
        elsewhere.write("victim", b"precious");
        fs::create_dir(case.folder.path(".patchwright")).unwrap();
        let to = if name == "lock" { elsewhere.path("victim") } else { elsewhere.root().to_owned() };
        symlink(to, case.folder.path(".patchwright").join(name)).unwrap();
        let error = case.apply().unwrap_err();
        assert_eq!(error.kind, ErrorKind::Io, "{name}: {error}");
        case.is_old();
        assert_eq!(elsewhere.names(), ["victim"], "{name}");
        assert_eq!(fs::read(elsewhere.path("victim")).unwrap(), b"precious");
    }
}

#[test]
fn read_only_file_systems_say_so() {
    let case = Case::new();
    let mounted = case.folder.path("mounted");
    fs::create_dir(&mounted).unwrap();
    let Some(_mount) = Mount::new(&["-t", "tmpfs", "tmpfs"].map(OsStr::new), &mounted) else {
        return skip("read_only_file_systems_say_so", "needs root and the right to mount");
    };
    let target = mounted.join("app");
    fs::write(&target, &case.old).unwrap();
    run("mount", &["-o", "remount,ro", mounted.to_str().unwrap()]).unwrap();
    let error = apply(&case.patch, &target, &ApplyOptions::default(), &Quiet).unwrap_err();
    assert_eq!(error.kind, ErrorKind::Io, "{error}");
    assert!(error.hint.as_deref().is_some_and(|hint| hint.contains("read-only")), "{error:?}");
    // Looking needs no right to write.
    assert!(verify(&case.patch, Some(&target)).is_ok());
}

/// The environment variable that makes the test binary work as another user.
const AS_NOBODY: &str = "PATCHWRIGHT_TEST_AS_NOBODY";

/// What happens without rights: a read-only folder, an unreadable patch. Runs itself again as a user without any.
#[test]
fn without_rights_the_error_says_so_and_nothing_changes() {
    let test = "without_rights_the_error_says_so_and_nothing_changes";
    if let Some(root) = std::env::var_os(AS_NOBODY) {
        return without_rights(Path::new(&root));
    }
    if !is_root() {
        return skip(test, "needs root, to become nobody");
    }
    let case = Case::new();
    let open = Permissions::from_mode(0o755);
    for path in [case.folder.root(), &case.target, &case.patch] {
        fs::set_permissions(path, open.clone()).unwrap();
    }
    fs::copy(&case.patch, case.folder.path("secret.pwp")).unwrap();
    fs::set_permissions(case.folder.path("secret.pwp"), Permissions::from_mode(0o600)).unwrap();
    let program = case.folder.path("test");
    fs::copy(std::env::current_exe().unwrap(), &program).unwrap();
    fs::set_permissions(&program, open).unwrap();
    let output = Command::new("setpriv")
        .args(["--reuid=65534", "--regid=65534", "--clear-groups", "--"])
        .arg(&program)
        .args(["--exact", &format!("attributes::{test}"), "--nocapture"])
        .env(AS_NOBODY, case.folder.root())
        .current_dir("/")
        .output();
    let Ok(output) = output else { return skip(test, "needs setpriv") };
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    case.is_old();
    assert_eq!(case.folder.names(), ["app", "fix.pwp", "secret.pwp", "test"]);
}

fn without_rights(root: &Path) {
    let target = root.join("app");
    for patch in ["fix.pwp", "secret.pwp"] {
        let error = apply(&root.join(patch), &target, &ApplyOptions::default(), &Quiet).unwrap_err();
        assert_eq!(error.kind, ErrorKind::Io, "{patch}: {error}");
        assert!(error.hint.as_deref().is_some_and(|hint| hint.contains("more rights")), "{patch}: {error:?}");
    }
    assert!(verify(&root.join("fix.pwp"), Some(&target)).is_ok());
}

#[test]
fn a_patch_of_permission_bits_alone_applies() {
    let folder = Folder::new();
    for (name, mode) in [("old", 0o644), ("new", 0o755), ("target", 0o644)] {
        fs::create_dir(folder.path(name)).unwrap();
        let file = folder.write(&format!("{name}/run"), b"#!/bin/sh");
        fs::set_permissions(file, Permissions::from_mode(mode)).unwrap();
    }
    let patch = folder.path("fix.pwp");
    diff(&[folder.path("old")], &folder.path("new"), &patch, &DiffOptions::default(), &Quiet).unwrap();
    let report = apply(&patch, &folder.path("target"), &ApplyOptions::default(), &Quiet).unwrap();
    let mode = fs::metadata(folder.path("target/run")).unwrap().mode() & 0o7777;
    assert_eq!((report.outcome, mode), (ApplyOutcome::Applied, 0o755));
}
