"""Configuration: read, checked, and compiled into the snapshot that the data plane runs on."""
