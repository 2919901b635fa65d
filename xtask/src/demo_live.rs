//! The second half of the demo: a program that may not stop.
//!
//! A server of our own (`demo_server.c`) runs from a file with a customer's stamp in it, with clients that ask without a
//! break and check every answer. One patch takes the file *and* the process to the next version and back. A request that
//! fails, an answer of the wrong version, a connection that is lost, a stamp that is not kept: each ends the demo.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use crate::Result;
use crate::demo::stamp_place;
use crate::load::{Answer, Client, Load, Wanted};
use crate::run::{read, root, sha256};
use crate::stage::{STAMP_LEN, Stage, chapter, host, overwrite, promise, stamp};

const CLIENTS: usize = 4;
/// What every client gets answered at least before anything goes on.
const REQUESTS: usize = 5000;
/// An order whose sum does not fit 32 bits.
const LARGE: u32 = 3_000_000;

pub(crate) fn tell(bin: &Path) -> Result {
    if !cfg!(all(target_os = "linux", target_arch = "x86_64")) {
        println!("(Processes are patched on Linux for x86-64 only; this part of the demo is left out.)\n");
        return Ok(());
    }
    let stage = Stage::new("server", &["vendor/1", "vendor/2", "customer"], bin)?;
    let stamp = stamp(&host());

    chapter(
        "A server may not stop",
        "priced tells prices, in 32 bits; version 1.1 counts in 64. Both are built so that functions can be redirected.",
    );
    std::fs::copy(root().join("xtask/src/demo_server.c"), stage.dir().join("vendor/priced.c"))?;
    for (version, define) in [("1", ""), ("2", " -DNEWER")] {
        let flags = "-O2 -g -pthread";
        stage.type_in(
            &format!("patchwright cc --quiet -- gcc {flags}{define} vendor/priced.c -o vendor/{version}/priced"),
            0,
        )?;
    }
    let (old, new) = (read(&stage.dir().join("vendor/1/priced"))?, read(&stage.dir().join("vendor/2/priced"))?);
    let [old_at, new_at] = [&old, &new].map(|file| stamp_place(file));
    let (Some(old_at), Some(new_at)) = (old_at, new_at) else {
        return Err("broken promise: priced has room for a stamp".into());
    };
    let customer = stage.dir().join("customer/priced");
    std::fs::copy(stage.dir().join("vendor/1/priced"), &customer)?;
    overwrite(&customer, old_at, stamp.as_bytes())?;
    let before = sha256(&customer)?;

    let mut server = Server::start(&customer)?;
    println!("$ customer/priced &\n[process {}, port {}]\n", server.pid(), server.port);
    let mut desk = Line::open(server.port)?;
    let (small, large) = (order(2, false), order(LARGE, false));
    promise(desk.ask("price 2")? == small, &format!("asked for 2 pieces it says \"{small}\""))?;
    promise(
        desk.ask(&format!("price {LARGE}"))? == large,
        &format!("for {LARGE} it says \"{large}\", which is wrong"),
    )?;
    promise(desk.ask("licence")? == stamp.trim_end(), "it knows the stamp of its file")?;
    let buyers =
        (0..CLIENTS).map(|_| Ok(Buyer { line: Line::open(server.port)?, orders: 0 })).collect::<Result<_>>()?;
    let load = Load::start(buyers);
    load.everyone_asks(REQUESTS)?;
    println!("{CLIENTS} clients ask without a break now, and check every answer.\n");

    chapter("One patch, for the file and for the process", "It is made without the customer's file.");
    let retain = format!("--retain {old_at:#x}+{STAMP_LEN}={new_at:#x}");
    stage.type_in(&format!("patchwright diff --hot vendor/1/priced vendor/2/priced -o priced.pwp {retain}"), 0)?;
    stage.type_in("patchwright inspect priced.pwp", 0)?;

    chapter("It is applied under load", "The process is patched at one instant, the file in one step.");
    load.expect(Wanted::Either);
    stage.type_in("patchwright apply priced.pwp customer/priced --running", 0)?;
    load.expect(Wanted::New);
    load.everyone_asks(REQUESTS)?;
    let mut promised = new;
    promised[new_at..new_at + STAMP_LEN].copy_from_slice(stamp.as_bytes());
    promise(read(&customer)? == promised, "the file is version 1.1 with the customer's stamp")?;
    stage.type_in("customer/priced --version", 0)?.says("priced 1.1\n")?;
    server.check("the process has not ended, and its number is the same")?;
    let large = order(LARGE, true);
    promise(desk.ask(&format!("price {LARGE}"))? == large, &format!("for {LARGE} pieces it says \"{large}\" now"))?;
    promise(desk.ask("licence")? == stamp.trim_end(), "it still knows the stamp")?;
    let answer = desk.ask("large")?;
    let seen: Option<u64> = answer.strip_suffix(" large orders").and_then(|count| count.parse().ok());
    promise(seen.is_some_and(|seen| seen > 0), &format!("what is new answers as well: \"{answer}\""))?;
    let status = stage.type_in(&format!("patchwright status customer/priced --pid {}", server.pid()), 0)?.stdout;
    promise(status.contains("active"), "status says that the process has the patch")?;

    chapter("And taken back under load", "The old code has never gone away.");
    load.expect(Wanted::Either);
    stage.type_in("patchwright revert priced.pwp customer/priced --running", 0)?;
    load.expect(Wanted::Old);
    load.everyone_asks(REQUESTS)?;
    promise(sha256(&customer)? == before, "the file is the one from before, to the byte")?;
    stage.type_in("customer/priced --version", 0)?.says("priced 1.0\n")?;
    let large = order(LARGE, false);
    promise(desk.ask(&format!("price {LARGE}"))? == large, "the process answers as version 1.0 again")?;
    promise(desk.ask("large")? == "unknown request", "and does not know what was new")?;
    let status = stage.type_in(&format!("patchwright status customer/priced --pid {}", server.pid()), 0)?.stdout;
    promise(!status.contains("active"), "status says that the patch is not in use")?;

    let (tally, _) = load.stop()?;
    // The desk asked for four prices.
    let (connections, prices) = (CLIENTS + 1, tally.asked + 4);
    server.check("the process is still the one that was started")?;
    promise(
        desk.ask("served")? == format!("{connections} {prices}"),
        &format!(
            "every one of the {connections} connections lasted, and the server counts the requests that the clients do"
        ),
    )?;
    println!(
        "{} requests of {CLIENTS} clients, each answered and right: {} by version 1.0, {} by version 1.1; the longest took {:.1} ms.\n",
        tally.asked,
        tally.old,
        tally.new,
        tally.longest.as_secs_f64() * 1e3
    );
    promise(tally.old > 0 && tally.new > 0, "both versions answered under load")
}

