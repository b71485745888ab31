"""What stands beside us: transformers alone, as a plain loop over batches, and with its continuous batching."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from transformers import AutoModelForCausalLM, DynamicCache, GenerationConfig

Sizes = Sequence[tuple[list[int], int]]  # prompts, and the number of tokens each wants


def load(folder: Path, device: torch.device, attention: str = "sdpa") -> Any:
    """The model in bfloat16."""
    model: Any = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.bfloat16, attn_implementation=attention)
    return model.to(device).eval()


@torch.inference_mode()
def plain_batches(model: Any, wanted: Sizes, batch_size: int) -> None:
    """Greedy, batches of similar lengths, padded on the left; a batch runs until its longest answer is done."""
    ordered = sorted(wanted, key=lambda one: len(one[0]) + one[1])
    for first in range(0, len(ordered), batch_size):
        _batch(model, ordered[first : first + batch_size])


def _batch(model: Any, wanted: Sizes) -> None:
    width, device = max(len(prompt) for prompt, _ in wanted), model.device
    tokens = torch.tensor([[0] * (width - len(prompt)) + prompt for prompt, _ in wanted], device=device)
    mask = torch.tensor([[0] * (width - len(p)) + [1] * len(p) for p, _ in wanted], device=device)
    positions = (mask.cumsum(dim=1) - 1).clamp_min(0)
    cache = DynamicCache(config=model.config)
    for _ in range(max(num_output for _, num_output in wanted)):
        output = model(
            input_ids=tokens,
            attention_mask=mask,
            position_ids=positions,
            past_key_values=cache,
            use_cache=True,
            logits_to_keep=1,
        )
        tokens = output.logits[:, -1].argmax(dim=-1, keepdim=True)
        mask = torch.cat([mask, mask.new_ones(len(mask), 1)], dim=1)
        positions = positions[:, -1:] + 1


def continuous_batching(model: Any, wanted: Sizes) -> int:
    """transformers' own continuous batching with its defaults; the number of tokens that came back."""
    config = GenerationConfig(do_sample=False, eos_token_id=-1, pad_token_id=0, max_new_tokens=1)
    missing, num_tokens = len(wanted), 0
    with model.continuous_batching_context_manager(generation_config=config) as manager:
        for prompt, num_output in wanted:
            manager.add_request(prompt, max_new_tokens=num_output)
        while missing:
            result = manager.get_result(timeout=60.0)
            if result is None:
                raise RuntimeError(f"transformers' continuous batching ended with {missing} requests open")
            if result.is_finished():
                missing -= 1
                num_tokens += len(result.generated_tokens)
    return num_tokens
