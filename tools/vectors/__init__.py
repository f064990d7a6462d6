"""The cases of protocol/vectors/."""
