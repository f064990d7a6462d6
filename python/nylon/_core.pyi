"""The compiled half of Nylon; `.ci/run stub` compares this page with the module."""

from typing import Literal, final

__version__: str

def init_logging(level: str, format: Literal["text", "json"]) -> None:
    """Write the log lines of the Rust half to stderr, from `level` upwards. Once per process."""

@final
class Gateway:
    """The data plane: listeners, threads, NATS connections. It takes no Python on the path of a request."""

    def __new__(cls, snapshot_json: bytes) -> Gateway:
        """Compile the snapshot. Raises ValueError with the reason if it cannot be used."""

    def start(self) -> None:
        """Open every listener, then serve. Raises OSError that names the address."""

    def addresses(self) -> dict[str, list[str]]:
        """Return where it listens, by listener: `http` and `admin`."""

    def reload(self, snapshot_json: bytes) -> None:
        """Swap the snapshot. Raises ValueError with the reason, and the old one keeps serving."""

    def drain(self, timeout_ms: int) -> bool:
        """Take no new connections and wait for requests in flight; return whether all have ended."""

    def stop(self) -> None:
        """End at once, whatever is in flight. May be called again."""

    def metrics(self) -> str:
        """Return what `/metrics` answers."""

    def ready(self) -> bool:
        """Return what `/readyz` answers."""
