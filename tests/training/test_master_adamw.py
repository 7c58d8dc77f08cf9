import torch

from overread.training.master_adamw import MasterAdamW


def train(optimizer: torch.optim.Optimizer, weight: torch.nn.Parameter, steps: int) -> None:
    for step in range(steps):
        generator = torch.Generator().manual_seed(step)
        weight.grad = torch.randn(weight.shape, generator=generator).to(weight.dtype) * 0.1 + 0.05
        optimizer.step()
        optimizer.zero_grad()


def test_follows_float32_adamw_where_bfloat16_alone_stands_still() -> None:
    start = torch.full((64,), 1.0)
    reference = torch.nn.Parameter(start.clone())
    ours = torch.nn.Parameter(start.to(torch.bfloat16))
    plain = torch.nn.Parameter(start.to(torch.bfloat16))
    train(torch.optim.AdamW([reference], lr=1e-4, weight_decay=0.0), reference, 100)
    train(MasterAdamW([{"params": [ours], "lr": 1e-4}], weight_decay=0.0), ours, 100)
    train(torch.optim.AdamW([plain], lr=1e-4, weight_decay=0.0), plain, 100)
    assert torch.equal(plain.float(), start)
    assert (ours.float() - reference).abs().max() <= 2**-8  # half a bfloat16 step at 1.0
    assert (ours.float() - start).abs().max() > 0


def test_a_resumed_run_is_the_same_run() -> None:
    def fresh() -> tuple[torch.nn.Parameter, MasterAdamW]:
        weight = torch.nn.Parameter(torch.ones(8, dtype=torch.bfloat16))
        return weight, MasterAdamW([{"params": [weight], "lr": 1e-3}])

    straight, optimizer = fresh()
    train(optimizer, straight, 20)
    halves, first = fresh()
    train(first, halves, 20)
    state = first.state_dict()
    restored, second = fresh()
    second.load_state_dict(state)
    train(second, restored, 5)
    train(optimizer, straight, 5)
    assert torch.equal(restored, straight)
