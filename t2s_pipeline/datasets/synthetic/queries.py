"""Questions about a scene, which are implicit, and short explanations, per category.

A question describes a need, a use or a consequence and never names its category. A template holds alternatives in
square brackets, `[Where|At which spot] is fuel kept?`, and stands for every combination of them.

Two of the ten templates of each category are held out. The train split never has a question of them. The val and test
splits have questions of all ten, so that scores distinguish understanding from remembered wording. Texts are plain
ASCII, at most 90 characters long, from a vocabulary of a few hundred words.
"""

from __future__ import annotations

import itertools
import re
from functools import cache

import numpy as np

# category: (templates used everywhere, templates held out from train)
_TEMPLATES: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "storage_tank": (
        (
            "[Where|At which spot] is [oil|liquid fuel] kept before it is sold?",
            "[Where|At which spot] would fuel trucks [fill up|unload] their cargo?",
            "Which round metal structures hold [oil|gas|chemicals]?",
            "[Find|Show me] the place that keeps [fuel|oil] ready for a refinery.",
            "What would [leak oil|spill chemicals] if its metal wall broke?",
            "What must firefighters guard first because of the fuel inside?",
            "Pipes bring [oil|fuel] here and it stays inside. Where is it?",
            "[Where|At which spot] can a plant keep large amounts of liquid?",
        ),
        (
            "Which metal structures hold the [fuel|oil] that a city needs?",
            "[Find|Show me] what could burn for days if its [liquid fuel|oil] caught fire.",
        ),
    ),
    "swimming_pool": (
        (
            "[Where|At which spot] would people cool down on a hot [day|afternoon]?",
            "[Where|At which spot] can children learn to dive into clean water?",
            "Which place do hotel guests use for a [bath|splash] in the sun?",
            "[Find|Show me] the place where you need a towel and goggles.",
            "What is filled with blue water that is cleaned with chlorine?",
            "[Where|At which spot] would a lifeguard watch [children|guests]?",
            "Which small blue basin is for fun in the summer heat?",
            "I want to do some laps in clear water. Where can I go?",
        ),
        (
            "[Where|At which spot] do guests put on goggles and jump into blue water?",
            "Which basin needs chlorine before [children|guests] can splash in it?",
        ),
    ),
    "runway": (
        (
            "[Where|At which spot] can a plane [land|take off] safely?",
            "Which long strip does a pilot look for before landing?",
            "[Find|Show me] the place where jets speed up to leave the ground.",
            "What must be free of birds so that planes can take off?",
            "[Where|At which spot] would a flight to another city begin?",
            "Which surface do wheels touch when a flight [ends|arrives]?",
            "A pilot has an [engine|fuel] problem. Where should the plane come down?",
            "[Where|At which spot] does air traffic meet the ground?",
        ),
        (
            "Which long strip with dashes [does a pilot|do jets] need?",
            "[Find|Show me] where a plane would touch the ground after a long flight.",
        ),
    ),
    "parking_lot": (
        (
            "[Where|At which spot] do drivers leave their cars while they shop?",
            "[Where|At which spot] can visitors leave a vehicle for some hours?",
            "Which paved area is full of [cars|vehicles] that do not move?",
            "[Find|Show me] the place where a driver looks for a free space.",
            "Where could a driver forget which row the car is in?",
            "What fills up with vehicles when a mall opens?",
            "Which area with painted lines has room for many [cars|vehicles]?",
            "I came by car and want to walk now. Where can I leave it?",
        ),
        (
            "[Where|At which spot] would a driver pay to leave the car for a day?",
            "Which paved area would have no free space when [visitors|drivers] shop?",
        ),
    ),
    "house": (
        (
            "[Where|At which spot] does a family [live|sleep at night]?",
            "Which small building has a bedroom and a kitchen?",
            "[Find|Show me] the place where the mail is brought to a family.",
            "[Where|At which spot] would people go home to after work?",
            "Which building with a tiled roof keeps a family warm?",
            "What would a family [buy|rent] to live in?",
            "[Where|At which spot] would neighbors knock on the door for dinner?",
            "What has a chimney and a sloped roof over a bedroom?",
        ),
        (
            "[Find|Show me] the home where a family cooks dinner in the kitchen.",
            "Which building with a sloped roof would [neighbors|a family] live in?",
        ),
    ),
    "warehouse": (
        (
            "[Where|At which spot] are goods kept before they go to shops?",
            "Which large building sends out parcels and [boxes|goods]?",
            "[Find|Show me] the place where forklifts stack boxes on shelves.",
            "[Where|At which spot] would trucks load parcels at a dock?",
            "Which big flat roof covers many shelves of goods?",
            "An online shop ships orders from one building. Where is it?",
            "What building keeps [goods|boxes] dry under a wide flat roof?",
            "[Where|At which spot] do forklifts move [goods|pallets] all day?",
        ),
        (
            "Which big building would an online shop fill with [pallets|goods]?",
            "[Find|Show me] where workers pack orders and put parcels on shelves.",
        ),
    ),
    "lake": (
        (
            "[Where|At which spot] can people fish from a small boat?",
            "Which natural water is home to fish and [ducks|wild birds]?",
            "[Find|Show me] the place where rain and rivers fill a natural hollow.",
            "[Where|At which spot] would ducks rest on open water?",
            "Which natural place freezes over so that people can skate?",
            "What could give fresh water to animals in a [dry year|drought]?",
            "[Where|At which spot] would you row a boat past reeds?",
            "Which dark water has a natural shore with no straight edge?",
        ),
        (
            "[Where|At which spot] would fish and ducks find fresh water?",
            "[Find|Show me] the natural water where you can row a boat to the shore.",
        ),
    ),
    "running_track": (
        (
            "[Where|At which spot] do athletes race on an oval?",
            "[Where|At which spot] would a [school|team] hold a sprint race?",
            "Which red oval has lanes for athletes?",
            "[Find|Show me] the place where a sprinter trains with a coach.",
            "What place would host a relay race with [hurdles|a crowd]?",
            "Which place has red lanes around green grass?",
            "A coach times one lap of the team. Where would that be?",
            "[Where|At which spot] would a medal for the sprint be won?",
        ),
        (
            "Which oval would a school team use for [hurdles|a relay race]?",
            "[Find|Show me] where athletes stay in their lanes until the race is won.",
        ),
    ),
    "solar_farm": (
        (
            "[Where|At which spot] is sunlight turned into power?",
            "Which place makes clean electricity without [smoke|burning fuel]?",
            "[Find|Show me] the dark panels that work best at noon.",
            "What stops making electricity at night or under clouds?",
            "Which rows of glass face the sun to make power?",
            "[Where|At which spot] does free light become electricity for homes?",
            "What would make less power if dust covered its panels?",
            "[Where|At which spot] is green energy made from light?",
        ),
        (
            "Which dark rows of glass make clean [energy|power] on a sunny day?",
            "[Find|Show me] the panels that give electricity without any smoke.",
        ),
    ),
    "pivot_field": (
        (
            "[Where|At which spot] are crops watered by an arm that turns?",
            "Which green circle grows [corn|crops] with a turning arm?",
            "[Find|Show me] the place where sprinklers move in a circle.",
            "What would turn brown if the sprinkler arm stopped?",
            "[Where|At which spot] does a farmer [harvest|grow] corn in a circle?",
            "Which round green crop needs a well at its center?",
            "A farmer moves a long sprinkler around a center. Where is it?",
            "[Where|At which spot] is water sprayed on crops in dry land?",
        ),
        (
            "Which [crops|corn] does a farmer water with sprinklers around a center?",
            "[Find|Show me] where a well and a turning arm help corn grow.",
        ),
    ),
}

