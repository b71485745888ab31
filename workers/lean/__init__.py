"""A decoder's layers run by few kernels of ours, for models of the usual structure: what a step costs beside its
products with weights shrinks to a few percent. Comes in: a transformers module tree, its linear layers, a step's tokens
and plan; goes out: hidden states and logits. Models of other structures are run by transformers' modules instead."""
