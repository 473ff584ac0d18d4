"""What the prompter is asked and what its answer means: prompt combinations, instruction texts, the parser."""
