-- Open deals that nobody touched for a week / Сделки без касаний неделю
SELECT d.id, d.name, d.url, d.seller_name, d.stage_name, d.amount, d.currency,
       coalesce(d.last_touch_at, d.created_at) AS last_touch_at, d.violations_open
FROM bi_deals d
WHERE d.status = 'open' AND d.counted AND coalesce(d.last_touch_at, d.created_at) < now() - INTERVAL '7 days'
ORDER BY d.amount DESC
LIMIT 500;
