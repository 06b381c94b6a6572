-- Receipts a working day by month / Поступления на рабочий день
SELECT date_trunc('month', c.date)::date AS month, c.account_id,
       count(*) FILTER (WHERE c.is_working) AS working_days, sum(k.receipts) AS receipts,
       round(sum(k.receipts) / nullif(count(*) FILTER (WHERE c.is_working), 0), 2) AS a_day
FROM bi_calendar c
LEFT JOIN (
  SELECT account_id, date, sum(value) AS receipts
  FROM bi_kpi_daily WHERE metric = 'receipts' GROUP BY 1, 2
) k ON k.account_id = c.account_id AND k.date = c.date
WHERE c.date <= current_date
GROUP BY 1, 2
ORDER BY 1 DESC;
