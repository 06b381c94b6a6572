-- Load of sellers: open deals against the limit / Загрузка продавцов
SELECT s.account_id, s.name, s.team_name, count(d.id) AS open_deals, s.open_deals_limit,
       round(count(d.id)::numeric / nullif(s.open_deals_limit, 0), 3) AS share
FROM bi_sellers s
LEFT JOIN bi_deals d ON d.seller_id = s.id AND d.status = 'open' AND d.counted
WHERE s.active
GROUP BY s.id, s.account_id, s.name, s.team_name, s.open_deals_limit
ORDER BY share DESC NULLS LAST;
