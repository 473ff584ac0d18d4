"""Training with GRPO: the prompter is rewarded for the mask that a frozen segmenter makes from its prompts."""
