-- Conversion by seller and month: parts are summed, then divided / Конверсия
SELECT date_trunc('month', k.date)::date AS month, s.name AS seller,
       sum(k.value) FILTER (WHERE k.metric = 'deals_won') AS won,
       sum(k.value) FILTER (WHERE k.metric = 'lost_target') AS lost,
       round(sum(k.value) FILTER (WHERE k.metric = 'deals_won')
             / nullif(sum(k.value), 0), 4) AS conversion
FROM bi_kpi_daily k
LEFT JOIN bi_sellers s ON s.id = k.seller_id
WHERE k.metric IN ('deals_won', 'lost_target')
GROUP BY 1, 2
ORDER BY 1 DESC, 5 DESC NULLS LAST;
