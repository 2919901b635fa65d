//! Running processes from the command line: what is printed, and what is left when the command is killed.

use std::fs;
use std::io::Read as _;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use crate::harness::{Ran, Sandbox};

const SOURCE: &str = r#"
#include <stdio.h>
#include <unistd.h>
#ifdef NEW
#define WORD "new"
#else
#define WORD "old"
#endif
__attribute__((noinline)) const char *first(void) { usleep(10); return WORD; }
__attribute__((noinline)) const char *second(void) { usleep(10); return WORD; }
__attribute__((noinline)) const char *third(void) { usleep(10); return WORD; }
int main(int count, char **arguments) {
    for (;;) {
        FILE *state = fopen(arguments[count - 1], "w");
        fprintf(state, "%s %s %s", first(), second(), third());
        fclose(state);
        usleep(500);
    }
}
"#;

struct Killed(Child);

impl Drop for Killed {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Both versions, the patch, and a process that writes what it is to the file `state`; nothing where children cannot be
/// traced.
fn scene(sandbox: &Sandbox) -> Option<Killed> {
    let scope = fs::read_to_string("/proc/sys/kernel/yama/ptrace_scope").unwrap_or_default();
    if !matches!(scope.trim(), "" | "0") && fs::read_to_string("/proc/self/loginuid").is_ok_and(|id| id.trim() != "0") {
        if let Some(path) = std::env::var_os("PATCHWRIGHT_SKIPS") {
            let line = format!("skipped: live: kernel.yama.ptrace_scope is {}\n", scope.trim());
            let old = fs::read(&path).unwrap_or_default();
            fs::write(path, [old, line.into_bytes()].concat()).unwrap();
        }
        return None;
    }
    sandbox.write("app.c", SOURCE);
    for (output, define) in [("old", "-DOLD"), ("new", "-DNEW")] {
        let mut gcc = Command::new("gcc");
        gcc.args(["-O2", "-g", "-ffunction-sections", "-Wl,--emit-relocs", define, "-o"]);
        let ran = Ran::of(gcc.arg(sandbox.path(output)).arg(sandbox.path("app.c")));
        assert_eq!(ran.code, 0, "{ran:?}");
    }
    fs::copy(sandbox.path("old"), sandbox.path("app")).unwrap();
    let child = Command::new(sandbox.path("app")).arg(sandbox.path("state")).stdin(Stdio::null()).spawn().unwrap();
    let running = Killed(child);
    wait_for(sandbox, "old old old");
    Some(running)
}

/// Waits until the process says that it is this.
fn wait_for(sandbox: &Sandbox, expect: &str) {
    for _ in 0..3000 {
        let mut text = String::new();
        if let Ok(mut file) = fs::File::open(sandbox.path("state")) {
            let _ = file.read_to_string(&mut text);
        }
        if text == expect {
            return;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    panic!("the process does not become {expect}: {:?}", fs::read_to_string(sandbox.path("state")));
}

#[test]
fn one_command_changes_file_and_process_and_another_takes_it_back() {
    let sandbox = Sandbox::new();
    let Some(running) = scene(&sandbox) else { return };
    let pid = running.0.id();
    let made = sandbox.ok("diff old new --hot -o fix.pwp");
    assert!(made.stdout.contains("For running processes of build "), "{made:?}");
    assert!(sandbox.ok("inspect fix.pwp").stdout.contains("For running processes of build "));
    let tried = sandbox.ok(&format!("apply fix.pwp app --pid {pid} --dry-run"));
    assert!(tried.stdout.ends_with(&format!("process {pid} (app) would be changed\n")), "{tried:?}");
    let done = sandbox.ok(&format!("apply fix.pwp app --pid {pid} --pause 500"));
    let line = done.stdout.lines().last().unwrap();
    let expect = format!("process {pid} (app) behaves like the new version now: 3 functions, stood still for ");
    assert!(line.starts_with(&expect) && line.ends_with(" ms"), "{done:?}");
    wait_for(&sandbox, "new new new");
    assert_eq!(sandbox.read("app"), sandbox.read("new"));
    let (_, status) = sandbox.json(&format!("status app --pid {pid}"));
    assert_eq!(status["processes"][0]["patches"][0]["state"], "active");
    assert_eq!(status["applied"][0]["id"], status["processes"][0]["patches"][0]["id"]);
    let (code, again) = sandbox.json(&format!("apply fix.pwp app --pid {pid}"));
    assert_eq!(
        (code, again["outcome"].as_str(), again["processes"][0]["outcome"].as_str()),
        (0, Some("already-new"), Some("already-applied"))
    );
    let back = sandbox.ok(&format!("revert fix.pwp app --pid {pid} --pause 500"));
    assert!(back.stdout.contains(" runs its old code again: 3 functions"), "{back:?}");
    wait_for(&sandbox, "old old old");
    assert_eq!(sandbox.read("app"), sandbox.read("old"));
}

/// Whenever somebody ends the command, the process runs on, and the next call works. SIGKILL is another matter: see the
/// limits in the guide.
#[test]
fn a_command_that_is_ended_leaves_a_process_that_the_next_one_can_patch() {
    let sandbox = Sandbox::new();
    let Some(mut running) = scene(&sandbox) else { return };
    let pid = running.0.id();
    sandbox.ok("diff old new --hot -o fix.pwp");
    for round in 0..30_u64 {
        let verb = if round % 2 == 0 { "apply" } else { "revert" };
        let mut child = sandbox
            .command(&format!("{verb} fix.pwp app --hot-only --pause 500 --pid {pid}"))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        std::thread::sleep(Duration::from_micros(700 * round));
        let signal = ["-INT", "-TERM", "-HUP"][usize::try_from(round % 3).unwrap()];
        assert!(Command::new("kill").args([signal, &child.id().to_string()]).status().unwrap().success());
        child.wait().unwrap();
        assert!(running.0.try_wait().unwrap().is_none(), "the process died when its patcher was ended");
    }
    sandbox.ok(&format!("apply fix.pwp app --hot-only --pause 500 --pid {pid}"));
    wait_for(&sandbox, "new new new");
    sandbox.ok(&format!("revert fix.pwp app --hot-only --pause 500 --pid {pid}"));
    wait_for(&sandbox, "old old old");
}

#[test]
fn refusals_say_what_to_do() {
    let sandbox = Sandbox::new();
    let Some(running) = scene(&sandbox) else { return };
    let pid = running.0.id();
    sandbox.ok("diff old new --hot -o fix.pwp");
    sandbox.ok("diff old new -o cold.pwp");
    for (line, code, expect) in [
        (format!("apply cold.pwp app --pid {pid}"), 4, "the patch has nothing for running processes"),
        ("apply fix.pwp app --hot-only".to_owned(), 2, "neither the file nor any process is to be patched"),
        ("apply fix.pwp app --pid 2000000000".to_owned(), 4, "process 2000000000 runs no build that the patch knows"),
        ("status --pid 2000000000".to_owned(), 4, "there is no process 2000000000"),
        ("diff . . --hot -o x.pwp".to_owned(), 2, "hot parts are for single files"),
        ("diff old new --hot --format pa19 -o x.pwp".to_owned(), 2, "only a patch of our own format"),
        ("diff app.c old --hot -o x.pwp".to_owned(), 3, "app.c"),
    ] {
        let ran = sandbox.run(&line);
        assert_eq!(ran.code, code, "{line}: {ran:?}");
        assert!(ran.stderr.contains(expect), "{line}: {ran:?}");
    }
    assert_eq!(sandbox.read("app"), sandbox.read("old"));
    assert!(!sandbox.path("x.pwp").exists());
}
