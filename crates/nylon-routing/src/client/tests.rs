use http::{HeaderMap, HeaderValue};

use super::TrustedProxies;

fn client(networks: &[&str], peer: &str, lines: &[&str]) -> String {
    let trusted = TrustedProxies::new(networks.iter().map(|network| network.parse().unwrap()).collect());
    let mut headers = HeaderMap::new();
    for line in lines {
        headers.append("x-forwarded-for", HeaderValue::from_bytes(line.as_bytes()).unwrap());
    }
    trusted.client(peer.parse().unwrap(), &headers).to_string()
}

#[test]
fn nobody_is_believed_by_default() {
    assert_eq!(client(&[], "10.0.0.1", &["1.2.3.4"]), "10.0.0.1");
}

#[test]
fn a_stranger_is_not_believed() {
    assert_eq!(client(&["10.0.0.0/8"], "192.0.2.1", &["1.2.3.4"]), "192.0.2.1");
}

#[test]
fn a_trusted_proxy_is_believed() {
    assert_eq!(client(&["10.0.0.0/8"], "10.0.0.1", &["1.2.3.4"]), "1.2.3.4");
}

#[test]
fn what_the_client_wrote_before_the_proxy_is_not_believed() {
    assert_eq!(client(&["10.0.0.0/8"], "10.0.0.1", &["6.6.6.6, 1.2.3.4, 10.0.0.2"]), "1.2.3.4");
}

#[test]
fn lines_are_read_as_one_list() {
    assert_eq!(client(&["10.0.0.0/8"], "10.0.0.1", &["6.6.6.6", "1.2.3.4", "10.0.0.2"]), "1.2.3.4");
}

#[test]
fn only_trusted_addresses_give_the_first() {
    assert_eq!(client(&["10.0.0.0/8"], "10.0.0.1", &["10.0.0.3, 10.0.0.2"]), "10.0.0.3");
}

#[test]
fn a_proxy_without_the_header_is_the_client() {
    assert_eq!(client(&["10.0.0.0/8"], "10.0.0.1", &[]), "10.0.0.1");
}

#[test]
fn reading_stops_at_rubbish() {
    assert_eq!(client(&["10.0.0.0/8"], "10.0.0.1", &["1.2.3.4, unknown, 10.0.0.2"]), "10.0.0.2");
    assert_eq!(client(&["10.0.0.0/8"], "10.0.0.1", &["1.2.3.4, \u{e9}"]), "10.0.0.1");
}

#[test]
fn ports_and_brackets_are_understood() {
    assert_eq!(client(&["10.0.0.0/8"], "10.0.0.1", &["1.2.3.4:5678"]), "1.2.3.4");
    assert_eq!(client(&["10.0.0.0/8"], "10.0.0.1", &["[2001:db8::1]:5678"]), "2001:db8::1");
    assert_eq!(client(&["10.0.0.0/8"], "10.0.0.1", &["[2001:db8::1]"]), "2001:db8::1");
    assert_eq!(client(&["10.0.0.0/8"], "10.0.0.1", &["2001:db8::1"]), "2001:db8::1");
}

#[test]
fn ipv4_in_ipv6_form_is_ipv4() {
    assert_eq!(client(&["10.0.0.0/8"], "::ffff:10.0.0.1", &["::ffff:1.2.3.4"]), "1.2.3.4");
}
