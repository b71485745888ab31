"""`scripts/fuzz_bodies`: malformed bodies against every endpoint, and who suffers from them."""
