//! What the redirection promises, in real pods: the rules of `hauberk-init` as the kernel carries them out.

use crate::world::{Pod, World, modes};

const EXEMPT_UID: &str = "--proxy-uid 2102";
const EXEMPT_MARK: &str = "--proxy-mark 77";

fn init(world: &World, pod: &Pod, flags: &str) -> String {
    let output = world.init(pod, flags).output().unwrap();
    let errors = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success(), "{errors}");
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

fn pair(mode: &str) -> (World, Pod, Pod) {
    let mut world = World::start(mode);
    let (client, server) = (world.add_pod("client", 5), world.add_pod("server", 6));
    (world, client, server)
}

#[test]
fn inbound_connections_reach_the_proxy_with_their_destination_but_for_skipped_ports_and_sources() {
    for mode in modes() {
        let (mut world, client, server) = pair(mode);
        let spared = world.add_pod("spared", 7);
        let flags = "--inbound-ports-to-ignore 4190,9000-9001 --subnets-to-ignore 10.244.0.7/32,fd44::7/128";
        let report = init(&world, &server, &format!("{EXEMPT_MARK} {flags}"));
        assert_eq!(report, "redirection installed: 8 rules, IPv4 and IPv6");
        let _server = world.serve(&server, &[], "4143 8080 9001");
        assert_eq!(world.told(&client, &[], "10.244.0.6:8080"), "4143 was 10.244.0.6:8080");
        assert_eq!(world.told(&client, &[], "[fd44::6]:8080"), "4143 was [fd44::6]:8080");
        assert_eq!(world.told(&client, &[], "10.244.0.6:9001"), "9001 not redirected");
        assert_eq!(world.told(&client, &[], "[fd44::6]:9001"), "9001 not redirected");
        assert_eq!(world.told(&spared, &[], "10.244.0.6:8080"), "8080 not redirected");
        assert_eq!(world.told(&spared, &[], "[fd44::6]:8080"), "8080 not redirected");
    }
}

#[test]
fn outbound_connections_reach_the_proxy_but_for_its_own_and_skipped_ones() {
    for mode in modes() {
        let (world, client, server) = pair(mode);
        let flags = "--outbound-ports-to-ignore 9000-9001 --outbound-subnets-to-ignore 10.244.0.64/26";
        init(&world, &client, &format!("{EXEMPT_UID} {EXEMPT_MARK} {flags}"));
        let _proxy = world.serve(&client, &[], "4140");
        let _server = world.serve(&server, &[], "8080 9001");
        let told = |options: &[&str], address: &str| world.told(&client, options, address);
        assert_eq!(told(&[], "10.244.0.6:8080"), "4140 was 10.244.0.6:8080");
        assert_eq!(told(&[], "[fd44::6]:8080"), "4140 was [fd44::6]:8080");
        assert_eq!(told(&[], "10.96.7.7:80"), "4140 was 10.96.7.7:80", "an address that nobody has");
        assert_eq!(told(&[], "10.244.0.6:9001"), "9001 not redirected");
        assert_eq!(told(&[], "127.0.0.1:8080"), "ConnectionRefused", "loopback is left alone");
        assert_eq!(told(&["--keep-cap", "net_raw"], "10.244.0.6:8080 77"), "8080 not redirected");
        assert_eq!(told(&["--keep-cap", "net_raw"], "[fd44::6]:8080 77"), "8080 not redirected");
        if mode == "root" {
            assert_eq!(told(&["--uid", "2102"], "10.244.0.6:8080"), "8080 not redirected");
            assert_eq!(told(&["--uid", "2102"], "[fd44::6]:8080"), "8080 not redirected");
            assert_eq!(told(&["--uid", "1000"], "10.244.0.6:8080"), "4140 was 10.244.0.6:8080");
        }
    }
}

