"""bench/priors.py: its tiny configuration runs, and its others have the real models' sizes."""

import json
from pathlib import Path

import pytest
import torch

from bench import priors

pytestmark = pytest.mark.weights


def test_the_tiny_configuration_runs_on_a_cpu(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = "--models tiny --pixels 16 --device cpu --repeats 1 --out".split()
    priors.main([*asked, str(tmp_path)])
    rows = json.loads((tmp_path / "priors.json").read_text())["rows"]
    assert len(rows) == 6 and all(row["milliseconds"] > 0 == row["gib"] for row in rows)
    said = capsys.readouterr().out
    assert said == (tmp_path / "priors.md").read_text() + "\n"
    for name in ("ours", "incumbent", "incumbent, no decoding"):
        assert f"| tiny | {name} | 16 |" in said


@pytest.mark.parametrize(
    ("model", "millions"), [("sd15", 859.5), ("sd21", 865.9), ("sdxl", 2567.5), ("sd3", 2028.3)]
)
def test_the_networks_have_the_models_own_number_of_weights(model: str, millions: float) -> None:
    with torch.device("meta"):
        made = priors.network(model)
        vae = priors.autoencoder(model)
    assert sum(p.numel() for p in made.parameters()) / 1e6 == pytest.approx(millions, rel=5e-4)
    assert sum(p.numel() for p in vae.parameters()) / 1e6 == pytest.approx(83.7, rel=5e-3)
