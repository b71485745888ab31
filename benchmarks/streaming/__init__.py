"""The pieces of the benchmarks that stream from the fake model: the server, and clients that cost next to nothing."""
