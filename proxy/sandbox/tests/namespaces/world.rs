//! A sandbox for tests: `hauberk-sandbox serve` as a child, and this test program again inside its pods, where it
//! plays the application.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::Duration;

use serde_json::{Value, json};
use socket2::{Domain, Protocol, SockRef, Socket, Type};

pub const BINARY: &str = env!("CARGO_BIN_EXE_hauberk-sandbox");
const ROLE: &str = "HAUBERK_TEST_ROLE";
/// What a role prints for the test begins with this; the harness prints other lines.
const SAYS: &str = "::";
/// A loaded machine may take this long; nothing here waits for it otherwise.
const PATIENCE: Duration = Duration::from_secs(20);

/// The ways to run that this machine must allow: root's when the test runs as root, and a user's.
pub fn modes() -> Vec<&'static str> {
    if rustix::process::geteuid().is_root() { vec!["root", "rootless"] } else { vec!["rootless"] }
}

pub struct World {
    child: Child,
    input: Option<ChildStdin>,
    output: BufReader<ChildStdout>,
    pub user: Option<String>,
}

#[derive(Clone)]
pub struct Pod {
    pub net: String,
    pub ipv4: String,
    pub ipv6: String,
}

/// A role that runs until it is dropped.
pub struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl World {
    pub fn start(mode: &str) -> Self {
        let mut command = Command::new(BINARY);
        command.arg("serve").args((mode == "rootless").then_some("--rootless"));
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let mut output = BufReader::new(child.stdout.take().unwrap());
        let mut line = String::new();
        output.read_line(&mut line).unwrap();
        let ready: Value = serde_json::from_str(&line).unwrap_or_else(|_| panic!("no sandbox: {line:?}"));
        assert_eq!(ready["ready"]["mode"], mode);
        let user = ready["ready"]["user"].as_str().map(str::to_owned);
        Self { input: child.stdin.take(), child, output, user }
    }

    /// The answer without its id.
    pub fn ask(&mut self, mut wish: Value) -> Result<Value, String> {
        wish["id"] = json!(17);
        writeln!(self.input.as_mut().unwrap(), "{wish}").unwrap();
        let mut line = String::new();
        self.output.read_line(&mut line).unwrap();
        let answer: Value = serde_json::from_str(&line).unwrap();
        assert_eq!(answer["id"], 17);
        match answer["error"].as_str() {
            Some(error) => Err(error.to_owned()),
            None => Ok(answer["ok"].clone()),
        }
    }

    pub fn add_pod(&mut self, name: &str, host: u8) -> Pod {
        let (ipv4, ipv6) = (format!("10.244.0.{host}"), format!("fd44::{host}"));
        let made = self.ask(json!({ "op": "add-pod", "name": name, "ipv4": ipv4, "ipv6": ipv6 })).unwrap();
        Pod { net: made["net"].as_str().unwrap().to_owned(), ipv4, ipv6 }
    }

    /// `hauberk-sandbox exec` with these options and words after `--`.
    pub fn exec(&self, pod: &Pod, options: &[&str], words: &[&str]) -> Command {
        let mut command = self.entering("exec", pod);
        command.args(options).arg("--").args(words);
        command
    }

    /// `hauberk-sandbox init` with these flags of the proxy's `init`.
    pub fn init(&self, pod: &Pod, flags: &str) -> Command {
        let mut command = self.entering("init", pod);
        command.arg("--").args(flags.split_whitespace());
        command
    }

    pub fn entering(&self, verb: &str, pod: &Pod) -> Command {
        let mut command = Command::new(BINARY);
        command.args([verb, "--net", &pod.net]);
        if let Some(user) = &self.user {
            command.args(["--user", user]);
        }
        command
    }

    fn role(&self, pod: &Pod, options: &[&str], role: &str) -> Command {
        let this = std::env::current_exe().unwrap();
        let words = [
            this.to_str().unwrap(),
            "--exact",
            "world::what_the_server_says_reaches_the_client",
            "--nocapture",
        ];
        let mut command = self.exec(pod, options, &words);
        command.env(ROLE, role).stdout(Stdio::piped());
        command
    }

    /// Serves on these ports of the pod, both families, until dropped. Each connection is told
    /// `PORT was ORIGINAL`, with the port that took it and where the client meant to go.
    pub fn serve(&self, pod: &Pod, options: &[&str], ports: &str) -> Running {
        let mut child = self.role(pod, options, &format!("serve {ports}")).spawn().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        assert!(lines.map_while(Result::ok).any(|line| line.ends_with("::ready")), "no server in the pod");
        Running(child)
    }

    /// What a client in the pod is told at `address`; `refused` or another kind of error otherwise.
    pub fn told(&self, pod: &Pod, options: &[&str], address: &str) -> String {
        let output = self.role(pod, options, &format!("ask {address}")).output().unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        // The harness prints the test's name without an end of line before what the test prints.
        let said = text.lines().find_map(|line| line.split_once(SAYS).map(|(_, said)| said.to_owned()));
        said.unwrap_or_else(|| panic!("the client said nothing: {text}"))
    }

    /// Ends the sandbox as its owner would: by closing its input.
    pub fn close(mut self) {
        drop(self.input.take());
        assert!(self.child.wait().unwrap().success());
    }
}

