//! Redis: our clients and its own benchmark drive it; CVE-2024-31228 and CVE-2024-31449 are fixed while it runs.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use super::process::{Server, Tool, free_port};
use super::source::{Change, Edit, Package};
use super::{Bench, Recipe, holds, path_of};
use crate::Result;
use crate::load::{Answer, Client, Load, Wanted};

/// Stack overflows: in matching of long patterns, and in a function of its Lua library.
const FIX: &str = "0001-Apply-security-fixes-for-CVEs-1113.patch";

const RECIPE: Recipe = Recipe {
    package: Package { name: "redis", before: Some(FIX) },
    configure: &[],
    make: &["make -C src MALLOC=libc CC=\"$CC\" redis-server redis-benchmark"],
    program: "src/redis-server",
};

/// Functions of every request, a text that clients see, a new variable, a new function.
const EDITS: &[Edit] = &[
    Edit {
        file: "src/t_string.c",
        old: "        addReplyError(c,\"increment or decrement would overflow\");",
        new: "        addReplyError(c,\"increment or decrement would leave 64 bits\");",
    },
    Edit {
        file: "src/server.c",
        old: "void timeCommand(client *c) {\n    struct timeval tv;\n",
        new: "static long long timesTold;\n\
              __attribute__((noinline)) static long long countTime(void) { return ++timesTold; }\n\n\
              void timeCommand(client *c) {\n    struct timeval tv;\n",
    },
    Edit {
        file: "src/server.c",
        old: "    addReplyArrayLen(c,2);\n    addReplyBulkLongLong(c,tv.tv_sec);\n    addReplyBulkLongLong(c,tv.tv_usec);\n",
        new: "    addReplyArrayLen(c,3);\n    addReplyBulkLongLong(c,tv.tv_sec);\n    addReplyBulkLongLong(c,tv.tv_usec);\n\
              \u{20}   addReplyBulkLongLong(c,countTime());\n",
    },
    // Every command passes these.
    Edit {
        file: "src/server.c",
        old: "int processCommand(client *c) {\n",
        new: "static unsigned long long commandsSeen;\n\nint processCommand(client *c) {\n    commandsSeen++;\n",
    },
    Edit {
        file: "src/networking.c",
        old: "void addReply(client *c, robj *obj) {\n    if (prepareClientToWrite(c) != C_OK) return;\n",
        new: "static unsigned long long repliesSeen;\n\nvoid addReply(client *c, robj *obj) {\n\
              \u{20}   if (prepareClientToWrite(c) != C_OK) return;\n    repliesSeen++;\n",
    },
    Edit {
        file: "src/db.c",
        old: "robj *lookupKey(redisDb *db, robj *key, int flags) {\n",
        new: "static unsigned long long lookups;\n\nrobj *lookupKey(redisDb *db, robj *key, int flags) {\n    lookups++;\n",
    },
];

const CLIENTS: usize = 4;

pub(super) fn run(bench: &Bench) -> Result {
    let old = bench.build(&RECIPE, "old", &Change::Nothing)?;
    let edited = bench.build(&RECIPE, "edited", &Change::Edits(EDITS))?;
    let fixed = bench.build(&RECIPE, "fixed", &Change::Patch(FIX))?;
    let dir = bench.dir("redis");
    under_load(bench, &old, &Tool::diff(&bench.bin, &old, &edited, &dir.join("edited.pwp"))?)?;
    vulnerability(bench, &old, &Tool::diff(&bench.bin, &old, &fixed, &dir.join("fixed.pwp"))?)
}

fn start(bench: &Bench, program: &Path) -> Result<Server> {
    let dir = bench.fresh("redis")?;
    let port = free_port()?;
    // It forks every second to save what it holds, and has threads that read, write and wait in loops.
    let args = format!(
        "--port {port} --bind 127.0.0.1 --dir {} --save 1 1 --io-threads 2 --io-threads-do-reads yes --daemonize no",
        path_of(&dir)
    );
    let args: Vec<String> = args.split(' ').map(String::from).collect();
    Server::start(program, &args, &dir, port)
}

