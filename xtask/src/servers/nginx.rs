//! nginx: a master and two workers, all patched by one call; keep-alive clients ask for files and for its counters.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::time::Duration;

use super::process::{Server, Tool, free_port};
use super::source::{Change, Edit, Package};
use super::{Bench, Recipe, holds, path_of};
use crate::Result;
use crate::load::{Answer, Client, Load, Wanted};

const RECIPE: Recipe = Recipe {
    package: Package { name: "nginx", before: None },
    configure: &["./configure --with-cc=\"$CC\" --without-http_rewrite_module --without-http_gzip_module \
                  --with-http_stub_status_module"],
    make: &["make -f objs/Makefile binary"],
    program: "objs/nginx",
};

/// The parser of requests with its jump tables, the handler of files, and two texts that clients see.
const EDITS: &[Edit] = &[
    Edit {
        file: "src/http/ngx_http_parse.c",
        old: "ngx_http_parse_request_line(ngx_http_request_t *r, ngx_buf_t *b)\n{\n",
        new: "ngx_http_parse_request_line(ngx_http_request_t *r, ngx_buf_t *b)\n{\n    static ngx_uint_t  parsed;\n\n",
    },
    Edit {
        file: "src/http/ngx_http_parse.c",
        old: "    state = r->state;\n\n    for (p = b->pos; p < b->last; p++) {\n        ch = *p;\n\n        switch (state) {\n\n\
              \u{20}       /* HTTP methods: GET, HEAD, POST */\n",
        new: "    state = r->state;\n    parsed++;\n\n    for (p = b->pos; p < b->last; p++) {\n        ch = *p;\n\n\
              \u{20}       switch (state) {\n\n        /* HTTP methods: GET, HEAD, POST */\n",
    },
    Edit {
        file: "src/http/modules/ngx_http_static_module.c",
        old: "    if (!(r->method & (NGX_HTTP_GET|NGX_HTTP_HEAD|NGX_HTTP_POST))) {\n",
        new: "    static ngx_uint_t  served;\n\n    served++;\n\n\
              \u{20}   if (!(r->method & (NGX_HTTP_GET|NGX_HTTP_HEAD|NGX_HTTP_POST))) {\n",
    },
    Edit {
        file: "src/http/ngx_http_core_module.c",
        old: "    etag->value.len = ngx_sprintf(etag->value.data, \"\\\"%xT-%xO\\\"\",\n\
              \u{20}                                 r->headers_out.last_modified_time,\n\
              \u{20}                                 r->headers_out.content_length_n)\n",
        new: "    etag->value.len = ngx_sprintf(etag->value.data, \"\\\"%xO_%xT\\\"\",\n\
              \u{20}                                 r->headers_out.content_length_n,\n\
              \u{20}                                 r->headers_out.last_modified_time)\n",
    },
    Edit {
        file: "src/http/modules/ngx_http_stub_status_module.c",
        old: "sizeof(\"Active connections:  \\n\")",
        new: "sizeof(\"Active connections at the moment:  \\n\")",
    },
    Edit {
        file: "src/http/modules/ngx_http_stub_status_module.c",
        old: "\"Active connections: %uA \\n\"",
        new: "\"Active connections at the moment: %uA \\n\"",
    },
];

const CLIENTS: usize = 4;
const FILES: usize = 5;

pub(super) fn run(bench: &Bench) -> Result {
    let old = bench.build(&RECIPE, "old", &Change::Nothing)?;
    let edited = bench.build(&RECIPE, "edited", &Change::Edits(EDITS))?;
    let tool = Tool::diff(&bench.bin, &old, &edited, &bench.dir("nginx").join("edited.pwp"))?;

    let mut server = start(bench, &old)?;
    let pids = server.pids(true);
    holds(pids.len() == 3, "a master and two workers run")?;
    let clients = (0..CLIENTS).map(|number| Browser::open(server.port, number)).collect::<Result<Vec<_>>>()?;
    let before = requests(server.port)?;
    let load = Load::start(clients);
    let rounds = bench.rounds(&tool, &mut server, &pids, &load);
    load.expect(Wanted::Either);
    let (tally, _) = load.stop()?;
    rounds?.tell(&tally, pids.len())?;
    holds(server.pids(true) == pids, "master and workers are the processes that were started")?;
    // The last question counts itself.
    let counted = requests(server.port)? - before - 1;
    holds(counted == tally.asked, &format!("nginx counts the {} requests that the clients do", tally.asked))
}

