-- Receipts a working day by month / Поступления на рабочий день
SELECT w.month, w.account_id, w.working_days, r.currency, r.receipts,
       round(r.receipts / nullif(w.working_days, 0), 2) AS a_day
FROM (
  SELECT date_trunc('month', c.date)::date AS month, c.account_id,
         count(*) FILTER (WHERE c.is_working) AS working_days
  FROM bi_calendar c
  WHERE c.date <= current_date
  GROUP BY 1, 2
) w
LEFT JOIN (
  SELECT date_trunc('month', k.date)::date AS month, k.account_id, k.currency,
         sum(k.value) AS receipts
  FROM bi_kpi_daily k
  WHERE k.metric = 'receipts'
  GROUP BY 1, 2, 3
) r ON r.account_id = w.account_id AND r.month = w.month
ORDER BY 1 DESC, 2, 4;
