"""What the prompter is asked and what its answer means: schemas, instruction texts, the parser."""
