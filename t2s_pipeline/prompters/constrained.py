"""Answers drawn under a combination's grammar, so that each one parses as far as a grammar can say.  [torch]

The grammar covers the whole string: think block, answer block, JSON. Which numbers make a box (x0 < x1) is beyond it;
such answers are still format errors. Off by default: what a prompter would have got wrong is a result too.
"""

from functools import lru_cache

import xgrammar
from transformers import LogitsProcessor, PreTrainedTokenizerBase
from xgrammar.contrib.hf import LogitsProcessor as GrammarProcessor

from t2s_pipeline.prompting.combinations import PromptCombination
from t2s_pipeline.prompting.grammar import grammar
from t2s_pipeline.vision.geometry import Frame


def logits_processor(
    tokenizer: PreTrainedTokenizerBase,
    vocabulary: int,
    end_ids: list[int],
    combination: PromptCombination,
    frame: Frame,
) -> LogitsProcessor:
    """For one call of ``generate``; ``vocabulary`` is the number of logits."""
    return GrammarProcessor(_compiled(tokenizer, vocabulary, tuple(end_ids), grammar(combination, frame)))


@lru_cache(maxsize=8)
def _compiled(
    tokenizer: PreTrainedTokenizerBase, vocabulary: int, end_ids: tuple[int, ...], text: str
) -> xgrammar.CompiledGrammar:
    info = xgrammar.TokenizerInfo.from_huggingface(tokenizer, vocab_size=vocabulary, stop_token_ids=list(end_ids))
    return xgrammar.GrammarCompiler(info).compile_grammar(text)
