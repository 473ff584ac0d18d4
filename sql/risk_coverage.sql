-- Does the threshold of `t2s abstain` keep the wanted risk on splits that it was not chosen on? Percent.
--   is_calibration: the threshold was chosen on this split
--   n: number of answers
--   coverage: share of the answers that are not abstained, percent
--   wanted_risk: the highest expected loss that was asked for, percent
--   risk: mean of 100 - IoU over all questions, 0 for an abstained one, percent
--   risk_low: lower end of its 95 % interval (normal approximation)
--   risk_high: upper end of its 95 % interval
--   is_kept: the risk is at most the wanted one
--   risk_of_answered: mean of 100 - IoU over the answers that are not abstained, percent
--   risk_without: mean of 100 - IoU over all answers, as if none were abstained, percent
WITH losses AS (
    SELECT
        *,
        CASE WHEN status = 'abstained' THEN 0 ELSE 1 - iou END AS loss
    FROM answers_with_abstention
)

SELECT
    system,
    dataset,
    split,
    any_value(is_calibration) AS is_calibration,
    count(*) AS n,
    round(100 * avg((status <> 'abstained')::INT), 2) AS coverage,
    round(100 * any_value(wanted_risk), 2) AS wanted_risk,
    round(100 * avg(loss), 2) AS risk,
    round(100 * greatest(0, avg(loss) - 1.959964 * stddev_pop(loss) / sqrt(count(*))), 2) AS risk_low,
    round(100 * least(1, avg(loss) + 1.959964 * stddev_pop(loss) / sqrt(count(*))), 2) AS risk_high,
    avg(loss) <= any_value(wanted_risk) AS is_kept,
    round(100 - 100 * avg(iou) FILTER (status <> 'abstained'), 2) AS risk_of_answered,
    round(100 - 100 * avg(iou), 2) AS risk_without
FROM losses
GROUP BY system, dataset, split
ORDER BY system, dataset, is_calibration DESC, split
