"""The tables of the lake: their schema, how they are written and read, and how SQL sees them."""
