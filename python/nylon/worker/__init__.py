"""Worker processes: loading a plugin, supervising processes, reloading on change."""
