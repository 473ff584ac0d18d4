"""Answers sampled under the grammar of a prompt combination, so that they parse as far as a grammar can ensure it.

The grammar covers the whole text: think block, answer block and JSON. It cannot say which numbers make a box
(x0 < x1); answers with wrong boxes are still format errors. It is off by default, because the mistakes that a prompter
makes without it are a result too.
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
    """The processor for one call of ``generate``.

    Args:
        tokenizer: of the prompter.
        vocabulary: the number of logits.
        end_ids: the tokens that end an answer.
        combination: the prompts that the answer holds.
        frame: the frame of its coordinates.
    """
    processor: LogitsProcessor = GrammarProcessor(
        _compiled(tokenizer, vocabulary, tuple(end_ids), grammar(combination, frame))
    )
    return processor


@lru_cache(maxsize=8)
def _compiled(
    tokenizer: PreTrainedTokenizerBase, vocabulary: int, end_ids: tuple[int, ...], text: str
) -> xgrammar.CompiledGrammar:
    info = xgrammar.TokenizerInfo.from_huggingface(tokenizer, vocab_size=vocabulary, stop_token_ids=list(end_ids))
    return xgrammar.GrammarCompiler(info).compile_grammar(text)
