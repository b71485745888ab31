"""What users type, and the supervisor. It owns the life of every process, the memory segments, the listening sockets
and the epochs, and it never computes: in come the command line and the operator's commands, out go child processes
with the descriptors they need. It loads no torch and knows no room but ``ipc``.
"""

__version__ = "0.1.0"
