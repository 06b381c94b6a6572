-- Overdue tasks by seller / Просроченные задачи по продавцам
SELECT t.account_id, t.seller_name, count(*) AS overdue, min(t.due_at) AS oldest,
       count(*) FILTER (WHERE t.moves > 2) AS moved_often
FROM bi_tasks t
WHERE t.overdue
GROUP BY 1, 2
ORDER BY overdue DESC;
