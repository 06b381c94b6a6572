"""All timelines of an account are derived again: after a change of settings, rules or directory.

Goes on in pieces between hooks; where it has come is kept (`judged_cursor`): a restart continues.
Single timelines are derived again where a mute has begun or ended.
"""

from service.pipeline import apply, levels
from service.pipeline.drain import LeaseLost, note_failures
from service.pipeline.office import Office
from service.store import accounts, bulks, dirty, health
from service.store import facts as fact_store
from service.store import levels as level_store
from service.store.engine import reading, transaction

BATCH = 200


def rejudge(office: Office, account_id: str) -> int:
    """One piece of re-judging; how many timelines (0 = nothing to do, or just finished)."""
    with reading(office.engine) as connection:
        row = accounts.account(connection, account_id)
        if row is None or row.judged_version >= row.config_version:
            return 0
        windows = office.windows(connection, row)
        keys = fact_store.timelines(connection, account_id, row.judged_cursor, BATCH)
        made = apply.plan(connection, account_id, [], windows, force=keys)
        total = row.judged_total
        if row.judged_cursor is None:
            total = fact_store.count_timelines(connection, account_id)
    with transaction(office.engine) as connection:
        if not accounts.hold(connection, account_id, office.worker):
            raise LeaseLost(account_id)
        current = accounts.account(connection, account_id)
        if current is None or current.config_version != row.config_version:
            return 1  # changed meanwhile: begin again with the newer one
        if row.judged_cursor is None:
            health.forget(connection, account_id)
        apply.commit(connection, made, windows, judge_levels=False)
        note_failures(connection, account_id, made.failures, office.now())
        if keys:
            done = row.judged_done + len(keys)
            accounts.change(
                connection, account_id, judged_cursor=keys[-1], judged_done=done, judged_total=total
            )
            return len(keys)
        sellers = levels.holders(connection, account_id, windows)
        level_store.mark(connection, account_id, dict.fromkeys(sellers, 0))
        bulks.rebuild(connection, account_id, windows[-1].config.document.bulk.limit)
        values = {"judged_version": row.config_version, "judged_cursor": None}
        accounts.change(connection, account_id, **values)
    return 0


def derive_marked(office: Office, account_id: str) -> int:
    """One piece of the timelines that mutes touch; how many (0 = nothing to do)."""
    with reading(office.engine) as connection:
        row = accounts.account(connection, account_id)
        marks = dirty.marked(connection, account_id, BATCH)
        if row is None or not marks:
            return 0
        windows = office.windows(connection, row)
        made = apply.plan(connection, account_id, [], windows, force=list(marks))
    with transaction(office.engine) as connection:
        if not accounts.hold(connection, account_id, office.worker):
            raise LeaseLost(account_id)
        apply.commit(connection, made, windows, judge_levels=row.backfill_state != "running")
        dirty.unmark(connection, account_id, marks)
        note_failures(connection, account_id, made.failures, office.now())
    return len(marks)


def judge_dirty(office: Office, account_id: str) -> int:
    """Judge the levels of sellers that were marked; how many."""
    with reading(office.engine) as connection:
        row = accounts.account(connection, account_id)
        if row is None or row.backfill_state == "running":
            return 0
        dirty = level_store.marked(connection, account_id)
        windows = office.windows(connection, row)
    if not dirty:
        return 0
    with transaction(office.engine) as connection:
        if not accounts.hold(connection, account_id, office.worker):
            raise LeaseLost(account_id)
        if dirty.get("") == 0:  # after a change: a rule may have gone for good
            levels.judge_everything(connection, account_id, windows)
        else:
            levels.judge_parts(connection, account_id, levels.of_sellers(dirty), windows)
        level_store.unmark(connection, account_id, list(dirty))
    return len(dirty)
