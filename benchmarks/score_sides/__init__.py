"""Both sides of `benchmarks/scoring.py`: sentence-transformers in a process of its own, and our server over HTTP."""
