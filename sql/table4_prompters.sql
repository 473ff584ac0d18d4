-- Which prompter works best (the paper's Table 4, published beside measured)?
SELECT * EXCLUDE (paper_table)
FROM compared_with_published
WHERE paper_table = 4
ORDER BY
    dataset, split, list_position(['giou', 'ciou', 'p_at_50', 'rejection_true', 'rejection_false'], metric),
    coalesce(published, measured) DESC, system, prompter, segmenter, prompt_combination, edition, protocol DESC
