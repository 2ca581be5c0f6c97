"""What the tests of the learn room share."""

from dreamlift.graph import Graph
from dreamlift.words import held


def any_held(graph: Graph) -> bool:
    """Whether a graph has a held-out composition."""
    things = graph.things
    return any(held(things[k.subject].noun, things[k.object].noun) for k in graph.links)
