"""The benchmark's own machinery: tools, processes, load, systems, results. Standard library only."""
