"""Advantage and loss of TRL under our settings are those of equation 2, worked out by hand for a group of four."""

import dataclasses
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest

pytestmark = pytest.mark.worker
torch = pytest.importorskip("torch")

import datasets  # noqa: E402
from PIL import Image  # noqa: E402

from t2s_pipeline.methods.grpo import GRPOSettings  # noqa: E402
from t2s_pipeline.prompters.load import load_prompter  # noqa: E402
from t2s_pipeline.training.arguments import grpo_config, lora_config  # noqa: E402
from t2s_pipeline.training.stats import summarize  # noqa: E402
from t2s_pipeline.training.trainer import MaskGRPOTrainer  # noqa: E402
from tests.small_models import save_prompter  # noqa: E402

BETA, EPSILON = 0.3, 0.2
REWARDS = {"form": [1.0, 1.0, 0.0, 1.0], "mask": [0.5, 0.25, 0.0, 0.75]}
WEIGHTS = [1.0, 2.0]


class Recording(MaskGRPOTrainer):
    """Keeps what the step's loss was computed from."""

    def _compute_loss(self, model, inputs):
        self.__dict__.setdefault("seen", inputs)
        return super()._compute_loss(model, inputs)


def trainer(
    folder: Path, rewards: dict[str, list[float | None]], changes: Mapping[str, object] | None = None, **options: float
) -> Recording:
    """A small model with random weights, one prompt, a group of four with given rewards; one step is run.

    ``changes`` are of the settings of GRPO.
    """
    prompter = load_prompter(str(save_prompter(folder / "base")))

    def paid(name: str):
        def reward(completions, **_):
            return rewards[name]

        reward.__name__ = name
        return reward

    settings = GRPOSettings(
        steps=1,
        prompts_per_step=1,
        group_size=4,
        learning_rate=1e-3,
        beta=BETA,
        epsilon=EPSILON,
        max_new_tokens=6,
        precision="float32",
        gradient_checkpointing=False,
    )
    settings = dataclasses.replace(settings, **(changes or {}))
    message = {"role": "user", "content": [{"type": "image"}, {"type": "text", "text": "Where are the roofs?"}]}
    row = {"row": [0], "prompt": [[message]], "image": [Image.new("RGB", (56, 56), "green")]}
    prompts = datasets.Dataset.from_dict({"row": [0]}).with_transform(
        lambda batch: {name: values * len(batch["row"]) for name, values in row.items()}
    )
    made = Recording(
        model=prompter.model,
        processing_class=prompter.processor,
        reward_funcs=[paid(name) for name in rewards],
        args=grpo_config(settings, WEIGHTS, steps=1, seed=0, output=folder / "out", device="cpu"),
        train_dataset=prompts,
        peft_config=lora_config(settings),
        **options,
    )
    made.train()
    return made


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Recording:
    return trainer(tmp_path_factory.mktemp("grpo"), REWARDS)


def test_the_advantage_is_the_reward_less_the_groups_mean_over_its_deviation(trained: Recording):
    # R = 1·form + 2·mask: 2, 1.5, 0, 2.5. Mean 1.5; squared distances 0.25, 0, 2.25, 1, in all 3.5;
    # deviation √(3.5 / 3) = 1.0801; TRL adds 1e-4 to it.
    expected = np.array([0.5, 0.0, -1.5, 1.0]) / (1.0801234 + 1e-4)
    # TRL shuffles a batch before it is split into passes.
    assert sorted(trained.seen["advantages"].tolist()) == pytest.approx(sorted(expected), abs=1e-5)
    assert trained.stats.reward == pytest.approx(1.5)
    assert trained.stats.reward_std == pytest.approx(1.0801234)
    assert trained.stats.parts == pytest.approx({"form": 0.75, "mask": 0.375})
    assert (trained.stats.zero_variance_share, trained.stats.abstained) == (0, 0)


def log_probabilities(model, ids: torch.Tensor, mask: torch.Tensor, kept: int) -> torch.Tensor:
    """log π of the last ``kept`` tokens, (4, kept), from the model's plain logits; text only."""
    logits = model(input_ids=ids, attention_mask=mask).logits[:, :-1]
    chosen = logits.log_softmax(-1).gather(2, ids[:, 1:, None])[..., 0]
    return chosen[:, -kept:]


