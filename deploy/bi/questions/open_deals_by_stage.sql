-- Open deals by stage with amounts / Открытые сделки по этапам
SELECT d.pipeline_name, st.sort, d.stage_name, d.currency, count(*) AS deals,
       sum(d.amount) AS amount, count(*) FILTER (WHERE d.open_tasks = 0) AS without_task
FROM bi_deals d
LEFT JOIN bi_stages st ON st.id = d.stage_id
WHERE d.status = 'open' AND d.counted
GROUP BY 1, 2, 3, 4
ORDER BY 1, 2;
