"""The parts of `benchmarks/engine_overhead.py`: a bare loop over the worker's own decoder, streams through HTTP on a
real server, and the arithmetic that compares them."""