fn start(bench: &Bench, program: &Path) -> Result<Server> {
    let dir = bench.fresh("nginx")?;
    let port = free_port()?;
    fs::create_dir_all(dir.join("html"))?;
    (0..FILES).try_for_each(|number| fs::write(dir.join(format!("html/{number}")), body(number)))?;
    let config = format!(
        "user root;\ndaemon off;\nworker_processes 2;\npid nginx.pid;\nerror_log error.log;\nevents {{ worker_connections 64; }}\n\
         http {{\n  access_log off;\n  keepalive_requests 100000000;\n  server {{\n    listen 127.0.0.1:{port};\n    root html;\n    \
         location = /status {{ stub_status; }}\n  }}\n}}\n"
    );
    fs::write(dir.join("nginx.conf"), config)?;
    let dir_name = path_of(&dir);
    let args = ["-p", &dir_name, "-e", "error.log", "-c", "nginx.conf"].map(String::from);
    let server = Server::start(program, &args, &dir, port)?;
    // The listener is there before the workers are.
    for _ in 0..200 {
        if server.pids(true).len() == 3 {
            break;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    Ok(server)
}

fn body(number: usize) -> String {
    format!("file {number}\n").repeat(1 + number * 500)
}

/// Requests that the server has had, by its own count.
fn requests(port: u16) -> Result<usize> {
    let page = Browser::open(port, 0)?.get("/status")?;
    // Accepted, handled, requests.
    let numbers = page.body.lines().nth(2).unwrap_or_default().split_whitespace().nth(2);
    numbers.and_then(|number| number.parse().ok()).ok_or_else(|| format!("not the counters: {}", page.body).into())
}

/// One connection that is kept.
struct Browser {
    stream: BufReader<TcpStream>,
    asked: usize,
}

struct Page {
    status: String,
    etag: String,
    modified: String,
    body: String,
}

impl Browser {
    fn open(port: u16, number: usize) -> Result<Self> {
        let stream = TcpStream::connect(("127.0.0.1", port))?;
        stream.set_read_timeout(Some(Duration::from_secs(20)))?;
        stream.set_nodelay(true)?;
        Ok(Browser { stream: BufReader::new(stream), asked: number })
    }

    fn get(&mut self, path: &str) -> Result<Page> {
        self.stream.get_mut().write_all(format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n").as_bytes())?;
        let mut page = Page { status: self.line()?, etag: String::new(), modified: String::new(), body: String::new() };
        let mut length = 0;
        loop {
            let line = self.line()?;
            match line.split_once(": ") {
                None => break,
                Some(("ETag", value)) => page.etag = value.into(),
                Some(("Last-Modified", value)) => page.modified = value.into(),
                Some(("Content-Length", value)) => {
                    length = value.parse().map_err(|_| format!("not a length: {value}"))?
                }
                Some(("Transfer-Encoding", _)) => return self.chunks(page),
                Some(_) => {}
            }
        }
        let mut bytes = vec![0; length];
        self.stream.read_exact(&mut bytes)?;
        page.body = String::from_utf8_lossy(&bytes).into_owned();
        Ok(page)
    }

    /// The rest of a page whose length is not told beforehand.
    fn chunks(&mut self, mut page: Page) -> Result<Page> {
        while !self.line()?.is_empty() {}
        loop {
            let line = self.line()?;
            let length = usize::from_str_radix(&line, 16).map_err(|_| format!("not a length: {line}"))?;
            let mut bytes = vec![0; length + 2];
            self.stream.read_exact(&mut bytes)?;
            if length == 0 {
                return Ok(page);
            }
            page.body += &String::from_utf8_lossy(&bytes[..length]);
        }
    }

    fn line(&mut self) -> Result<String> {
        let mut line = String::new();
        match self.stream.read_line(&mut line)? {
            0 => Err("the connection was closed".into()),
            _ => Ok(line.trim_end().into()),
        }
    }
}

impl Client for Browser {
    fn ask(&mut self) -> Result<Answer> {
        self.asked += 1;
        match self.asked % (FILES + 2) {
            0 => {
                let page = self.get("/status")?;
                let first = page.body.lines().next().unwrap_or_default();
                let text = first.trim_end_matches(|c: char| c.is_ascii_digit() || c == ' ');
                match text {
                    "Active connections:" => Ok(Answer::Old),
                    "Active connections at the moment:" => Ok(Answer::New),
                    _ => Err(format!("the page of counters says {first:?}").into()),
                }
            }
            1 => {
                let page = self.get("/no-such-file")?;
                let right = page.status == "HTTP/1.1 404 Not Found" && page.body.contains("<h1>404 Not Found</h1>");
                if right { Ok(Answer::Both) } else { Err(format!("a file that is not there: {}", page.status).into()) }
            }
            number => {
                let page = self.get(&format!("/{}", number - 2))?;
                if page.status != "HTTP/1.1 200 OK" || page.body != body(number - 2) || page.modified.is_empty() {
                    return Err(format!("file {}: {}, {} bytes", number - 2, page.status, page.body.len()).into());
                }
                // In hexadecimal: time of change, length; the other way round in the new version.
                let tag = page.etag.trim_matches('"');
                let length = format!("{:x}", page.body.len());
                match (tag.split_once('-'), tag.split_once('_')) {
                    (Some((_, last)), None) if last == length => Ok(Answer::Old),
                    (None, Some((first, _))) if first == length => Ok(Answer::New),
                    _ => Err(format!("file {}: tag {}", number - 2, page.etag).into()),
                }
            }
        }
    }
}
