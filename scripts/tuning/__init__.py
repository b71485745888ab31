"""Finds the settings of `zerolane serve` that are best for a model and a load on this machine. In comes a command line;
servers are started and measured in turn; out go a `serve.yaml` that says why, and a report."""
