-- Receipts by month and team / Поступления по месяцам и отделам
SELECT date_trunc('month', k.date)::date AS month, k.account_id, k.team_id, k.currency,
       sum(k.value) AS receipts
FROM bi_kpi_daily k
WHERE k.metric = 'receipts'
GROUP BY 1, 2, 3, 4
ORDER BY 1 DESC, 5 DESC;
