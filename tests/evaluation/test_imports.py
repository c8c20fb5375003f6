import subprocess
import sys

RUN = """
import sys

for name in ("lightning", "pytorch_lightning", "jsonargparse", "rich", "yaml", "tensorboard"):
    sys.modules[name] = None  # importing it fails as if it were not installed

import torch
from protoxai import ScaleProtoSeg
from protoxai.evaluation import Scores, evaluate, sliding_logits

model = ScaleProtoSeg(torch.nn.Conv2d(3, 8, 3, stride=8), 2, prototype_dim=4)
images, labels = torch.rand(1, 3, 32, 40), torch.zeros(1, 32, 40).long()
batch = {"image": images, "labels": labels}
scores = evaluate(model, [batch], logits_of=lambda x: sliding_logits(model, x, (32, 32), (8, 8)))
assert isinstance(scores, Scores)
print(scores.prototypes)
"""


def test_evaluation_runs_without_the_training_extra() -> None:
    finished = subprocess.run(
        [sys.executable, "-c", RUN], capture_output=True, text=True, timeout=300
    )
    assert finished.returncode == 0, finished.stderr
    assert finished.stdout.strip() == "24"
