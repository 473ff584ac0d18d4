"""The tables: what they hold (schema), how they are written and read (store), how SQL sees them (views)."""
