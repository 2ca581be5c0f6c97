"""A CLIP that is asked questions: how it learns what is where, and how it tells captions apart.

Contrast alone is slow to learn which is on which. So every question that a picture is asked has an
answer that can be marked: one is how things are related, one where we stand, one is of each role
that a thing can play, and a last one of the other of two things side by side, of which neither is
the first. What can be marked can be read: the log-likelihood of a caption is the sum of what it
says, as the judge's is. With the judge it shares the slots, the shares of relations and the layout
of the trunk; weights, seeds, cameras and backgrounds are others, colours and sizes are asked of
roles, not of nouns in them, and what is held out it has never seen.
"""

from collections.abc import Sequence
from pathlib import Path

import torch
from jaxtyping import Bool, Float, Int
from safetensors.torch import load_file, save
from torch import Tensor, nn

from dreamlift.grammar import parse
from dreamlift.learn.exam import SEEN, Exam, everywhere, missed
from dreamlift.learn.slots import BESIDE, BINS, BUILDS, LINKS, PAINTS, PLAYED, ROLES, WEAVES
from dreamlift.learn.slots import answers as claims
from dreamlift.prior import Aligner, Reads
from dreamlift.priors.clip import WEIGHTS, Clip, embedded_clip
from dreamlift.words import NOUNS

OTHER = 2 + len(ROLES)
"""The question for the other of two things side by side."""
COLUMNS = (0, 3, 5, 7)
"""Where a first thing's noun, colour, size and pattern stand in a row of slots."""
FILE = "reader.safetensors"


class Reader(nn.Module):
    """A CLIP and what its answers mean."""

    def __init__(self, clip: Clip) -> None:
        super().__init__()
        self.clip = clip
        d = clip.shape.widths[-1]
        if clip.shape.questions <= OTHER:
            raise ValueError(
                f"A CLIP that reads is asked {OTHER + 1} questions at least, not "
                f"{clip.shape.questions}."
            )
        self.relation, self.view = nn.Linear(d, len(LINKS)), nn.Linear(d, BINS)
        self.noun, self.colour = nn.Linear(d, len(NOUNS)), nn.Linear(d, len(PAINTS))
        self.size, self.weave = nn.Linear(d, len(BUILDS)), nn.Linear(d, len(WEAVES))
        self.local = nn.Linear(d, len(NOUNS) + len(PAINTS) + len(ROLES) + 1)

    def related(self, answers: Float[Tensor, "b q d"]) -> Float[Tensor, "b links"]:
        """Log-probabilities of how two things are related."""
        return self.relation(answers[:, 0]).float().log_softmax(-1)

    def things(self, answers: Float[Tensor, "b q d"]) -> list[Float[Tensor, "b q v"]]:
        """Log-probabilities of the noun, colour, size and pattern of what each question is of."""
        heads = (self.noun, self.colour, self.size, self.weave)
        return [head(answers).float().log_softmax(-1) for head in heads]

    def marks(
        self,
        y: Float[Tensor, "b p w"],
        answers: Float[Tensor, "b q d"],
        looks: Float[Tensor, "b q p"],
        truth: Exam,
    ) -> Float[Tensor, ""]:
        """Cross-entropy of all that is asked of what `Clip.image.look` gave, mean over pictures."""
        every = torch.arange(len(answers), device=answers.device)
        question, beside = asked_of(truth.slots)
        said = self.things(answers)

        def cost(k: int, thing: int) -> Float[Tensor, " b"]:
            """Of the k-th answer, were it about that thing."""
            area = truth.things[:, thing]
            off = missed(looks[every, question[:, k]], area) * (area > SEEN).any(-1)
            for table, column in zip(said, COLUMNS, strict=True):
                off = off - likely(table[every, question[:, k]], truth.slots[:, column + thing])
            return off

        straight = cost(0, 0) + cost(1, 1)
        either = torch.where(beside, torch.minimum(straight, cost(0, 1) + cost(1, 0)), straight)
        view = self.view(answers[:, 1]).float().log_softmax(-1)
        seen = likely(self.related(answers), truth.slots[:, 2]) + likely(view, truth.view)
        local = self.local(y).float().split([len(NOUNS), len(PAINTS), len(ROLES) + 1], -1)
        noun, paint, role = (part.log_softmax(-1) for part in local)
        return (either - seen).mean() + everywhere(noun, paint, role, truth)

    def likelihood(
        self, x: Float[Tensor, "n h w 3"], captions: Sequence[str]
    ) -> Float[Tensor, "n m"]:
        """Log-likelihoods of captions, of each picture (sRGB in [0, 1], any square size),
        differentiably.

        What a caption leaves unsaid carries no weight, nor does the side that it names. Raises
        ValueError for what cannot be read.
        """
        answers = self.clip.image.look(x)[1]
        slots = torch.tensor([claims(parse(text)) for text in captions], device=answers.device)
        question, beside = asked_of(slots)
        said = self.things(answers)

        def score(k: int, thing: int) -> Float[Tensor, "n m"]:
            """Of the k-th answers, were they about that thing."""
            columns = [slots[:, column + thing] for column in COLUMNS]
            tables = [table[:, question[:, k]] for table in said]
            return sum(
                (likely(table, column) for table, column in zip(tables, columns, strict=True)),
                start=answers.new_zeros(len(x), len(slots)),
            )

        straight = score(0, 0) + score(1, 1)
        either = torch.where(beside, torch.maximum(straight, score(0, 1) + score(1, 0)), straight)
        return self.related(answers)[:, slots[:, 2]] + either

    def save(self, folder: Path) -> None:
        """The CLIP, and beside it what its answers mean (half precision)."""
        self.clip.save(folder)
        state = {k: v for k, v in self.state_dict().items() if not k.startswith("clip.")}
        state = {k: v.detach().half().contiguous().cpu() for k, v in state.items()}
        (folder / FILE).write_bytes(save(state))


