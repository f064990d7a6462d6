"""End to end: real gateway, real nats-server, real workers, real upstream."""
