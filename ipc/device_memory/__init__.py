"""Memory that one process owns and others use, whatever the device: the rules, the leases, and two back ends that need
no GPU. The CUDA back end is `workers/cuda_memory.py`, because nothing here may import torch."""
