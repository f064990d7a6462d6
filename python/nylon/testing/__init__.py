"""Testing plugins without a network: run the phases of a request and look at what the handler asked for.

with Client(plugin, config={"tokens": {"secret": "ann"}}) as client:
    result = client.session("auth", headers={"Authorization": "Bearer secret"}).request_filter()
    assert result.request_headers == {"x-auth-user": "ann"}
"""

from nylon.testing.client import Client, PhaseFailed, Result, Session

__all__ = ["Client", "PhaseFailed", "Result", "Session"]
