"""Nylon: an HTTP gateway that you extend with plugins."""

from nylon._core import __version__

__all__ = ["__version__"]
