-- Who is best on each dataset and split, under each protocol? Percent, with 95 % intervals (bootstrap by image).
--   place: rank by gIoU within dataset, split and protocol
SELECT
    dataset,
    split,
    protocol,
    rank() OVER (PARTITION BY dataset, split, protocol ORDER BY giou DESC) AS place,
    system,
    n,
    answers,
    round(giou, 2) AS giou,
    round(giou_low, 2) AS giou_low,
    round(giou_high, 2) AS giou_high,
    round(ciou, 2) AS ciou,
    round(ciou_low, 2) AS ciou_low,
    round(ciou_high, 2) AS ciou_high,
    round(p_at_50, 2) AS p_at_50,
    round(p_at_50_low, 2) AS p_at_50_low,
    round(p_at_50_high, 2) AS p_at_50_high,
    rejection_true,
    rejection_false,
    format_errors,
    errors,
    base
FROM benchmark_metrics
ORDER BY dataset, split, protocol DESC, place, system
