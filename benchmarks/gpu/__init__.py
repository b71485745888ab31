"""Benchmarks of a GPU in one process: the worker's own decoder in a loop, without scheduler, rings or HTTP."""
