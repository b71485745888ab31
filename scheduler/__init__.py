"""The scheduler process: owns the ledger of requests and the KV pages, and decides every step. In come requests from
the frontends and step results from the workers; out go step plans to the workers and committed tokens to the
frontends. One thread, one poll loop, no torch; a token counts once it is in the ledger, and only then is it forwarded.
"""
