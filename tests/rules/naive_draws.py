"""Values at random from one seed: as strategies of hypothesis look, but each as likely as another.

What hypothesis draws is mostly simple; here much has to happen in one case for it to be telling.
"""

from collections.abc import Callable, Mapping, Sequence
from random import Random
from typing import Any

Draw = Callable[[Random], Any]


def just(value: Any) -> Draw:
    return lambda _: value


def sampled_from(values: Sequence[Any]) -> Draw:
    return lambda random: random.choice(values)


def integers(least: int, most: int) -> Draw:
    return lambda random: random.randint(least, most)


def booleans() -> Draw:
    return sampled_from([False, True])


def one_of(*draws: Draw) -> Draw:
    return lambda random: random.choice(draws)(random)


def tuples(*draws: Draw) -> Draw:
    return lambda random: tuple(draw(random) for draw in draws)


def lists(draw: Draw, least: int, most: int) -> Draw:
    return lambda random: [draw(random) for _ in range(random.randint(least, most))]


def fixed_dictionaries(
    always: Mapping[str, Draw], optional: Mapping[str, Draw] | None = None
) -> Draw:
    def draw(random: Random) -> dict[str, Any]:
        found = {name: one(random) for name, one in always.items()}
        chosen = {name: one for name, one in (optional or {}).items() if random.random() < 0.5}
        return found | {name: one(random) for name, one in chosen.items()}

    return draw


def dictionaries(names: Draw, values: Draw, least: int, most: int) -> Draw:
    pairs = lists(tuples(names, values), least, most)
    return lambda random: dict(pairs(random))