#[test]
fn a_second_installation_replaces_the_first() {
    for mode in modes() {
        let (world, client, server) = pair(mode);
        init(&world, &server, &format!("{EXEMPT_MARK} -p 5000"));
        init(&world, &server, &format!("{EXEMPT_MARK} --inbound-ports-to-ignore 9000"));
        let _server = world.serve(&server, &[], "4143 5000 9000");
        assert_eq!(world.told(&client, &[], "10.244.0.6:8080"), "4143 was 10.244.0.6:8080");
        assert_eq!(world.told(&client, &[], "10.244.0.6:9000"), "9000 not redirected");
        init(&world, &server, &format!("{EXEMPT_MARK} --check --inbound-ports-to-ignore 9000"));
        let differs = world.init(&server, &format!("{EXEMPT_MARK} --check")).output().unwrap();
        assert!(String::from_utf8(differs.stderr).unwrap().contains("differs from the one asked for"));
    }
}

#[test]
fn removal_restores_direct_connections_and_succeeds_twice() {
    for mode in modes() {
        let (world, client, server) = pair(mode);
        let _server = world.serve(&server, &[], "4143 8080");
        init(&world, &server, EXEMPT_MARK);
        assert_eq!(world.told(&client, &[], "10.244.0.6:8080"), "4143 was 10.244.0.6:8080");
        for _ in 0..2 {
            assert_eq!(init(&world, &server, "--remove"), "redirection removed");
            assert_eq!(world.told(&client, &[], "10.244.0.6:8080"), "8080 not redirected");
        }
    }
}

#[test]
fn with_ipv6_off_only_ipv4_is_redirected() {
    for mode in modes() {
        let (world, client, server) = pair(mode);
        let _server = world.serve(&server, &[], "4143 8080");
        let report = init(&world, &server, &format!("{EXEMPT_MARK} --ipv6=false"));
        assert_eq!(report, "redirection installed: 4 rules, IPv4 only, as asked");
        assert_eq!(world.told(&client, &[], "10.244.0.6:8080"), "4143 was 10.244.0.6:8080");
        assert_eq!(world.told(&client, &[], "[fd44::6]:8080"), "8080 not redirected");
    }
}

#[test]
fn only_the_ports_to_redirect_are_redirected() {
    for mode in modes() {
        let (world, client, server) = pair(mode);
        let _server = world.serve(&server, &[], "4143 8080");
        init(&world, &server, &format!("{EXEMPT_MARK} --ports-to-redirect 80-90"));
        assert_eq!(world.told(&client, &[], "10.244.0.6:85"), "4143 was 10.244.0.6:85");
        assert_eq!(world.told(&client, &[], "10.244.0.6:8080"), "8080 not redirected");
    }
}

#[test]
fn without_the_capability_it_says_so_and_changes_nothing() {
    for mode in modes() {
        let (world, client, server) = pair(mode);
        init(&world, &server, EXEMPT_MARK);
        let words = [crate::world::BINARY, "init", "--", "--remove"];
        let refused = world.exec(&server, &[], &words).output().unwrap();
        assert!(!refused.status.success());
        let said = String::from_utf8(refused.stderr).unwrap();
        assert!(said.contains("redirection needs the capability CAP_NET_ADMIN"), "{said}");
        let _server = world.serve(&server, &[], "4143");
        assert_eq!(world.told(&client, &[], "10.244.0.6:8080"), "4143 was 10.244.0.6:8080");
        let kept = world.exec(&server, &["--keep-cap", "net_admin"], &words).output().unwrap();
        assert!(kept.status.success());
    }
}

#[test]
fn as_many_rules_as_allowed_fit_one_transaction_and_more_are_refused() {
    for mode in modes() {
        let (world, _client, server) = pair(mode);
        let ports = |count: u16| (1..=count).map(|port| port.to_string()).collect::<Vec<_>>().join(",");
        let flags = format!("{EXEMPT_MARK} --inbound-ports-to-ignore {}", ports(252));
        assert_eq!(init(&world, &server, &flags), "redirection installed: 256 rules, IPv4 and IPv6");
        let flags = format!("{EXEMPT_MARK} --inbound-ports-to-ignore {}", ports(253));
        let refused = world.init(&server, &flags).output().unwrap();
        assert!(String::from_utf8(refused.stderr).unwrap().contains("257 rules are more than 256"));
    }
}
