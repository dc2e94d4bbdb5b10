//! What the sandbox promises about pods, as root and as a user.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use serde_json::json;

use crate::world::{World, modes};

fn text(mut command: std::process::Command) -> String {
    let output = command.stderr(Stdio::inherit()).output().unwrap();
    assert!(output.status.success(), "{command:?}");
    String::from_utf8(output.stdout).unwrap()
}

fn file(name: &str, content: &str) -> PathBuf {
    let path = std::env::temp_dir().join(format!("hauberk-test-{}-{name}", std::process::id()));
    fs::write(&path, content).unwrap();
    path
}

#[test]
fn two_pods_reach_each_other_over_ipv4_and_ipv6() {
    for mode in modes() {
        let mut world = World::start(mode);
        let (a, b) = (world.add_pod("a", 5), world.add_pod("b", 6));
        let _server = world.serve(&b, &[], "80");
        assert_eq!(world.told(&a, &[], &format!("{}:80", b.ipv4)), "80 not redirected");
        assert_eq!(world.told(&a, &[], &format!("[{}]:80", b.ipv6)), "80 not redirected");
    }
}

#[test]
fn a_removed_pod_ends_its_processes_and_frees_its_name_and_addresses() {
    for mode in modes() {
        let mut world = World::start(mode);
        let (a, b) = (world.add_pod("a", 5), world.add_pod("b", 6));
        let mut sleeper = world.exec(&b, &[], &["sleep", "600"]).spawn().unwrap();
        let _entered = world.serve(&b, &[], "80");
        assert_eq!(world.told(&a, &[], &format!("{}:80", b.ipv4)), "80 not redirected");
        assert!(world.ask(json!({ "op": "add-pod", "name": "b", "ipv4": "10.244.0.9" })).is_err());
        world.ask(json!({ "op": "remove-pod", "name": "b" })).unwrap();
        assert!(!sleeper.wait().unwrap().success());
        let again = world.add_pod("b", 6);
        let _server = world.serve(&again, &[], "80");
        assert_eq!(world.told(&a, &[], &format!("{}:80", again.ipv4)), "80 not redirected");
    }
}

#[test]
fn when_its_input_closes_no_process_and_no_namespace_is_left() {
    for mode in modes() {
        let mut world = World::start(mode);
        let pod = world.add_pod("a", 5);
        let mut sleeper = world.exec(&pod, &[], &["sleep", "600"]).spawn().unwrap();
        // Once it has entered, its namespace is that of the pod.
        let wanted = fs::metadata(&pod.net).map(|found| std::os::unix::fs::MetadataExt::ino(&found)).unwrap();
        let inside = format!("/proc/{}/ns/net", sleeper.id());
        while fs::metadata(&inside).map(|found| std::os::unix::fs::MetadataExt::ino(&found)).unwrap()
            != wanted
        {
            std::thread::yield_now();
        }
        world.close();
        assert!(!sleeper.wait().unwrap().success());
        assert!(!Path::new(&pod.net).exists());
    }
}

#[test]
fn a_service_address_leads_to_its_endpoints_in_turn_and_nowhere_once_removed() {
    for mode in modes() {
        let mut world = World::start(mode);
        let (client, one, two) = (world.add_pod("c", 5), world.add_pod("1", 6), world.add_pod("2", 7));
        let _one = world.serve(&one, &[], "81");
        let _two = world.serve(&two, &[], "82");
        let service = |endpoints: &[&str]| json!({ "op": "set-service", "name": "a/b", "listen": ["10.96.0.5:80", "[fd96::5]:80"], "endpoints": endpoints });
        world.ask(service(&["10.244.0.6:81", "[fd44::7]:82"])).unwrap();
        for address in ["10.96.0.5:80", "[fd96::5]:80"] {
            let mut told = [world.told(&client, &[], address), world.told(&client, &[], address)];
            told.sort();
            assert_eq!(told, ["81 not redirected", "82 not redirected"]);
        }
        world.ask(service(&["10.244.0.6:81"])).unwrap();
        assert_eq!(world.told(&client, &[], "10.96.0.5:80"), "81 not redirected");
        let rival =
            json!({ "op": "set-service", "name": "x/y", "listen": ["10.96.0.5:80"], "endpoints": [] });
        assert_eq!(world.ask(rival).unwrap_err(), "10.96.0.5:80 belongs to a/b");
        world.ask(service(&[])).unwrap();
        assert_eq!(world.told(&client, &[], "10.96.0.5:80"), "ConnectionReset");
        world.ask(json!({ "op": "remove-service", "name": "a/b" })).unwrap();
        assert!(world.ask(json!({ "op": "remove-service", "name": "a/b" })).is_err());
        world.ask(service(&["10.244.0.6:81"])).unwrap();
        assert_eq!(world.told(&client, &[], "10.96.0.5:80"), "81 not redirected");
    }
}

