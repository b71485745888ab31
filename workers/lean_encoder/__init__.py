"""An encoder's layers run by ourselves, for models of BERT's structure: sums and norms in float32 whatever the type of
the products, queries, keys and values in one product, attention without padding. Comes in: a transformers module tree
and its linear layers, a step's tokens; goes out: the last states. Encoders of any other structure are run by
transformers' own modules instead."""
