-- Plan and fact of the month by seller / План-факт месяца по продавцам
-- Of sums: shares, medians and limits have no days to add up, `GET /v1/plan-fact` tells them.
-- A figure is added up from the parts that `bi_metrics` names; with a minus they are taken off.
SELECT p.account_id, p.metric, p.period_start, s.name AS seller, p.currency, p.value AS plan,
       coalesce(f.fact, 0) AS fact,
       round(coalesce(f.fact, 0) / nullif(p.value, 0), 4) AS percent
FROM bi_plans p
JOIN bi_metrics m ON m.account_id = p.account_id AND m.metric = p.metric
LEFT JOIN bi_sellers s ON s.id = p.seller_id
LEFT JOIN LATERAL (
  SELECT sum(CASE WHEN '-' || k.metric = ANY (string_to_array(m.part, ',')) THEN -k.value
             ELSE k.value END) AS fact
  FROM bi_kpi_daily k
  WHERE k.account_id = p.account_id
    AND k.metric = ANY (string_to_array(replace(m.part, '-', ''), ','))
    AND k.date BETWEEN p.period_start AND p.period_end
    AND (p.seller_id IS NULL OR k.seller_id = p.seller_id)
    AND (p.team_id IS NULL OR k.team_id = p.team_id)
    AND k.currency IS NOT DISTINCT FROM p.currency
) f ON true
WHERE p.grain = 'month' AND m.kind = 'sum' AND m.part IS NOT NULL
ORDER BY p.period_start DESC, p.account_id, p.metric, seller NULLS FIRST;
