"""What is read out of a server's /metrics: zerolane's names and vLLM's."""

import pytest

from scripts.load_testing.server_metrics import read_sample

ZEROLANE = """# TYPE zerolane_num_requests_running gauge
zerolane_num_requests_running{model="a"} 3.0
zerolane_num_requests_running{model="b"} 2.0
# TYPE zerolane_num_requests_waiting gauge
zerolane_num_requests_waiting{model="a"} 7.0
zerolane_kv_pages_used{model="a"} 25.0
zerolane_kv_pages_cached{model="a"} 50.0
zerolane_kv_pages_total{model="a"} 100.0
# TYPE zerolane_generation_tokens_total counter
zerolane_generation_tokens_total{model="a"} 1200.0
zerolane_unknown_thing 5.0
"""
VLLM = """# TYPE vllm:num_requests_running gauge
vllm:num_requests_running{engine="0",model_name="m"} 4.0
vllm:num_requests_waiting{engine="0",model_name="m"} 1.0
vllm:kv_cache_usage_perc{engine="0",model_name="m"} 0.5
vllm:generation_tokens_total{engine="0",model_name="m"} 99.0
vllm:generation_tokens_created{engine="0",model_name="m"} 1.7e9
"""


def test_zerolanes_models_are_summed() -> None:
    sample = read_sample(ZEROLANE, at=1.5)
    assert sample is not None
    assert (sample.at, sample.running, sample.waiting, sample.generated) == (1.5, 5.0, 7.0, 1200.0)
    assert (sample.kv_share, sample.kv_cached_share) == (0.25, 0.5)
    assert sample.preempted is None


def test_vllms_names_are_known() -> None:
    sample = read_sample(VLLM, at=0.0)
    assert sample is not None
    assert (sample.running, sample.waiting, sample.kv_share, sample.generated) == (4.0, 1.0, 0.5, 99.0)


@pytest.mark.parametrize("text", ["", "process_cpu_seconds_total 1.0\n", "zerolane_num_requests_running{ what\n"])
def test_of_other_texts_nothing_is_known(text: str) -> None:
    assert read_sample(text, at=0.0) is None