/// What a version says to an order.
fn order(pieces: u32, new: bool) -> String {
    if new { format!("1.1 {}", u64::from(pieces) * 1995) } else { format!("1.0 {}", pieces.wrapping_mul(1995)) }
}

/// The process, ended when this goes.
struct Server {
    child: Child,
    port: u16,
}

impl Server {
    fn start(file: &Path) -> Result<Self> {
        let mut child = Command::new(file).stdout(Stdio::piped()).spawn()?;
        let mut line = String::new();
        if let Some(out) = child.stdout.take() {
            BufReader::new(out).read_line(&mut line)?;
        }
        let mut server = Server { child, port: 0 };
        server.port = line.trim().parse().map_err(|_| format!("the server did not start: {line:?}"))?;
        Ok(server)
    }

    fn pid(&self) -> u32 {
        self.child.id()
    }

    fn check(&mut self, what: &str) -> Result {
        promise(self.child.try_wait()?.is_none(), what)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// One connection, on which a line is answered by a line.
struct Line(BufReader<TcpStream>);

impl Line {
    fn open(port: u16) -> Result<Self> {
        let stream = TcpStream::connect(("127.0.0.1", port))?;
        // A request that hangs is a request that fails.
        stream.set_read_timeout(Some(Duration::from_secs(10)))?;
        stream.set_nodelay(true)?;
        Ok(Line(BufReader::new(stream)))
    }

    fn ask(&mut self, request: &str) -> Result<String> {
        self.0.get_mut().write_all(format!("{request}\n").as_bytes())?;
        let mut answer = String::new();
        match self.0.read_line(&mut answer) {
            Ok(0) => Err(format!("broken promise: {request:?} was not answered").into()),
            Ok(_) => Ok(answer.trim_end().into()),
            Err(error) => Err(format!("broken promise: {request:?} failed: {error}").into()),
        }
    }
}

/// Orders of any size, one after the other.
struct Buyer {
    line: Line,
    orders: usize,
}

impl Client for Buyer {
    fn ask(&mut self) -> Result<Answer> {
        let pieces = [1, 7, LARGE, u32::MAX][self.orders % 4];
        self.orders += 1;
        match self.line.ask(&format!("price {pieces}"))? {
            answer if answer == order(pieces, false) => Ok(Answer::Old),
            answer if answer == order(pieces, true) => Ok(Answer::New),
            answer => Err(format!("broken promise: an order of {pieces} pieces got {answer:?}").into()),
        }
    }
}
