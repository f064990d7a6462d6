//! NATS: connections, request layer, both halves of a session. Only user of async-nats.
