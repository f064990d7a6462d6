"""Whatever breaks, nothing passes the auth plugin, nothing is cut in silence, nothing is left behind."""
