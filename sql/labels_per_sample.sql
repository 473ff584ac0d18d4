-- How many instances has each method labelled in a sample, which samples have none, and why?
--   instances: labels of the sample
--   labelled_area: pixels of the square in these labels
--   left_out: pixels of the mask on the square that are in no instance (noise, specks)
--   outcome: labelled; empty target: correctly no label; target without label: the method removed every instance
WITH methods AS (
    SELECT DISTINCT method, dataset, split
    FROM pseudo_labels
),
labels AS (
    SELECT
        method,
        dataset,
        split,
        sample_id,
        count(*) AS instances,
        sum(area) AS labelled_area,
        max(left_out) AS left_out
    FROM pseudo_labels
    GROUP BY ALL
)
SELECT
    methods.method,
    dataset,
    split,
    sample_id,
    coalesce(labels.instances, 0) AS instances,
    coalesce(labels.labelled_area, 0) AS labelled_area,
    coalesce(labels.left_out, 0) AS left_out,
    CASE
        WHEN labels.instances > 0 THEN 'labelled'
        WHEN samples.is_empty THEN 'empty target'
        ELSE 'target without label'
    END AS outcome
FROM methods
JOIN samples USING (dataset, split)
LEFT JOIN labels
    USING (method, dataset, split, sample_id)
ORDER BY dataset, split, methods.method, sample_id
