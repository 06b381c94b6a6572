-- Tasks done by month and the seller's team of that day / Выполненные задачи по месяцам и отделам на день выполнения
SELECT date_trunc('month', t.done_date)::date AS month, t.account_id, s.team_name, count(*) AS tasks
FROM bi_tasks t
LEFT JOIN bi_seller_team s
  ON s.seller_id = t.seller_id AND t.done_date BETWEEN s.first_date AND s.last_date
WHERE t.status = 'done'
GROUP BY 1, 2, 3
ORDER BY 1 DESC, 4 DESC;
