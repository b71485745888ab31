"""The load test: makes requests of a known size, sends them to a running server in a closed or an open loop, and
reports what came back when. It speaks plain HTTP and knows nothing of the server's insides, so it measures any
OpenAI-compatible server."""
