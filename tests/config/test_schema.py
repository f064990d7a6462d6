"""The schema for editors knows what the loader knows."""

import json
from pathlib import Path

import pytest

from nylon.config import ConfigError, ProxyFile, RuntimeFile, load, schema
from nylon.config.schema import sections
from nylon.config.section import keys


def test_every_field_is_described() -> None:
    bare = [f"{section.__name__}.{key.name}" for section in sections(RuntimeFile) for key in keys(section)]
    described = [
        f"{section.__name__}.{key.name}"
        for section in sections(RuntimeFile)
        for key in keys(section)
        if key.info.description
    ]
    assert bare == described


def test_the_schema_is_json_and_refuses_unknown_keys() -> None:
    for section in (RuntimeFile, ProxyFile):
        text = json.loads(json.dumps(schema(section)))
        assert text["additionalProperties"] is False
        assert all(part.get("additionalProperties") is False for part in text["$defs"].values())


def test_ignored_keys_are_marked() -> None:
    daemon = schema()["$defs"]["Pingora"]["properties"]["daemon"]
    assert daemon["deprecated"] is True


def test_bounds_have_their_standard_names() -> None:
    assert '"ge":' not in json.dumps(schema())
    assert schema()["$defs"]["Endpoint"]["properties"]["port"]["maximum"] == 65_535


SECRETS = [
    "messaging: [{name: a, auth: {password: s3cret, user: [}}]",
    "messaging: [{name: a, servers: ['nats://u:s3cret@x'], auth: {token: {s3cret: s3cret}}}]",
    "messaging:\n  - name: a\n    servers: [x]\n    auth: {nkey_seed: [s3cret], token: s3cret, password: s3cret}\n",
    "messaging: [{name: a, servers: [x], auth: [s3cret]}]",
    'messaging: [{name: a, auth: {token: "s3cret\\q"}}]',
]


@pytest.mark.parametrize("text", SECRETS)
def test_no_message_shows_a_secret(text: str, tmp_path: Path) -> None:
    file = tmp_path / "nylon.yaml"
    file.write_text(text)
    with pytest.raises(ConfigError) as caught:
        load(file)
    assert caught.value.problems
    # `{s3cret: …}` is a key: keys are shown, values are not
    assert "s3cret" not in str(caught.value).replace("unknown key 's3cret'", "")
