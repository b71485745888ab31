"""Ours and other servers and libraries side by side: `python -m benchmarks.peers install|models|run`.

Each peer is installed in an environment of its own below one folder. A run starts all of them for a model, keeps every
one but the one that works stopped (SIGSTOP), gives them the same load in turn, several rounds, and prints ratios of
neighbours in time: absolute figures of a shared machine drift, ratios of one alternating run do not.
"""
