-- Which combination of boxes and points works best (the paper's Table 6, published beside measured)?
--   published: what the paper prints: percent, or a count
--   protocol: how the measured value was counted; blank where not run
--   measured: what we measured; blank where not run
--   low: lower end of the measured 95 % interval
--   high: upper end
--   difference: measured less published
--   n: samples measured; for rejection, answers to empty targets
--   measured_as: the system of ours that this is
--   measured_system: the system that was measured: for a run, the checkpoint that val chose (checkpoint_choices)
SELECT * EXCLUDE (paper_table)
FROM compared_with_published
WHERE paper_table = 6
ORDER BY
    dataset, split, list_position(['giou', 'ciou', 'p_at_50', 'rejection_true', 'rejection_false'], metric),
    coalesce(published, measured) DESC, system, prompter, segmenter, prompt_schema, protocol DESC
