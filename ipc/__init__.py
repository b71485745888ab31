"""The vocabulary and the transports: what processes say to each other, and how it gets there.

Owns no process. Control messages go over ZeroMQ (`zmq_link.py`) and inherited socket pairs (`control_link.py`), steps
over shared-memory rings (`worker_link.py`), everything large through memory segments no process owns (`segments.py`,
`arena.py`).
"""
