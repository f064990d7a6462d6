"""The JSON schema of the configuration, for editors: `nylon schema > nylon.schema.json`."""

from typing import Any

from nylon.config.files import ProxyFile, RuntimeFile
from nylon.config.section import Section, keys


def schema(section: type[ProxyFile] = RuntimeFile) -> dict[str, Any]:
    """Return the schema of the runtime file, or of a file of the proxy directory."""
    result = section.model_json_schema()
    result["$schema"] = "https://json-schema.org/draft/2020-12/schema"
    for found in sections(section):
        target = result if found is section else result["$defs"][found.__name__]
        for key, reason in found.ignored.items():
            target.setdefault("properties", {})[key] = {
                "deprecated": True,
                "description": f"No effect: {reason}.",
            }
    return result


def sections(root: type[Section]) -> list[type[Section]]:
    """Return `root` and every section below it, each once, in the order of the keys that lead there."""
    found = [root]
    for section in found:  # grows while it is read
        for key in keys(section):
            if key.section is not None and key.section not in found:
                found.append(key.section)
    return found