#[test]
fn a_command_sees_its_pods_names_and_holds_no_capability() {
    let resolv = file("resolv", "nameserver 10.244.0.9\n");
    let hosts = file("hosts", "10.244.0.5 a\n");
    for mode in modes() {
        let mut world = World::start(mode);
        let pod = world.add_pod("a", 5);
        let options = [
            "--resolv-conf",
            resolv.to_str().unwrap(),
            "--hosts",
            hosts.to_str().unwrap(),
            "--hostname",
            "a-0",
            "--cwd",
            "/proc",
        ];
        let script = "cat /etc/resolv.conf /etc/hosts; hostname; pwd; grep CapEff /proc/self/status";
        assert_eq!(
            text(world.exec(&pod, &options, &["sh", "-c", script])),
            "nameserver 10.244.0.9\n10.244.0.5 a\na-0\n/proc\nCapEff:\t0000000000000000\n"
        );
        let host_name = fs::read_to_string("/proc/sys/kernel/hostname").unwrap();
        assert_ne!(host_name.trim(), "a-0");
    }
    fs::remove_file(resolv).unwrap();
    fs::remove_file(hosts).unwrap();
}

#[test]
fn a_command_keeps_the_capability_it_was_given_and_no_other() {
    for mode in modes() {
        let mut world = World::start(mode);
        let pod = world.add_pod("a", 5);
        let effective = |options: &[&str]| {
            let words = ["sh", "-c", "grep -E 'CapEff|CapBnd|NoNewPrivs' /proc/self/status"];
            text(world.exec(&pod, options, &words))
        };
        let expected = "CapEff:\t0000000000001000\nCapBnd:\t0000000000001000\nNoNewPrivs:\t1\n";
        assert_eq!(effective(&["--keep-cap", "net_admin"]), expected);
        if mode == "root" {
            assert_eq!(effective(&["--keep-cap", "net_admin", "--uid", "2102"]), expected);
        }
    }
}

#[test]
fn a_command_ends_with_the_process_that_started_it() {
    for mode in modes() {
        let mut world = World::start(mode);
        let pod = world.add_pod("a", 5);
        let options: &[&str] = if mode == "root" { &["--uid", "2102"] } else { &[] };
        let command = world.exec(&pod, options, &["sh", "-c", "echo $$; exec sleep 600"]);
        let words: Vec<_> = command.get_args().map(|word| word.to_str().unwrap().to_owned()).collect();
        // A shell that starts it, waits for a line of ours, and ends.
        let mut parent = std::process::Command::new("sh")
            .args(["-c", "\"$@\" & read go", "sh", crate::world::BINARY])
            .args(words)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        let mut output = std::io::BufReader::new(parent.stdout.take().unwrap());
        std::io::BufRead::read_line(&mut output, &mut line).unwrap();
        drop(parent.stdin.take());
        parent.wait().unwrap();
        // Its output closes when it ends.
        assert_eq!(std::io::Read::read_to_end(&mut output, &mut Vec::new()).unwrap(), 0);
    }
}

#[test]
fn a_published_port_leads_into_the_pod() {
    for mode in modes() {
        let mut world = World::start(mode);
        let pod = world.add_pod("a", 5);
        let _server = world.serve(&pod, &[], "80");
        let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = free.local_addr().unwrap();
        drop(free);
        let mut command = world.entering("publish", &pod);
        let mut door =
            command.args(["--listen", &address.to_string(), "--to", "127.0.0.1:80"]).spawn().unwrap();
        let mut stream = loop {
            match std::net::TcpStream::connect(address) {
                Ok(stream) => break stream,
                Err(_) => assert!(door.try_wait().unwrap().is_none(), "publish ended"),
            }
        };
        let mut told = String::new();
        std::io::Read::read_to_string(&mut stream, &mut told).unwrap();
        assert_eq!(told, "80 not redirected");
        door.kill().unwrap();
        door.wait().unwrap();
    }
}

#[test]
fn a_wish_that_is_wrong_is_refused_and_the_next_one_is_obeyed() {
    for mode in modes() {
        let mut world = World::start(mode);
        let pod = |ipv4| json!({ "op": "add-pod", "name": "a", "ipv4": ipv4 });
        assert_eq!(
            world.ask(pod("10.245.0.1")).unwrap_err(),
            "10.245.0.1 is not a pod's address in 10.244.0.0/16"
        );
        assert_eq!(world.ask(json!({ "op": "remove-pod", "name": "a" })).unwrap_err(), "no pod \"a\"");
        assert!(world.ask(pod("10.244.0.5")).is_ok());
        let rival = json!({ "op": "add-pod", "name": "b", "ipv4": "10.244.0.5" });
        assert_eq!(world.ask(rival).unwrap_err(), "10.244.0.5 is taken");
    }
}
