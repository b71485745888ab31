"""Linear layers of models: how their weights lie in the pool's memory, and what multiplies with them."""
