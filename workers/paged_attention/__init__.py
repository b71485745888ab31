"""Attention over KV pages: one interface, a plain reference every other back end is compared with, and a fast one for
CPUs. In come a step's queries, keys and values of one layer; keys and values are written to their pages, attention
goes out. What a stream is, or a scheduler, is not known here."""
