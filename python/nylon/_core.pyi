"""The compiled half of Nylon; `.ci/run stub` compares this page with the module."""

__version__: str
