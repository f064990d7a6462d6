//! User and password, token, nkey, creds file, TLS, mutual TLS: the right ones connect, wrong ones do not.

use std::path::{Path, PathBuf};

use data_encoding::BASE64URL_NOPAD;
use nkeys::KeyPair;
use nylon_messaging::{Auth, Connection, ConnectionError, ConnectionOptions, TlsOptions};
use serde_json::{Value, json};

use crate::{connect, errors, run, server, server::NatsServer, to, until};

/// The right options connect; the wrong ones are told so and go on trying. The server may tell them first.
async fn decides(right: ConnectionOptions, wrong: ConnectionOptions) {
    let (refused, events) = connect(&wrong).await;
    let told = format!("connecting to {}: ", wrong.servers[0]);
    until("a refusal", || errors(&events).iter().any(|error| error.starts_with(&told))).await;
    assert!(!refused.is_connected());
    let (connection, _) = connect(&right).await;
    until("the connection", || connection.is_connected()).await;
    assert!(!refused.is_connected());
}

fn with(server: &NatsServer, auth: Auth) -> ConnectionOptions {
    ConnectionOptions { auth, ..to(server) }
}

#[test]
fn user_and_password() {
    run(async {
        let server = server("authorization { user: nylon, password: right }");
        let auth = |password: &str| Auth::User { user: "nylon".to_owned(), password: password.to_owned() };
        decides(with(&server, auth("right")), with(&server, auth("wrong"))).await;
    });
}

#[test]
fn a_token() {
    run(async {
        let server = server("authorization { token: right }");
        decides(with(&server, Auth::Token("right".into())), with(&server, Auth::None)).await;
    });
}

#[test]
fn an_nkey() {
    run(async {
        let (known, stranger) = (KeyPair::new_user(), KeyPair::new_user());
        let server = server(&format!("authorization {{ users: [ {{ nkey: {} }} ] }}", known.public_key()));
        let auth = |key: &KeyPair| Auth::NkeySeed(key.seed().unwrap());
        decides(with(&server, auth(&known)), with(&server, auth(&stranger))).await;
    });
}

#[test]
fn a_creds_file() {
    run(async {
        let (operator, account) = (KeyPair::new_operator(), KeyPair::new_account());
        let limits = json!({"subs": -1, "data": -1, "payload": -1, "imports": -1, "exports": -1, "wildcards": true,
            "conn": -1, "leaf": -1});
        let operator_jwt = jwt(&operator, &operator, json!({"type": "operator", "version": 2}));
        let account_jwt = jwt(&operator, &account, json!({"type": "account", "version": 2, "limits": limits}));
        let server = server(&format!(
            "operator: {operator_jwt}\nresolver: MEMORY\nresolver_preload: {{ {}: {account_jwt} }}\n",
            account.public_key()
        ));
        let (right, wrong) = (creds(&account, "right"), creds(&KeyPair::new_account(), "wrong"));
        decides(with(&server, Auth::CredsFile(right.clone())), with(&server, Auth::CredsFile(wrong.clone()))).await;
        std::fs::remove_file(right).unwrap();
        std::fs::remove_file(wrong).unwrap();
    });
}

#[test]
fn a_creds_file_that_is_not_there_is_named() {
    run(async {
        let options = ConnectionOptions { auth: Auth::CredsFile("/nowhere/x.creds".into()), ..Default::default() };
        let error = Connection::start(&options, |_| {}).await.err().unwrap();
        assert!(matches!(&error, ConnectionError::Credentials { .. }), "{error}");
        assert!(error.to_string().starts_with("reading nats credentials /nowhere/x.creds: "), "{error}");
    });
}

#[test]
fn tls() {
    run(async {
        let server = server(&tls_config("verify: false"));
        let trusting = TlsOptions { ca_file: Some(file("ca.pem")), ..Default::default() };
        // The system's authorities do not know ours.
        let stranger = TlsOptions { ca_file: Some(file("client.pem")), ..Default::default() };
        let with = |tls| ConnectionOptions { tls: Some(tls), ..to(&server) };
        decides(with(trusting), with(stranger)).await;
    });
}

#[test]
fn mutual_tls() {
    run(async {
        let server = server(&tls_config("verify: true"));
        let both = TlsOptions {
            ca_file: Some(file("ca.pem")),
            cert_file: Some(file("client.pem")),
            key_file: Some(file("client.key")),
        };
        let half = TlsOptions { ca_file: Some(file("ca.pem")), ..Default::default() };
        let with = |tls| ConnectionOptions { tls: Some(tls), ..to(&server) };
        decides(with(both), with(half)).await;
    });
}

#[test]
fn tls_that_is_configured_is_never_left_out() {
    run(async {
        let plain = NatsServer::start();
        let tls = TlsOptions { ca_file: Some(file("ca.pem")), ..Default::default() };
        let (connection, events) = connect(&ConnectionOptions { tls: Some(tls), ..to(&plain) }).await;
        until("a refusal", || !errors(&events).is_empty()).await;
        assert!(!connection.is_connected());
    });
}

fn file(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/support/tls").join(name)
}

fn tls_config(more: &str) -> String {
    let [cert, key, ca] = ["server.pem", "server.key", "ca.pem"].map(|name| file(name).display().to_string());
    format!("tls {{ cert_file: \"{cert}\", key_file: \"{key}\", ca_file: \"{ca}\", {more} }}")
}

/// A JSON web token as NATS signs it.
fn jwt(issuer: &KeyPair, subject: &KeyPair, nats: Value) -> String {
    let encode = |value: Value| BASE64URL_NOPAD.encode(value.to_string().as_bytes());
    let head = encode(json!({"typ": "JWT", "alg": "ed25519-nkey"}));
    let (issuer_key, subject_key) = (issuer.public_key(), subject.public_key());
    let claims = encode(json!({"jti": "1", "iat": 1_700_000_000, "iss": issuer_key, "sub": subject_key, "name": "t",
        "nats": nats}));
    let signed = format!("{head}.{claims}");
    let signature = BASE64URL_NOPAD.encode(&issuer.sign(signed.as_bytes()).unwrap());
    format!("{signed}.{signature}")
}

fn creds(account: &KeyPair, name: &str) -> PathBuf {
    let user = KeyPair::new_user();
    let token = jwt(account, &user, json!({"type": "user", "version": 2, "subs": -1, "data": -1, "payload": -1}));
    let seed = user.seed().unwrap();
    let path =
        std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("nylon-{name}-{}.creds", std::process::id()));
    let text = format!(
        "-----BEGIN NATS USER JWT-----\n{token}\n------END NATS USER JWT------\n\n\
         -----BEGIN USER NKEY SEED-----\n{seed}\n------END USER NKEY SEED------\n"
    );
    std::fs::write(&path, text).unwrap();
    path
}
