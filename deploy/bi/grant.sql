-- A role for BI tools (PostgreSQL): reads the views bi_* and nothing else.
-- Run it as the owner of Dozor's database, with a password of your own:
--   psql "$DOZOR_DATABASE_URL" -f deploy/bi/grant.sql
-- The same for an existing role and single accounts, without psql:
--   dozor bi grant ROLE --account romashka        (--print shows the SQL)
-- '*' = all accounts; a role without a row in bi_grant sees no row anywhere.

CREATE ROLE "dozor_bi" LOGIN PASSWORD 'CHANGE_ME';
DELETE FROM bi_grant WHERE role = 'dozor_bi';
INSERT INTO bi_grant (account_id, role) VALUES ('*', 'dozor_bi');
GRANT USAGE ON SCHEMA public TO "dozor_bi";
GRANT SELECT ON bi_accounts, bi_sellers, bi_seller_team, bi_pipelines, bi_stages, bi_metrics, bi_calendar, bi_deals, bi_tasks, bi_violations, bi_kpi_daily, bi_plans TO "dozor_bi";
ALTER ROLE "dozor_bi" SET default_transaction_read_only = on;
ALTER ROLE "dozor_bi" SET statement_timeout = '60s';
