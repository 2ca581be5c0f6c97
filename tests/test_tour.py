"""A film's way past cameras."""

import torch

from dreamlift.cameras import orbit
from dreamlift.films import tour


def test_a_tour_passes_its_cameras_and_turns_rigidly_between() -> None:
    keys = orbit(torch.tensor([0.0, 70, 110]).double(), torch.tensor([0.0, 30, 60]).double())
    path = tour(keys, 9)
    torch.testing.assert_close(path.world_to_camera[::4], keys.world_to_camera, atol=1e-9, rtol=0)
    R = path.world_to_camera[:, :3, :3]
    eye = torch.eye(3).double().expand(9, 3, 3)
    torch.testing.assert_close(R @ R.mT, eye, atol=1e-9, rtol=0)
    assert bool((torch.linalg.det(R) > 0.999).all())
    half = (path.position[0] + path.position[4]) / 2
    torch.testing.assert_close(path.position[2], half)
