//! memcached: four threads that serve, and clients that set, get and count.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;
use std::time::Duration;

use super::process::{Server, Tool, free_port};
use super::source::{Change, Edit, Package};
use super::{Bench, Recipe, holds};
use crate::Result;
use crate::load::{Answer, Client, Load, Wanted};

const RECIPE: Recipe = Recipe {
    package: Package { name: "memcached", before: None },
    configure: &["./configure --disable-docs --disable-sasl CFLAGS='-O2 -g'"],
    make: &["make memcached"],
    program: "memcached",
};

/// The look-up of every request, with a counter that all threads share, and a text that clients see.
const EDITS: &[Edit] = &[
    Edit {
        file: "items.c",
        old: "item *do_item_get(const char *key, const size_t nkey, const uint32_t hv, conn *c, const bool do_update) {\n",
        new: "unsigned long long lookups_seen;\n\n\
              item *do_item_get(const char *key, const size_t nkey, const uint32_t hv, conn *c, const bool do_update) {\n\
              \u{20}   __atomic_fetch_add(&lookups_seen, 1, __ATOMIC_RELAXED);\n",
    },
    Edit {
        file: "proto_text.c",
        old: "    out_string(c, \"VERSION \" VERSION);\n",
        new: "    char text[96];\n    extern unsigned long long lookups_seen;\n    snprintf(text, sizeof(text), \"VERSION \" VERSION \" after %llu look-ups\",\n\
              \u{20}            __atomic_load_n(&lookups_seen, __ATOMIC_RELAXED));\n    out_string(c, text);\n",
    },
];

const CLIENTS: usize = 6;

pub(super) fn run(bench: &Bench) -> Result {
    let old = bench.build(&RECIPE, "old", &Change::Nothing)?;
    let edited = bench.build(&RECIPE, "edited", &Change::Edits(EDITS))?;
    let tool = Tool::diff(&bench.bin, &old, &edited, &bench.dir("memcached").join("edited.pwp"))?;

    let dir = bench.fresh("memcached")?;
    let port = free_port()?;
    let args = format!("-l 127.0.0.1 -p {port} -U 0 -t 4 -u root");
    let args: Vec<String> = args.split(' ').map(String::from).collect();
    let mut server = Server::start(&old, &args, &dir, port)?;
    let pids = server.pids(false);
    let clients = (0..CLIENTS).map(|number| Visitor::open(port, number)).collect::<Result<Vec<_>>>()?;
    let load = Load::start(clients);
    let rounds = bench.rounds(&tool, &mut server, &pids, &load);
    load.expect(Wanted::Either);
    let (tally, clients) = load.stop()?;
    rounds?.tell(&tally, pids.len())?;

    let mut desk = Visitor::open(port, CLIENTS)?;
    let counters = desk.statistics()?;
    let counted = |name: &str| {
        let line = counters.iter().find_map(|line| line.strip_prefix(&format!("STAT {name} ")))?;
        line.parse::<usize>().ok()
    };
    let sum = |count: fn(&Visitor) -> usize| clients.iter().map(count).sum::<usize>();
    let (gets, hits, sets) = (sum(|client| client.gets), sum(|client| client.hits), sum(|client| client.sets));
    holds(counted("cmd_get") == Some(gets), &format!("memcached counts the {gets} gets that the clients count"))?;
    holds(counted("get_hits") == Some(hits), &format!("and the {hits} hits"))?;
    holds(counted("cmd_set") == Some(sets), &format!("and the {sets} sets"))
}

/// A client that knows every answer beforehand.
struct Visitor {
    stream: BufReader<TcpStream>,
    number: usize,
    asked: usize,
    gets: usize,
    hits: usize,
    sets: usize,
    count: u64,
    /// What the new version counted when it answered last.
    lookups: u64,
}

impl Visitor {
    fn open(port: u16, number: usize) -> Result<Self> {
        let stream = TcpStream::connect(("127.0.0.1", port))?;
        stream.set_read_timeout(Some(Duration::from_secs(20)))?;
        stream.set_nodelay(true)?;
        let stream = BufReader::new(stream);
        Ok(Visitor { stream, number, asked: 0, gets: 0, hits: 0, sets: 0, count: 0, lookups: 0 })
    }

    fn send(&mut self, text: &str) -> Result<String> {
        self.stream.get_mut().write_all(text.as_bytes())?;
        self.line()
    }

    fn line(&mut self) -> Result<String> {
        let mut line = String::new();
        match self.stream.read_line(&mut line)? {
            0 => Err("the connection was closed".into()),
            _ => Ok(line.trim_end().into()),
        }
    }

    fn is(&mut self, text: &str, expected: &[&str]) -> Result<Answer> {
        let mut line = self.send(text)?;
        for (index, wanted) in expected.iter().enumerate() {
            if index > 0 {
                line = self.line()?;
            }
            if line != *wanted {
                return Err(format!("{:?}: {line:?} instead of {wanted:?}", text.trim_end()).into());
            }
        }
        Ok(Answer::Both)
    }

    fn statistics(&mut self) -> Result<Vec<String>> {
        let mut lines = vec![self.send("stats\r\n")?];
        while lines.last().is_some_and(|line| line != "END") {
            lines.push(self.line()?);
        }
        Ok(lines)
    }
}

impl Client for Visitor {
    fn ask(&mut self) -> Result<Answer> {
        let (round, step) = (self.asked / 6, self.asked % 6);
        self.asked += 1;
        let key = format!("key:{}:{}", self.number, round % 100);
        let value = format!("value {round} ").repeat(1 + round % 40);
        let length = value.len();
        match step {
            0 => {
                self.sets += 1;
                self.is(&format!("set {key} 0 0 {length}\r\n{value}\r\n"), &["STORED"])
            }
            1 => {
                (self.gets, self.hits) = (self.gets + 1, self.hits + 1);
                let head = format!("VALUE {key} 0 {length}");
                self.is(&format!("get {key}\r\n"), &[&head, value.trim_end(), "END"])
            }
            2 => {
                self.gets += 1;
                self.is("get no-such-key\r\n", &["END"])
            }
            3 if self.count == 0 => {
                (self.sets, self.count) = (self.sets + 1, 1);
                self.is(&format!("set count:{} 0 0 1\r\n1\r\n", self.number), &["STORED"])
            }
            3 => {
                self.count += 1;
                let count = self.count.to_string();
                self.is(&format!("incr count:{} 1\r\n", self.number), &[&count])
            }
            _ => {
                let line = self.send("version\r\n")?;
                let Some(version) = line.strip_prefix("VERSION ") else {
                    return Err(format!("version: {line}").into());
                };
                let Some((_, counted)) = version.split_once(" after ") else { return Ok(Answer::Old) };
                let lookups = counted.strip_suffix(" look-ups").and_then(|count| count.parse().ok()).unwrap_or(0);
                // Other clients are served between two questions of this one, so it may have stayed as it was.
                if lookups < self.lookups {
                    return Err(format!("the new counter fell from {} to {lookups}", self.lookups).into());
                }
                self.lookups = lookups;
                Ok(Answer::New)
            }
        }
    }
}
