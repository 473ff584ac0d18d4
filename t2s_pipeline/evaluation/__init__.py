"""From questions to scores: generate the answers, segment them, score the masks, and summarize with intervals."""
