-- Which objects were found in the scenes of the imagery folder? Scene by scene, the largest object first.
--   area_m2: square metres
--   confidence: the segmenter's own estimate of the mask's IoU, a fraction
--   time: when the scene was taken, as its STAC item or its file states
SELECT
    o.scene,
    s.time,
    o.question,
    o.system,
    o.object,
    round(o.area_m2, 2) AS area_m2,
    o.pixels,
    round(o.confidence, 4) AS confidence,
    o.west,
    o.south,
    o.east,
    o.north,
    s.crs_name,
    o.thought,
    o.question_id
FROM scene_objects AS o
-- Objects of a file that was replaced since are not shown.
JOIN scenes AS s ON s.scene = o.scene AND s.sha256 = o.scene_sha256
WHERE o.object IS NOT NULL
ORDER BY o.scene, o.question_id, o.system, o.area_m2 DESC, o.object
