-- How well do systems trained on EarthReason do on referring benchmarks they never saw (the paper's Table 3)?
SELECT * EXCLUDE (paper_table)
FROM compared_with_published
WHERE paper_table = 3
ORDER BY
    dataset, split, list_position(['giou', 'ciou', 'p_at_50', 'rejection_true', 'rejection_false'], metric),
    coalesce(published, measured) DESC, system, prompter, segmenter, prompt_combination, edition, protocol DESC
