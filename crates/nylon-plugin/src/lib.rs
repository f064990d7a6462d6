//! The exchange, operations, the plugin chain and failure policies. Knows no transport.
