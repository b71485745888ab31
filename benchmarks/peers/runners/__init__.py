"""Programs that run inside the peers' environments: nothing of ours is importable there but the standard library."""
