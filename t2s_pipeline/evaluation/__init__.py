"""From questions to scores: generate the answers, segment them, score the masks, summarize with intervals."""
