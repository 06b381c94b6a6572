"""A directory read anew, joined with the known one: what is no longer listed keeps its name."""

from msgspec.structs import replace

from service.domain.directory import Directory, Pipeline, Seller, Stage
from service.domain.instant import Instant


def merge(old: Directory, new: Directory, now: Instant) -> Directory:
    """The new directory, with what the CRM no longer lists kept by name (and marked so)."""
    known = {seller.id: seller for seller in old.sellers}
    sellers = [_with_past(known.get(s.id), s, now) for s in new.sellers]
    listed = {seller.id for seller in new.sellers}
    gone = [s for s in old.sellers if s.id not in listed]
    sellers += [_gone_seller(s, new.complete_users, now) for s in gone]
    reasons = {reason.id: reason for reason in (*old.loss_reasons, *new.loss_reasons)}
    return replace(
        new,
        sellers=tuple(sorted(sellers, key=lambda s: s.id)),
        pipelines=_merge_pipelines(old.pipelines, new.pipelines),
        loss_reasons=tuple(sorted(reasons.values(), key=lambda r: r.id)),
        telephony=old.telephony or new.telephony,
    )


def _with_past(old: Seller | None, new: Seller, now: Instant) -> Seller:
    """What a seller was before: whether he was active, in which groups."""
    if old is None:
        return _with_activity(None, new, now)
    groups = old.groups
    if old.group != new.group:
        before = groups or ((0, old.group, old.group_name),)
        groups = (*before, (now, new.group, new.group_name))
    return replace(_with_activity(old, new, now), groups=groups)


def _with_activity(old: Seller | None, new: Seller, now: Instant) -> Seller:
    if old is None or old.active == new.active:
        return replace(new, activity=old.activity if old else ())
    steps = old.activity or ((0, old.active),)
    return replace(new, activity=(*steps, (now, new.active)))


def _gone_seller(seller: Seller, complete: bool, now: Instant) -> Seller:
    """Absent from a complete list = inactive; else nothing is known."""
    if not complete or not seller.active:
        return replace(seller, listed=False)
    steps = seller.activity or ((0, True),)
    return replace(seller, listed=False, active=False, activity=(*steps, (now, False)))


def _merge_pipelines(old: tuple[Pipeline, ...], new: tuple[Pipeline, ...]) -> tuple[Pipeline, ...]:
    known = {pipeline.id: pipeline for pipeline in old}
    found = []
    for pipeline in new:
        before = known.pop(pipeline.id, None)
        listed = {stage.id for stage in pipeline.stages}
        kept: list[Stage] = [s for s in (before.stages if before else ()) if s.id not in listed]
        stages = (*pipeline.stages, *(replace(stage, listed=False) for stage in kept))
        found.append(replace(pipeline, stages=stages))
    found += [replace(pipeline, listed=False) for pipeline in known.values()]
    return tuple(found)
