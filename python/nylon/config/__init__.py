"""Configuration: read, checked, and compiled into the snapshot that the data plane runs on."""

from nylon.config.files import ProxyFile, RuntimeFile
from nylon.config.loading import DEFAULT_RUNTIME_FILE, Loaded, load
from nylon.config.problems import ConfigError, Location, Problem
from nylon.config.schema import schema
from nylon.config.snapshot import Server, compile, drain_timeout_ms

__all__ = [
    "DEFAULT_RUNTIME_FILE",
    "ConfigError",
    "Loaded",
    "Location",
    "Problem",
    "ProxyFile",
    "RuntimeFile",
    "Server",
    "compile",
    "drain_timeout_ms",
    "load",
    "schema",
]