def test_loss_and_gradient_are_those_of_equation_2(trained: Recording):
    random = torch.Generator().manual_seed(1)
    prompt = torch.randint(10, 300, (4, 5), generator=random)
    answer = torch.randint(10, 300, (4, 4), generator=random)
    lengths = torch.tensor([4, 1, 3, 2])
    answer_mask = (torch.arange(4) < lengths[:, None]).long()
    advantages = torch.tensor([0.46, 0.0, -1.39, 0.93])
    model, base = trained.model, trained.ref_model
    ids = torch.cat([prompt, answer], 1)
    mask = torch.cat([torch.ones_like(prompt), answer_mask], 1)
    with torch.no_grad():
        reference = log_probabilities(base, ids, mask, 4)
        # An old policy beside the present one, so that some ratios leave the clip range on either side.
        old = log_probabilities(model, ids, mask, 4) + torch.randn(4, 4, generator=random) * 0.3
    inputs = {
        "prompt_ids": prompt,
        "prompt_mask": torch.ones_like(prompt),
        "completion_ids": answer,
        "completion_mask": answer_mask,
        "advantages": advantages,
        "old_per_token_logps": old,
        "ref_per_token_logps": reference,
        "num_items_in_batch": answer_mask.sum(),
    }

    trained.current_gradient_accumulation_steps = 1
    model.train()
    model.zero_grad()
    theirs = trained._compute_loss(model, inputs)
    theirs.backward()
    their_gradient = model.get_input_embeddings().weight.grad.clone()

    model.zero_grad()
    now = log_probabilities(model, ids, mask, 4)
    total = 0.0
    clipped = 0
    for i in range(4):
        tokens = 0.0
        for t in range(int(lengths[i])):
            ratio = (now[i, t] - old[i, t]).exp()
            gain = torch.minimum(ratio * advantages[i], ratio.clamp(1 - EPSILON, 1 + EPSILON) * advantages[i])
            clipped += int(not 1 - EPSILON < ratio < 1 + EPSILON)
            distance = (reference[i, t] - now[i, t]).exp() - (reference[i, t] - now[i, t]) - 1
            tokens += gain - BETA * distance
        total += tokens / lengths[i]
    ours = -total / 4
    ours.backward()
    assert clipped >= 2, "without clipped ratios the clip would not be tested"
    assert (reference - log_probabilities(model, ids, mask, 4)).abs().max() > 1e-3, "the policy must have moved"
    assert theirs.item() == pytest.approx(ours.item(), abs=1e-5)
    assert torch.allclose(their_gradient, model.get_input_embeddings().weight.grad, atol=1e-5)


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"gradient_checkpointing": True},
        {"gradient_checkpointing": True, "completions_per_pass": 2},
        {"gradient_checkpointing": True, "lora_rank": 4, "lora_alpha": 8},
    ],
    ids=lambda changes: " ".join(changes) or "plain",
)
def test_a_prompt_shared_by_its_group_gives_the_same_loss_and_gradient(tmp_path: Path, changes: dict[str, object]):
    trained = trainer(tmp_path, REWARDS, changes)
    assert trained._packs == bool(changes)
    assert trained.model.is_gradient_checkpointing == bool(changes), "a step leaves it on"
    found = []
    for inputs in (trained.seen, {**trained.seen, "groups": None}):
        trained.model.zero_grad()
        loss = trained._compute_loss(trained.model, inputs)
        loss.backward()
        learned = {name: p.grad.clone() for name, p in trained.model.named_parameters() if p.requires_grad}
        found.append((loss.item(), learned))
    assert trained.seen["groups"].tolist() == [0] * len(trained.seen["completion_ids"])
    assert len(trained.seen["completion_ids"]) == changes.get("completions_per_pass", 4)
    (shared, gradients), (plain, expected) = found
    assert shared == pytest.approx(plain, abs=1e-6)
    assert max(gradient.abs().max() for gradient in expected.values()) > 1e-3
    for name, gradient in expected.items():
        assert torch.allclose(gradients[name], gradient, atol=1e-5, rtol=1e-3), name


def test_a_completion_that_abstains_is_left_out_of_its_group(tmp_path: Path):
    made = trainer(tmp_path, {"form": [1.0, 1.0, 0.0, 1.0], "mask": [0.5, None, 0.0, 0.75]})
    # R = 2, –, 0, 2.5: mean 1.5, squared distances 0.25, 2.25, 1: deviation √(3.5 / 2) = 1.3229.
    expected = [0.5 / 1.3229757, 0.0, -1.5 / 1.3229757, 1.0 / 1.3229757]
    assert sorted(made.seen["advantages"].tolist()) == pytest.approx(sorted(expected), abs=1e-4)
    assert made.stats.abstained == 1
    assert made.stats.parts == pytest.approx({"form": 2 / 3, "mask": 1.25 / 3})


def test_a_batch_in_numbers():
    nan = float("nan")
    rewards = np.array([[1, 0.5], [1, 0.5], [0, 0], [1, nan], [nan, nan], [nan, nan]])
    stats = summarize(np.where(np.isnan(rewards).any(1, keepdims=True), nan, rewards), [1, 2], ["form", "mask"], 2)
    # Groups: (2, 2), (0, –), (–, –): the first two have no spread, the last says nothing.
    assert stats.reward == pytest.approx(4 / 3)
    assert (stats.reward_std, stats.zero_variance_share, stats.abstained) == (0, 1, 3)
    assert stats.parts == pytest.approx({"form": 2 / 3, "mask": 1 / 3})
    nothing = summarize(np.full((4, 2), nan), [1, 2], ["form", "mask"], 2)
    assert (nothing.reward, nothing.parts, nothing.abstained) == (None, {}, 4)


def test_a_length_budget_multiplies_the_reward_of_long_completions(tmp_path):
    # Six tokens at most, and a budget of one: five tokens too many are 5 · 96 on PixelThink's scale, so 1 - 480 / 500.
    # Everything is perfect, so the question is easy. A completion that stops early loses less.
    made = trainer(tmp_path, {"form": [1.0] * 4, "mask": [1.0] * 4}, length_budget=1, reward_maximum=3.0)
    lengths = made.seen["completion_mask"].sum(dim=1).numpy()
    assert made.stats.reward == pytest.approx(float(np.mean(3 * (1 - 96 * (lengths - 1) / 500))), abs=1e-5)


def test_asymmetric_clip_and_token_loss_are_options_and_the_papers_objective_is_the_default():
    settings = GRPOSettings(steps=1)
    plain = grpo_config(settings, WEIGHTS, 1, 0, Path("out"), "cpu")
    assert (plain.loss_type, plain.epsilon, plain.epsilon_high) == ("grpo", 0.2, None)
    later = dataclasses.replace(settings, epsilon_high=0.28, loss="token")
    changed = grpo_config(later, WEIGHTS, 1, 0, Path("out"), "cpu")
    assert (changed.loss_type, changed.epsilon, changed.epsilon_high) == ("dapo", 0.2, 0.28)
