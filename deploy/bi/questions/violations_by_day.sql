-- Violations that began and ended, by day / Нарушения по дням: открыто и закрыто
SELECT day, sum(opened) AS opened, sum(resolved) AS resolved
FROM (
  SELECT breach_date AS day, 1 AS opened, 0 AS resolved
  FROM bi_violations WHERE status <> 'upcoming'
  UNION ALL
  SELECT resolved_date, 0, 1 FROM bi_violations WHERE status = 'resolved'
) e
GROUP BY day
ORDER BY day DESC;
