"""GRPO: the prompter is rewarded for the mask that a frozen segmenter draws from its prompts."""
