-- Plan and fact of the month by seller / План-факт месяца по продавцам
SELECT p.account_id, p.metric, p.period_start, s.name AS seller, p.currency, p.value AS plan,
       coalesce(f.fact, 0) AS fact,
       round(coalesce(f.fact, 0) / nullif(p.value, 0), 4) AS percent
FROM bi_plans p
LEFT JOIN bi_sellers s ON s.id = p.seller_id
LEFT JOIN LATERAL (
  SELECT sum(k.value) AS fact
  FROM bi_kpi_daily k
  WHERE k.account_id = p.account_id AND k.metric = p.metric
    AND k.date BETWEEN p.period_start AND p.period_end
    AND (p.seller_id IS NULL OR k.seller_id = p.seller_id)
    AND (p.team_id IS NULL OR k.team_id = p.team_id)
    AND k.currency IS NOT DISTINCT FROM p.currency
) f ON true
WHERE p.grain = 'month'
ORDER BY p.period_start DESC, p.account_id, p.metric, seller NULLS FIRST;
