"""What is injected when, drawn from the seed."""
import random

from kinds import KINDS

TOGETHER = 0.15       # of all injections are of two kinds at once; of those, as many of three


def fit(one, other):
    return KINDS[other].subject in KINDS[one].beside and KINDS[one].subject in KINDS[other].beside


def draw_plan(seed, names, together=TOGETHER):
    """Endless: (number, kinds, random.Random of this injection). Each kind comes once before any comes again."""
    order = random.Random(f"{seed} order")
    number, queue = 0, []
    while names:
        if not queue:
            queue = sorted(names)
            order.shuffle(queue)
        chosen = [queue.pop(0)]
        while order.random() < together:
            another = next((name for name in queue if all(fit(name, one) for one in chosen)), None)
            if not another:
                break
            chosen.append(another)
            queue.remove(another)
        number += 1
        yield number, [KINDS[name] for name in chosen], random.Random(f"{seed} {number}")
