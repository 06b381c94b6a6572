-- Open violations by rule and seller / Открытые нарушения по правилам и продавцам
SELECT v.rule_title, v.severity, v.seller_name, count(*) AS violations,
       count(*) FILTER (WHERE v.acked) AS acknowledged,
       round(max(extract(epoch FROM now() - v.breach_at)) / 3600, 1) AS oldest_hours
FROM bi_violations v
WHERE v.status = 'open' AND NOT v.muted
GROUP BY 1, 2, 3
ORDER BY violations DESC, 1, 3;
