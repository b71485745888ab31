"""A long soak: starts a server, keeps clients asking it a fixed set of questions, and kills, stops and scales its
processes meanwhile. In comes a command line, out go a report and an exit code: 0 only if nobody noticed anything.
"""