fn under_load(bench: &Bench, program: &Path, tool: &Tool) -> Result {
    let mut server = start(bench, program)?;
    let pids = server.pids(false);
    let mut desk = Connection::open(server.port)?;
    let clients = (0..CLIENTS).map(|number| Visitor::open(server.port, number)).collect::<Result<Vec<_>>>()?;
    desk.ask(&["CONFIG", "RESETSTAT"])?;
    let load = Load::start(clients);
    let benchmark = Benchmark::start(program, server.port);
    let rounds = bench.rounds(tool, &mut server, &pids, &load);
    load.expect(Wanted::Either);
    let (tally, clients) = load.stop()?;
    let passes = benchmark.stop()?;
    rounds?.tell(&tally, pids.len())?;
    holds(passes > 0, &format!("redis-benchmark saw no error in {passes} passes"))?;

    let counters = desk.ask(&["INFO", "commandstats"])?.text();
    let sum = |count: fn(&Visitor) -> usize| clients.iter().map(count).sum::<usize>();
    let get = sum(|client| client.gets);
    let counted = |name: &str, field: &str| {
        let line = counters.lines().find_map(|line| line.strip_prefix(&format!("cmdstat_{name}:")))?;
        line.split(',').find_map(|pair| pair.strip_prefix(&format!("{field}="))?.parse::<usize>().ok())
    };
    holds(counted("get", "calls") == Some(get), &format!("redis counts the {get} GETs that the clients count"))?;
    let (times, overflows) = (sum(|client| client.times), sum(|client| client.overflows));
    holds(counted("time", "calls") == Some(times), &format!("and the {times} TIMEs"))?;
    holds(counted("incr", "failed_calls") == Some(overflows), &format!("and the {overflows} INCRs that overflow"))?;
    let told = sum(|client| client.new_times);
    let last = clients.iter().map(|client| client.last_count).max().unwrap_or(0);
    holds(usize::try_from(last) == Ok(told), &format!("the new variable counted {told} calls over all rounds"))
}

/// The exploits of the advisories crash the server of before, and not the one that is patched while it runs.
fn vulnerability(bench: &Bench, program: &Path, tool: &Tool) -> Result {
    let mut twin = start(bench, program)?;
    let told = attack(twin.port);
    let end = twin.end_of(Duration::from_secs(60))?;
    let Some(end) = end else { return Err(format!("the twin survived CVE-2024-31228: {told:?}").into()) };
    println!("  a twin without the fix: {end}");
    drop(twin);

    let mut server = start(bench, program)?;
    let pids = server.pids(false);
    let clients = (0..CLIENTS).map(|number| Visitor::open(server.port, number)).collect::<Result<Vec<_>>>()?;
    let load = Load::start(clients);
    load.everyone_asks(50)?;
    tool.apply(&pids)?;
    let told = attack(server.port)?;
    holds(told == [Reply::Array(0), Reply::Bulk(Some("0000FFFF".into()))], "the patched server answers both exploits")?;
    load.everyone_asks(50)?;
    load.stop()?;
    holds(server.ended()?.is_none(), "it runs on, the same process, and its clients saw nothing")?;
    tool.revert(&pids)?;
    let told = attack(server.port);
    let end = server.end_of(Duration::from_secs(60))?;
    holds(end.is_some(), &format!("with the patch taken back it is as vulnerable as before ({told:?})"))
}

/// What the tests of the fix do, with a pattern that needs more than the stack of a main thread.
fn attack(port: u16) -> Result<[Reply; 2]> {
    let mut connection = Connection::open(port)?;
    let (key, pattern) = ("a".repeat(500_000), "*?".repeat(500_000));
    connection.ask(&["FLUSHALL"])?;
    connection.ask(&["SET", &key, "1"])?;
    let keys = connection.ask(&["KEYS", &pattern])?;
    let hex = connection.ask(&["EVAL", "return bit.tohex(65535, -2147483648)", "0"])?;
    Ok([keys, hex])
}

/// A client that knows every answer beforehand.
struct Visitor {
    connection: Connection,
    number: usize,
    asked: usize,
    gets: usize,
    times: usize,
    new_times: usize,
    /// What the new version counted when it answered last.
    last_count: i64,
    overflows: usize,
}

impl Visitor {
    fn open(port: u16, number: usize) -> Result<Self> {
        let mut connection = Connection::open(port)?;
        connection.ask(&["SET", &format!("full:{number}"), &i64::MAX.to_string()])?;
        Ok(Visitor { connection, number, asked: 0, gets: 0, times: 0, new_times: 0, last_count: 0, overflows: 0 })
    }

    fn is(&mut self, words: &[&str], expected: Reply) -> Result<Answer> {
        let reply = self.connection.ask(words)?;
        if reply == expected {
            Ok(Answer::Both)
        } else {
            Err(format!("{words:?}: {reply:?} instead of {expected:?}").into())
        }
    }
}

impl Client for Visitor {
    fn ask(&mut self) -> Result<Answer> {
        let (round, step) = (self.asked / 6, self.asked % 6);
        self.asked += 1;
        let key = format!("key:{}:{}", self.number, round % 100);
        let value = format!("value {round}").repeat(1 + round % 40);
        match step {
            0 => self.is(&["SET", &key, &value], Reply::Status("OK".into())),
            1 => {
                self.gets += 1;
                self.is(&["GET", &key], Reply::Bulk(Some(value)))
            }
            2 => {
                let count = i64::try_from(round + 1).unwrap_or(i64::MAX);
                self.is(&["INCR", &format!("count:{}", self.number)], Reply::Number(count))
            }
            3 => {
                self.times += 1;
                match self.connection.ask(&["TIME"])? {
                    Reply::Array(2) => Ok(Answer::Old),
                    Reply::Array(3) => {
                        self.new_times += 1;
                        let count = self.connection.last.parse().unwrap_or(0);
                        if count <= self.last_count {
                            return Err(format!("TIME counted {count} after {}", self.last_count).into());
                        }
                        self.last_count = count;
                        Ok(Answer::New)
                    }
                    other => Err(format!("TIME: {other:?}").into()),
                }
            }
            4 => {
                self.overflows += 1;
                match self.connection.ask(&["INCR", &format!("full:{}", self.number)])? {
                    Reply::Error(text) if text == "ERR increment or decrement would overflow" => Ok(Answer::Old),
                    Reply::Error(text) if text == "ERR increment or decrement would leave 64 bits" => Ok(Answer::New),
                    other => Err(format!("INCR: {other:?}").into()),
                }
            }
            _ => {
                self.gets += 1;
                self.is(&["GET", "no such key"], Reply::Bulk(None))
            }
        }
    }
}

