"""What the tests of the learn room share."""

from dreamlift.graph import Graph
from dreamlift.toybox.meaning import meant
from dreamlift.words import held


def any_held(graph: Graph) -> bool:
    """Whether a graph has a held-out composition, as it is said or as it is built."""
    things, links = graph.things, [*graph.links, *meant(graph).links]
    return any(held(things[k.subject].noun, things[k.object].noun) for k in links)
