"""What is injected when, drawn from the seed."""
import random

from kinds import KINDS

TOGETHER = 0.15       # of all injections are of two kinds at once, of different subjects
ALONE = {"crowd", "outage", "rolling-restart"}


def draw_plan(seed, names):
    """Endless: (number, kinds, random.Random of this injection). Each kind comes once before any comes again."""
    order = random.Random(f"{seed} order")
    number, queue = 0, []
    while names:
        if not queue:
            queue = sorted(names)
            order.shuffle(queue)
        chosen = [queue.pop(0)]
        fits = [name for name in queue if KINDS[name].subject != KINDS[chosen[0]].subject and not {name, chosen[0]} & ALONE]
        if order.random() < TOGETHER and fits:
            chosen.append(fits[0])
            queue.remove(fits[0])
        number += 1
        yield number, [KINDS[name] for name in chosen], random.Random(f"{seed} {number}")
