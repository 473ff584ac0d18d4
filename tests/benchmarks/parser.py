"""The answer parser on 100,000 answers: valid, damaged and adversarial. None may raise; one core.

    python -m tests.benchmarks.parser                 # 100,000 answers
    python -m tests.benchmarks.parser --answers 2000  # a taste
    python -m tests.benchmarks.parser --only damaged  # one kind alone

Of ten answers six are valid (of every prompt combination, 0–5 objects, with thoughts of 20–120 words), three are
damaged as models damage them (single quotes, missing brackets, trailing commas, cut off, prose around, wrong counts,
numbers out of bounds) and one is hostile (deep nesting, thousands of tags, walls of quotes, huge numbers, binary noise,
up to 64 KiB). ``longest_ms`` is the slowest single answer.
"""

import argparse
import json
import platform
import random
import resource
import time
from collections import Counter

from t2s_pipeline.prompting.combinations import PROMPT_COMBINATIONS, PromptCombination
from t2s_pipeline.prompting.elements import MAX_COMPLETION_BYTES
from t2s_pipeline.prompting.parsing import Answer, parse
from t2s_pipeline.prompting.templates import answer_text
from t2s_pipeline.vision.geometry import Frame, PromptObject

FRAME = Frame.square(840)
COMBINATIONS = [PROMPT_COMBINATIONS[name] for name in ("bbox", "pos2", "bbox+pos2", "bbox+pos4", "bbox+pos2+neg2")]
KINDS = ("valid",) * 6 + ("damaged",) * 3 + ("hostile",)
WORDS = "the road runs beside a river and ends at a large roof with tanks near the quay where ships unload".split()


def main(arguments: list[str] | None = None) -> dict:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--answers", type=int, default=100_000)
    parser.add_argument("--only", choices=sorted(set(KINDS)))
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args(arguments)
    rng = random.Random(options.seed)
    seconds: Counter[str] = Counter()
    counts: Counter[str] = Counter()
    outcomes: Counter[str] = Counter()
    longest, size = 0.0, 0
    for index in range(options.answers):
        kind = options.only or KINDS[index % len(KINDS)]
        combination = COMBINATIONS[rng.randrange(len(COMBINATIONS))]
        text = MAKERS[kind](rng, combination)
        begun = time.perf_counter()
        found = parse(text, combination, FRAME)
        took = time.perf_counter() - begun
        seconds[kind] += took
        counts[kind] += 1
        longest = max(longest, took)
        size += len(text)
        outcome = ("repaired" if found.repaired else "valid") if isinstance(found, Answer) else found.reason
        outcomes[f"{kind}: {outcome}"] += 1
    for outcome, count in sorted(outcomes.items()):
        print(f"{count:8}  {outcome}")
    total = sum(seconds.values())
    result = {
        "per_second": options.answers / total,
        "answers": options.answers,
        "exceptions": 0,  # one would have ended this program
        "per_second_by_kind": {kind: counts[kind] / seconds[kind] for kind in counts},
        "longest_ms": longest * 1e3,
        "mb_per_second": size / total / 1e6,
        "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3,
        "python": platform.python_version(),
    }
    print(json.dumps(result))
    return result


def valid(rng: random.Random, combination: PromptCombination) -> str:
    """What a trained prompter writes."""
    thought = " ".join(rng.choices(WORDS, k=rng.randint(20, 120)))
    return answer_text(thought, combination.render([_object(rng, combination) for _ in range(rng.randint(0, 5))]))


def _object(rng: random.Random, combination: PromptCombination) -> PromptObject:
    x, y = rng.randint(0, 700), rng.randint(0, 700)
    width, height = rng.randint(1, 140), rng.randint(1, 140)

    def points(count: int) -> tuple:
        return tuple((rng.randint(x, x + width), rng.randint(y, y + height)) for _ in range(count))

    box = (x, y, x + width, y + height) if combination.has_box else None
    return PromptObject(box, points(combination.positive_points), points(combination.negative_points))


def damaged(rng: random.Random, combination: PromptCombination) -> str:
    """What an untrained one writes instead."""
    return rng.choice(DAMAGES)(rng, valid(rng, combination))


def _cut(rng: random.Random, text: str) -> str:
    return text[: rng.randrange(len(text))]


def _cut_inside(rng: random.Random, text: str) -> str:
    """The JSON breaks off, the tags stand."""
    head, tag, payload = text.partition("<answer>")
    payload = payload.removesuffix("</answer>")
    return head + tag + payload[: rng.randrange(len(payload))] + "</answer>"


def _drop_characters(rng: random.Random, text: str) -> str:
    head, tag, payload = text.partition("<answer>")
    kept = "".join(letter for letter in payload.removesuffix("</answer>") if rng.random() > 0.02)
    return head + tag + kept + "</answer>"


DAMAGES = (
    _cut,
    _cut_inside,
    _drop_characters,
    lambda rng, text: text.replace('"', "'"),
    lambda rng, text: text.replace('"', ""),
    lambda rng, text: text.replace("]</answer>", ",]</answer>"),
    lambda rng, text: text.replace("<answer>", "<answer>Here it is: "),
    lambda rng, text: text.replace("<answer>", "<answer>```json\n").replace("</answer>", "\n```</answer>"),
    lambda rng, text: text.replace("</think>", ""),
    lambda rng, text: f"Sure! {text}",
    lambda rng, text: text.replace("[[", "[[1, 1], [", 1),
    lambda rng, text: text.replace(", ", " ").replace(": ", " "),
    lambda rng, text: text.replace("1", "9"),
    lambda rng, text: text.replace("0", "NaN"),
    lambda rng, text: text.replace("}", ', "label": "roof"}'),
    lambda rng, text: text.replace('": ', '": "').replace(", ", '", '),
)


def hostile(rng: random.Random, combination: PromptCombination) -> str:
    """What nobody writes by accident."""
    size = rng.choice([100, 1000, 10_000, MAX_COMPLETION_BYTES - 64])
    piece = rng.choice(
        ["[", "{", '"', "'", "[{", '{"bbox_2d":', "<answer>", "<think>", "</think><answer>", "\\", "-", "1e9,", ",",
         "[[[[1,2],", "9" * 50, "\x00", "\ud800", "𝛑", "/*", "//", "```", "null,", '{"a":1,', "\n", " ", "'\"", ":",
         '{"bbox_2d": [1, 2, 30, 40], "positive_points": [[3, 4], [5, 6]]},', '"bbox_2d":', "positive_points bbox_2d "]
    )  # fmt: skip
    noise = "".join(rng.choices("[]{}\"':,0123456789.eE+-truefalsn \\<>/abc\n", k=64))
    body = rng.choice([piece, noise, piece + noise])
    payload = (body * (size // len(body.encode("utf-8", "surrogatepass")) + 1))[:size]
    inside = (answer_text("x", payload), answer_text("x", f"[{payload}]"), answer_text(payload, "[]"))
    return rng.choice([payload, *inside])


MAKERS = {"valid": valid, "damaged": damaged, "hostile": hostile}

if __name__ == "__main__":
    main()
