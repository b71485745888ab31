"""The worker processes: own nothing that must survive them. In come step plans from the scheduler and mapped memory
that holds weights and KV pages; out go sampled tokens, scores or embeddings, and the pages that the step filled. A
worker may be added, removed or killed at any time.
"""
