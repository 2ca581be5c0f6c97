"""Few photographs: what a scene shows from elsewhere should look like one of them to CLIP.

DietNeRF (Jain et al., arXiv:2104.00677, Sec. 4.1). The loss is guidance.clip.Consistency; here is
where its pictures are taken from.
"""

import torch
from jaxtyping import Float
from torch import Tensor

from dreamlift.cameras import Cameras, look_at, spherical
from dreamlift.fit import Terms
from dreamlift.guidance.clip import Consistency
from dreamlift.posed import Posed
from dreamlift.prior import Aligner
from dreamlift.scene import Shot
from dreamlift.scenes.field import Field
from dreamlift.scenes.gaussians import Cloud
from dreamlift.scenes.rebuilt import Rebuilt
from dreamlift.step import Step


class Elsewhere:
    """The term of each step, from one camera drawn anew; of most steps, none (Consistency.due).

    Cameras look at the origin from between the lowest and the highest photograph's elevation and
    the nearest and the farthest one's distance, on the arc that holds their azimuths; all around
    where no gap between two of them is half a turn. (The paper's: anywhere on the hemisphere, 3.5
    to 4.5 units away.) Pictures are square, of the photographs' shorter side's field of view.
    """

    def __init__(
        self,
        aligner: Aligner,
        posed: Posed,
        likeness: tuple[float, int, int] = (0.1, 10, 168),
        *,
        dark: bool = False,
    ) -> None:
        """Of the photographs to learn from. `likeness`: the weight, the steps from one term to the
        next, the side of the pictures in pixels; cut-out photographs are before white, or `dark`:
        before black."""
        cameras = posed.cameras
        weight, every, self.size = likeness
        self.empty = 0.0 if dark else 1.0
        photographs = squares(posed.images + (1 - posed.alpha) * self.empty)
        self.consistency = Consistency(aligner, photographs, weight=weight, every=every)
        shorter = min(cameras.height, cameras.width)
        half = float(cameras.K[:, 0, 0].mean()) * 2 / shorter
        self.fov = float(torch.rad2deg(2 * torch.atan(torch.tensor(1 / half))))
        self.first, self.arc = arc(cameras.azimuth)

        def ends(x: Float[Tensor, " b"]) -> tuple[float, float]:
            return float(x.min()), float(x.max())

        self.elevation, self.distance = ends(cameras.elevation), ends(cameras.distance)

    def camera(self, rng: torch.Generator) -> Cameras:
        """One of them, on the generator's device."""
        u = torch.rand(3, 1, generator=rng, device=rng.device)
        (low, high), (near, far) = self.elevation, self.distance
        side = spherical(self.first + self.arc * u[0], low + (high - low) * u[1])
        position = (near + (far - near) * u[2])[:, None] * side
        fov = torch.full_like(u[0], self.fov)
        return look_at(position, torch.zeros_like(position), fov_y=fov, size=self.size)

    def __call__(self, made: Rebuilt[Field | Cloud], step: Step) -> Terms:
        """{"consistency": loss} at the steps that it is due, else {}."""
        if not self.consistency.due(step):
            return {}
        shot = Shot(self.camera(step.rng))
        view = made.scene.render(shot, rng=step.rng)
        back = view.color.new_full((1, 1, 1, 3), self.empty)
        if made.behind is not None:
            back = made.behind(shot.cameras.rays()[1])
        return {"consistency": self.consistency(view.over(back), shot, step)}


def squares(pictures: Float[Tensor, "b h w 3"]) -> Float[Tensor, "b n n 3"]:
    """Their middles, as wide as they are high."""
    height, width = pictures.shape[1:3]
    n = min(height, width)
    top, left = (height - n) // 2, (width - n) // 2
    return pictures[:, top : top + n, left : left + n]


def arc(azimuth: Float[Tensor, " b"]) -> tuple[float, float]:
    """Where the arc that holds all azimuths begins and how long it is, in degrees; a whole turn
    where no gap between two neighbours is half a turn or more."""
    at = azimuth.remainder(360).sort().values
    gaps = torch.cat([at[1:], at[:1] + 360]) - at
    widest = int(gaps.argmax())
    if float(gaps[widest]) < 180:
        return 0.0, 360.0
    return float(at[(widest + 1) % len(at)]), 360 - float(gaps[widest])
