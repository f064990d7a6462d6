"""The nats-server authorization block for a configuration: each side may do its own part and nothing else."""

import json
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from nylon.config import RuntimeFile
from nylon.config.messaging import Messaging


@dataclass(frozen=True)
class User:
    """One user of nats-server and what it may do."""

    name: str
    password_variable: str
    purpose: str
    publish: Sequence[str]
    subscribe: Sequence[str]
    answers_services: bool = False
    """Whether it may answer one message on a reply subject: workers tell `nats micro ls` who they are."""


def users(config: RuntimeFile, messaging: Messaging) -> list[User]:
    """Return the gateway's user and one for each worker group behind `messaging`."""
    base = f"{messaging.prefix}.v1"
    result = [
        User(
            "gateway",
            "NYLON_GATEWAY_PASSWORD",
            "the gateways",
            [f"{base}.open.>", f"{base}.w.>", f"{base}.room.>"],
            [f"{base}.h.>", f"{base}.beat.>", f"{base}.room.>"],
        )
    ]
    groups = _groups(config, messaging)
    alike = Counter(_variable(group) for group in groups)
    for group in groups:
        token = subject_token(group)
        # One password for two groups would let each pose as the other.
        variable = _variable(group if alike[_variable(group)] == 1 else f"{group}_{group.encode().hex()}")
        result.append(
            User(
                f"worker-{group}",
                f"NYLON_WORKER_{variable}_PASSWORD",
                f"workers of the group {json.dumps(group)}",
                [f"{base}.h.>", f"{base}.beat.{token}.*"],
                # A queue name after the subject: without it a worker could listen beside the group.
                [f"{base}.open.{token}.* {token}", f"{base}.w.{token}.*", "$SRV.>"],
                answers_services=True,
            )
        )
    return result


def authorization(config: RuntimeFile, messaging: Messaging) -> str:
    """Return the block in the syntax of nats-server's configuration file, with variables for the passwords."""
    blocks = [
        "# Subscriptions to reply subjects (…h.>) are the gateways' alone: workers cannot read each other's answers.",
        "# A worker can only pose as a worker of its own group. Passwords come from the environment.",
        "authorization {",
        "  users: [",
    ]
    for user in users(config, messaging):
        blocks += [
            f"    # {user.purpose}",
            "    {",
            f"      user: {json.dumps(user.name, ensure_ascii=False)}, password: ${user.password_variable}",
            "      permissions: {",
            f"        publish: {{ allow: [{_quoted(user.publish)}] }}",
            f"        subscribe: {{ allow: [{_quoted(user.subscribe)}] }}",
        ]
        if user.answers_services:
            blocks.append('        allow_responses: { max: 1, expires: "10s" }')
        blocks += ["      }", "    }"]
    blocks += ["  ]", "}", ""]
    return "\n".join(blocks)


def subject_token(name: str) -> str:
    """Return `name` as one token of a subject: `[A-Za-z0-9_-]` kept, every other byte as `=` and two hex digits."""
    return "".join(
        chr(byte) if re.match(rb"[A-Za-z0-9_-]", bytes([byte])) else f"={byte:02X}" for byte in name.encode()
    )


def _groups(config: RuntimeFile, messaging: Messaging) -> list[str]:
    only = len(config.messaging) == 1
    outside = [p for p in config.plugins if p.type == "messaging"]
    mine = [p for p in outside if p.messaging == messaging.name or (only and p.messaging is None)]
    return list(dict.fromkeys(plugin.group or plugin.name for plugin in mine))


def _variable(group: str) -> str:
    return re.sub(r"[^A-Z0-9]", "_", group.upper())


def _quoted(subjects: Sequence[str]) -> str:
    return ", ".join(f'"{subject}"' for subject in subjects)