impl Drop for World {
    fn drop(&mut self) {
        drop(self.input.take());
        let _ = self.child.wait();
    }
}

/// With a role it plays the application in a pod for the other tests; without, it holds the two roles against each other.
#[test]
fn what_the_server_says_reaches_the_client() {
    let role = std::env::var(ROLE).unwrap_or_default();
    let words: Vec<&str> = role.split_whitespace().collect();
    match words.as_slice() {
        ["serve", ports @ ..] => serve(ports),
        ["ask", address, mark @ ..] => println!("{SAYS}{}", ask(address, mark.first().copied())),
        [] => {
            let listener = TcpListener::bind("127.0.0.1:0").unwrap();
            let address = listener.local_addr().unwrap();
            std::thread::spawn(move || answer(&listener));
            assert_eq!(ask(&address.to_string(), None), format!("{} not redirected", address.port()));
        }
        other => panic!("{other:?}"),
    }
}

fn serve(ports: &[&str]) {
    let listeners: Vec<_> =
        ports.iter().map(|port| TcpListener::bind(format!("[::]:{port}")).unwrap()).collect();
    println!("{SAYS}ready");
    let threads: Vec<_> = listeners.into_iter().map(|one| std::thread::spawn(move || answer(&one))).collect();
    threads.into_iter().for_each(|thread| thread.join().unwrap());
}

fn answer(listener: &TcpListener) {
    let port = listener.local_addr().unwrap().port();
    for mut stream in listener.incoming().map_while(Result::ok) {
        let local = stream.local_addr().unwrap();
        let original = match local.ip().to_canonical() {
            IpAddr::V4(_) => SockRef::from(&stream).original_dst_v4(),
            IpAddr::V6(_) => SockRef::from(&stream).original_dst_v6(),
        };
        // Where connections are tracked, one that was left alone has itself as its original.
        let local = SocketAddr::new(local.ip().to_canonical(), local.port());
        let original = original.ok().and_then(|address| address.as_socket()).filter(|found| *found != local);
        let text = original.map_or_else(|| "not redirected".to_owned(), |original| format!("was {original}"));
        let _gone = stream.write_all(format!("{port} {text}").as_bytes());
    }
}

fn ask(address: &str, mark: Option<&str>) -> String {
    let address: SocketAddr = address.parse().unwrap();
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP)).unwrap();
    if let Some(mark) = mark {
        socket.set_mark(mark.parse().unwrap()).unwrap();
    }
    let mut text = String::new();
    let outcome = socket.connect_timeout(&address.into(), PATIENCE).and_then(|()| {
        let mut stream: TcpStream = socket.into();
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.read_to_string(&mut text)
    });
    match outcome {
        Ok(_) => text,
        Err(error) => format!("{:?}", error.kind()),
    }
}