def by(aligner: Aligner) -> Reads:
    """What an Aligner makes of pictures and captions: the inner products of their vectors."""

    def scores(x: Float[Tensor, "n h w 3"], captions: Sequence[str]) -> Float[Tensor, "n m"]:
        return aligner.embed_image(x) @ aligner.embed_text(captions).T

    return scores


def asked_of(
    slots: Int[Tensor, "m slots"],
) -> tuple[Int[Tensor, "m 2"], Bool[Tensor, " m"]]:
    """The questions for the two things, and whether they are side by side; of a lone thing nothing
    is claimed in answer to the second."""
    roles = PLAYED.to(slots.device)[slots[:, 2]]
    beside = roles[:, 0] == BESIDE
    second = torch.where(beside, OTHER, 2 + roles[:, 1])
    return torch.stack([2 + roles[:, 0], second], 1), beside


def likely(table: Float[Tensor, "*n m v"], answer: Int[Tensor, " m"]) -> Float[Tensor, "*n m"]:
    """Log-probability of each answer; 0 where none was asked."""
    counted = (answer >= 0) & (answer < table.shape[-1])
    index = torch.where(counted, answer, 0)[:, None].expand(*table.shape[:-1], 1)
    return table.gather(-1, index)[..., 0] * counted


def load_reader(folder: Path, clip: Clip) -> Reader:
    """A frozen reader from a folder that `save` wrote, on the CLIP that lies there."""
    reader = Reader(clip)
    state = {k: v.float() for k, v in load_file(folder / FILE).items()}
    reader.load_state_dict({**reader.state_dict(), **state})
    return reader.eval().requires_grad_(False)


def embedded_reader(*, device: torch.device | str = "cpu", folder: Path = WEIGHTS) -> Reader:
    """The one that ships inside. Raises FileNotFoundError where it is not installed."""
    clip = embedded_clip(folder=folder)
    if not (folder / "clip" / FILE).is_file():
        raise FileNotFoundError(
            f"What the embedded CLIP reads is not in {folder / 'clip' / FILE}. Install the package "
            "again, or train it with `dreamlift train clip`."
        )
    return load_reader(folder / "clip", clip).to(device)