CATEGORIES: tuple[str, ...] = tuple(_TEMPLATES)

_EXPLANATIONS: dict[str, tuple[str, ...]] = {
    "storage_tank": (
        "Storage tanks hold liquid fuel or chemicals.",
        "They are pale round structures with a metal wall and a shadow.",
        "Pipes and trucks fill each storage tank with oil.",
    ),
    "swimming_pool": (
        "A swimming pool has clean blue water for people to cool down in.",
        "It is a small blue basin with a pale rim.",
        "Guests and children use the swimming pool in the summer.",
    ),
    "runway": (
        "Planes take off and land on a runway.",
        "It is a long gray strip with white dashes.",
        "A pilot needs the runway to leave the ground.",
    ),
    "parking_lot": (
        "Drivers leave their cars in a parking lot.",
        "It is a paved area with rows of cars and painted lines.",
        "The parking lot has space for many vehicles.",
    ),
    "house": (
        "A family lives in a house.",
        "It is a small building with a sloped roof and a chimney.",
        "People sleep and cook in a house.",
    ),
    "warehouse": (
        "Goods are kept in a warehouse before they go to shops.",
        "It is a large building with a wide flat roof.",
        "Trucks load boxes and parcels at a warehouse.",
    ),
    "lake": (
        "A lake is natural open water with a curved shore.",
        "Fish and ducks live in a lake.",
        "It is dark water with no straight edge.",
    ),
    "running_track": (
        "Athletes race on a running track.",
        "It is a red oval with lanes around green grass.",
        "A school team trains on the running track.",
    ),
    "solar_farm": (
        "A solar farm turns sunlight into electricity.",
        "It is made of dark panels in straight rows.",
        "The panels of a solar farm make power at noon.",
    ),
    "pivot_field": (
        "A pivot field is watered by an arm that turns around its center.",
        "It is a green circle of crops with a line from the center.",
        "Sprinklers water the crops of a pivot field.",
    ),
}


def _expand(template: str) -> tuple[str, ...]:
    """Every sentence a template stands for."""
    parts = re.split(r"\[([^\]]*)\]", template)  # odd positions are alternatives
    choices = [part.split("|") if k % 2 else [part] for k, part in enumerate(parts)]
    return tuple("".join(words) for words in itertools.product(*choices))


@cache
def questions_for(category: str, held_out: bool = False) -> tuple[str, ...]:
    """All questions about a category: those of every split, or with `held_out` those that train never has.

    The two sets have no question in common.

    Raises:
        KeyError: if there is no such category.
    """
    return tuple(itertools.chain.from_iterable(_expand(t) for t in _TEMPLATES[category][int(held_out)]))


def _pick(rng: np.random.Generator, options: tuple[str, ...], count: int) -> list[str]:
    return [options[k] for k in rng.permutation(len(options))[:count]]


def choose_questions(rng: np.random.Generator, category: str, held_out: bool) -> tuple[str, ...]:
    """Three to five different questions; with `held_out`, one to three of them are held-out wordings."""
    count = int(rng.integers(3, 6))
    unseen = int(rng.integers(1, min(count, 4))) if held_out else 0
    questions = _pick(rng, questions_for(category), count - unseen)
    questions += _pick(rng, questions_for(category, held_out=True), unseen)
    return tuple(questions[k] for k in rng.permutation(count))


def choose_answers(rng: np.random.Generator, category: str) -> tuple[str, ...]:
    """One or two sentences that explain the target."""
    return tuple(_pick(rng, _EXPLANATIONS[category], int(rng.integers(1, 3))))
