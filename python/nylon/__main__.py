"""`python -m nylon`: the same as the `nylon` command, with the interpreter of your choice."""

from nylon.cli import main

main()
