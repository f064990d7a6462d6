"""The Autobahn WebSocket suite against the WebSockets of plugins."""
