"""A judge from outside: drives a worker or a gateway over NATS and says whether it keeps protocol/SPEC.md.

Nothing here may import nylon: a judge that shares code with what it judges shares its mistakes.
"""
