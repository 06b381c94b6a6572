"""Whose deals and inquiries are one client's in the tests of rules."""

from collections.abc import Mapping, Sequence

from service.domain.asked import asked_of, beside_older
from service.domain.config import Config
from service.domain.facts import Fact
from service.domain.siblings import older_than, sibling_of
from service.domain.story import Story


def side_by_side(
    stories: Sequence[Story], timelines: Mapping[str, Sequence[Fact]], config: Config
) -> None:
    """Give each deal and inquiry the older ones of its client."""
    for story in stories:
        others = [sibling_of(o, config) for o in stories if o is not story and _share(o, story)]
        story.older = older_than(story, [other for other in others if other is not None])
    _ask_side_by_side(stories, timelines, config)


def _ask_side_by_side(
    stories: Sequence[Story], timelines: Mapping[str, Sequence[Fact]], config: Config
) -> None:
    """Inquiries with a key in common are one client's."""
    told = {key: facts for key, facts in timelines.items() if key.startswith("lead:")}
    keys = {key: {k for f in facts for k in f.body.get("keys", ())} for key, facts in told.items()}
    for story in stories:
        kin = [key for key in told if keys[key] & keys.get(story.key, set())]
        asked = [asked_of(key.partition(":")[2], told[key], config) for key in kin]
        mine = next((one for one in asked if one is not None and one.id == story.id), None)
        if story.lead and mine is not None:
            older = [one for one in asked if one is not None and one.age < mine.age]
            story.lead = beside_older(story.lead, older)


def _share(one: Story, other: Story) -> bool:
    clients = [
        {*(story.deal[-1].contacts or ()), story.deal[-1].company} if story.deal else set()
        for story in (one, other)
    ]
    return bool(clients[0] & clients[1] - {None})
