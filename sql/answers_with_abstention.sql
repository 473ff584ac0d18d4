-- Which answers does a system give, and which does it abstain from, at the threshold that `t2s abstain` chose?
--   status: abstained if the sampled answers agree less than the threshold, else the status of the answer
--   threshold: answers with a lower agreement are abstained
--   wanted_risk: the wanted risk that the threshold was chosen for, a fraction
--   is_calibration: the threshold was chosen on this split
SELECT
    a.system,
    a.dataset,
    a.split,
    a.sample_id,
    a.question_index,
    CASE WHEN a.agreement < r.threshold THEN 'abstained' ELSE s.status END AS status,
    a.agreement,
    r.threshold,
    r.wanted_risk,
    a.split = r.split AS is_calibration,
    s.iou
FROM agreement AS a
JOIN risk_thresholds AS r USING (system, dataset)
JOIN sample_scores AS s
    ON
        a.system = s.system AND a.dataset = s.dataset AND a.split = s.split
        AND a.sample_id = s.sample_id AND a.question_index = s.question_index
WHERE s.protocol = 'strict' AND s.status <> 'missing'