/// What Redis says to a command.
#[derive(PartialEq, Eq, Debug)]
enum Reply {
    Status(String),
    Error(String),
    Number(i64),
    Bulk(Option<String>),
    /// How many; the last one is in [`Connection::last`].
    Array(usize),
}

impl Reply {
    fn text(self) -> String {
        match self {
            Reply::Status(text) | Reply::Error(text) | Reply::Bulk(Some(text)) => text,
            Reply::Number(_) | Reply::Bulk(None) | Reply::Array(_) => String::new(),
        }
    }
}

/// A connection in Redis' protocol, version 2.
struct Connection {
    stream: BufReader<TcpStream>,
    last: String,
}

impl Connection {
    fn open(port: u16) -> Result<Self> {
        let stream = TcpStream::connect(("127.0.0.1", port))?;
        stream.set_read_timeout(Some(Duration::from_secs(20)))?;
        stream.set_nodelay(true)?;
        Ok(Connection { stream: BufReader::new(stream), last: String::new() })
    }

    fn ask(&mut self, words: &[&str]) -> Result<Reply> {
        let mut text = format!("*{}\r\n", words.len());
        words.iter().for_each(|word| text += &format!("${}\r\n{word}\r\n", word.len()));
        self.stream.get_mut().write_all(text.as_bytes())?;
        self.reply()
    }

    fn reply(&mut self) -> Result<Reply> {
        let mut line = String::new();
        if self.stream.read_line(&mut line)? == 0 {
            return Err("the connection was closed".into());
        }
        let line = line.trim_end();
        let rest = line.get(1..).unwrap_or_default();
        let number = rest.parse::<i64>();
        match (line.chars().next(), number) {
            (Some('+'), _) => Ok(Reply::Status(rest.into())),
            (Some('-'), _) => Ok(Reply::Error(rest.into())),
            (Some(':'), Ok(number)) => Ok(Reply::Number(number)),
            (Some('$'), Ok(-1)) => Ok(Reply::Bulk(None)),
            (Some('$'), Ok(length)) => {
                let mut bytes = vec![0; usize::try_from(length).map_err(|_| format!("not a length: {line}"))? + 2];
                self.stream.read_exact(&mut bytes)?;
                bytes.truncate(bytes.len() - 2);
                Ok(Reply::Bulk(Some(String::from_utf8_lossy(&bytes).into_owned())))
            }
            (Some('*'), Ok(count)) => {
                let count = usize::try_from(count).map_err(|_| format!("not a count: {line}"))?;
                for _ in 0..count {
                    self.last = self.reply()?.text();
                }
                Ok(Reply::Array(count))
            }
            _ => Err(format!("not a reply: {line}").into()),
        }
    }
}

/// Redis' own benchmark, again and again, with commands that our clients do not use.
struct Benchmark(std::sync::mpsc::Sender<()>, std::thread::JoinHandle<Result<usize>>);

impl Benchmark {
    fn start(program: &Path, port: u16) -> Self {
        let program = program.with_file_name("redis-benchmark");
        let (end, ended) = std::sync::mpsc::channel::<()>();
        let thread = std::thread::spawn(move || {
            let mut passes = 0;
            while matches!(ended.try_recv(), Err(std::sync::mpsc::TryRecvError::Empty)) {
                let args = format!("-p {port} -n 20000 -c 20 -P 4 -t lpush,lpop,sadd,zadd,mset -q");
                let child: Child = Command::new(&program)
                    .args(args.split(' '))
                    .stdin(Stdio::null())
                    .stdout(Stdio::piped())
                    .stderr(Stdio::piped())
                    .spawn()?;
                let done = child.wait_with_output()?;
                let told = [done.stdout, done.stderr].map(|bytes| String::from_utf8_lossy(&bytes).to_lowercase());
                if !done.status.success() || told.iter().any(|text| text.contains("error")) {
                    return Err(format!("redis-benchmark: {}: {}", done.status, told.join("\n")).into());
                }
                passes += 1;
            }
            Ok(passes)
        });
        Benchmark(end, thread)
    }

    /// Lets the last pass end.
    fn stop(self) -> Result<usize> {
        let _ = self.0.send(());
        self.1.join().map_err(|_| crate::Failure::Failed("a thread panicked".into()))?
    }
}
