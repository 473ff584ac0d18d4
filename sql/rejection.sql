-- How often does a system recognize that there is no target? Percent, with 95 % Wilson intervals.
--   rejected: share of the answers to empty targets whose mask is empty, percent
--   rejected_low: lower end of the 95 % Wilson interval
--   rejected_high: upper end of the 95 % Wilson interval
WITH counted AS (
    SELECT
        system,
        dataset,
        split,
        protocol,
        rejection_true,
        rejection_false,
        (rejection_true + rejection_false)::DOUBLE AS total,
        rejection_true / (rejection_true + rejection_false) AS share,
        1.959964 AS z
    FROM benchmark_metrics
    WHERE rejection_true + rejection_false > 0
)

SELECT
    system,
    dataset,
    split,
    protocol,
    rejection_true,
    rejection_false,
    round(100 * share, 2) AS rejected,
    round(100 * greatest(
        0, (share + z * z / (2 * total) - z * sqrt(share * (1 - share) / total + z * z / (4 * total * total)))
        / (1 + z * z / total)
    ), 2) AS rejected_low,
    round(100 * least(
        1, (share + z * z / (2 * total) + z * sqrt(share * (1 - share) / total + z * z / (4 * total * total)))
        / (1 + z * z / total)
    ), 2) AS rejected_high
FROM counted
ORDER BY dataset, split, protocol DESC, rejected DESC, system
