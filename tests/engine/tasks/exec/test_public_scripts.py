"""Scripts of the shape that everybody knows, unmodified: launched, watched, stopped, listed and started again by heats.

PyTorch's MNIST example (its options, its prints, its loops; the data are scikit-learn's digits), a script of Hugging
Face's Trainer with a tiny GPT-2, and one of Lightning's.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from engine.launch.actions import resume, stop
from engine.store.files import read_json
from engine.store.paths import RunPaths, program
from engine.store.status import State
from tests.engine.tasks.exec.scripts import start, write
from tests.engine.tasks.exec.test_runs import curve
from tests.support import look, wait_for_state, wait_for_step, wait_until

pytestmark = pytest.mark.slow

MNIST = """
import argparse
import torch
import torch.nn as nn
import torch.nn.functional as F
import torch.optim as optim
from torch.optim.lr_scheduler import StepLR


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv1 = nn.Conv2d(1, 8, 3)
        self.fc1 = nn.Linear(288, 10)

    def forward(self, x):
        return F.log_softmax(self.fc1(torch.flatten(F.relu(self.conv1(x)), 1)), dim=1)


def train(args, model, loader, optimizer, epoch):
    model.train()
    for batch_idx, (data, target) in enumerate(loader):
        optimizer.zero_grad()
        loss = F.nll_loss(model(data), target)
        loss.backward()
        optimizer.step()
        if batch_idx % args.log_interval == 0:
            print('Train Epoch: {} [{}/{} ({:.0f}%)]\\tLoss: {:.6f}'.format(
                epoch, batch_idx * len(data), len(loader.dataset),
                100. * batch_idx / len(loader), loss.item()))


def test(model, loader):
    model.eval()
    test_loss, correct = 0, 0
    with torch.no_grad():
        for data, target in loader:
            output = model(data)
            test_loss += F.nll_loss(output, target, reduction='sum').item()
            correct += output.argmax(dim=1).eq(target).sum().item()
    test_loss /= len(loader.dataset)
    print('\\nTest set: Average loss: {:.4f}, Accuracy: {}/{} ({:.0f}%)\\n'.format(
        test_loss, correct, len(loader.dataset), 100. * correct / len(loader.dataset)))


def main():
    parser = argparse.ArgumentParser(description='digits')
    parser.add_argument('--batch-size', type=int, default=64)
    parser.add_argument('--epochs', type=int, default=3)
    parser.add_argument('--lr', type=float, default=1.0)
    parser.add_argument('--gamma', type=float, default=0.7)
    parser.add_argument('--seed', type=int, default=1)
    parser.add_argument('--log-interval', type=int, default=10)
    args = parser.parse_args()
    torch.manual_seed(args.seed)
    from sklearn.datasets import load_digits
    digits = load_digits()
    images = torch.tensor(digits.images, dtype=torch.float32)[:, None] / 16
    labels = torch.tensor(digits.target)
    whole = torch.utils.data.TensorDataset(images, labels)
    train_set, test_set = torch.utils.data.random_split(whole, [1500, 297])
    train_loader = torch.utils.data.DataLoader(train_set, batch_size=args.batch_size, shuffle=True)
    test_loader = torch.utils.data.DataLoader(test_set, batch_size=297)
    model = Net()
    optimizer = optim.Adadelta(model.parameters(), lr=args.lr)
    scheduler = StepLR(optimizer, step_size=1, gamma=args.gamma)
    for epoch in range(1, args.epochs + 1):
        train(args, model, train_loader, optimizer, epoch)
        test(model, test_loader)
        scheduler.step()


if __name__ == '__main__':
    main()
"""

TRAINER = """
import sys
import torch
from transformers import GPT2Config, GPT2LMHeadModel, Trainer, TrainingArguments, set_seed
%(imports)s
set_seed(0)
text = open(sys.argv[1], encoding="utf-8").read().encode()
block = 32
rows = [torch.tensor(list(text[at : at + block])) for at in range(0, len(text) - block, block)]
rows = [{"input_ids": row, "labels": row} for row in rows]
model = GPT2LMHeadModel(GPT2Config(vocab_size=256, n_positions=block, n_embd=16, n_layer=1, n_head=2))
arguments = TrainingArguments(
    output_dir=sys.argv[2], max_steps=int(sys.argv[3]), per_device_train_batch_size=4, logging_steps=2,
    eval_strategy="steps", eval_steps=10, save_strategy="no", report_to=[], use_cpu=True, disable_tqdm=%(quiet)s,
)
trainer = Trainer(model=model, args=arguments, train_dataset=rows[8:], eval_dataset=rows[:8], %(more)s)
trainer.train(%(resume)s)
"""
_PLAIN = {"imports": "", "quiet": False, "more": "", "resume": ""}
_TALKING = {
    "imports": "from engine.callbacks.transformers import HeatsCallback", "quiet": True,
    "more": "callbacks=[HeatsCallback()]", "resume": "resume_from_checkpoint=HeatsCallback.checkpoint()",
}  # fmt: skip

LIGHTNING = """
import sys, torch, warnings
import lightning.pytorch as pl
from engine.callbacks.lightning import HeatsCallback

warnings.filterwarnings("ignore")

class Net(pl.LightningModule):
    def __init__(self):
        super().__init__()
        self.layer = torch.nn.Linear(4, 1)
    def training_step(self, batch, index):
        loss = self.layer(batch[0]).pow(2).mean()
        self.log("train/loss", loss)
        return loss
    def validation_step(self, batch, index):
        self.log("val/loss", self.layer(batch[0]).pow(2).mean())
    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.01)

def main():
    torch.manual_seed(0)
    data = torch.utils.data.DataLoader(torch.utils.data.TensorDataset(torch.randn(80, 4)), batch_size=8)
    trainer = pl.Trainer(
        max_steps=int(sys.argv[1]), max_epochs=-1, log_every_n_steps=1, callbacks=[HeatsCallback()], logger=False,
        enable_checkpointing=False, enable_progress_bar=False, enable_model_summary=False, accelerator="cpu",
    )
    trainer.fit(Net(), data, data, ckpt_path=HeatsCallback.checkpoint())

if __name__ == "__main__":
    main()
"""


def heats(root: Path, *words: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """A heats command, as a person types it."""
    command = [*program("tui.cli"), "--runs-dir", str(root), *words]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)


def real_text(tmp_path: Path) -> Path:
    """Some English: the licence that lies beside every copy of heats."""
    path = tmp_path / "text.txt"
    path.write_text((Path(__file__).parents[4] / "LICENSE").read_text())
    return path


def test_the_mnist_example_is_launched_watched_stopped_and_listed(store_root: Path, tmp_path: Path) -> None:
    pytest.importorskip("sklearn")
    folder = write(tmp_path / "work", MNIST, "main.py")
    done = heats(
        store_root, "launch", "exec", "--detach", "--", sys.executable, "main.py", "--lr", "0.5", folder=folder
    )
    assert done.returncode == 0, done.stderr
    (run,) = [RunPaths(path) for path in store_root.glob("*_exec-main_*")]
    found = wait_for_state(run, State.FINISHED)
    assert set(found.metrics) == {"train/loss", "test/loss", "test/accuracy"}
    assert found.metrics["test/accuracy"] > 0.8
    assert found.step > 3000  # samples, over the epochs
    assert sorted(curve(run, "test/accuracy")) == list(curve(run, "test/accuracy"))
    assert len(curve(run, "test/accuracy")) == 3
    long = ("launch", "exec", "--detach", "--", sys.executable, "main.py", "--epochs", "100000", "--log-interval", "1")
    assert heats(store_root, *long, folder=folder).returncode == 0
    live = json.loads(heats(store_root, "list", "--json", folder=folder).stdout)[0]
    assert live["status"] in ("starting", "running")
    second = RunPaths(store_root / live["id"])
    wait_for_step(second, 1000)
    assert heats(store_root, "stop", live["id"], folder=folder).returncode == 0
    wait_for_state(second, State.STOPPED)
    shown = heats(store_root, "show", live["id"], folder=folder)
    assert "figures from" in shown.stdout
    assert "output (name: number" in shown.stdout


def test_a_script_of_hugging_faces_trainer_runs_unmodified(store_root: Path, tmp_path: Path) -> None:
    pytest.importorskip("accelerate")  # which the Trainer of transformers needs
    folder = write(tmp_path / "work", TRAINER % _PLAIN)
    run = start(store_root, folder, f"python train.py {real_text(tmp_path)} out 20").run
    found = wait_for_state(run, State.FINISHED, seconds=400)
    assert (found.step, found.total_steps) == (20, 20)
    assert {"train/loss", "val/loss", "train/lr", "train/grad_norm"} <= set(found.metrics)
    assert list(curve(run, "val/loss")) == [10, 20]


def test_hugging_faces_trainer_saves_when_asked_to_stop_and_goes_on(store_root: Path, tmp_path: Path) -> None:
    pytest.importorskip("accelerate")  # which the Trainer of transformers needs
    folder = write(tmp_path / "work", TRAINER % _TALKING)
    run = start(store_root, folder, f"python train.py {real_text(tmp_path)} {{run_dir}} 100000").run
    wait_for_step(run, 10, seconds=400)
    assert look(run).total_steps == 100000
    stop(run)
    wait_for_state(run, State.STOPPED, seconds=400)
    (saved,) = run.script.glob("checkpoint-*")
    stopped_at = int(saved.name.rpartition("-")[2])
    resume(run)
    wait_until(lambda: look(run).step > stopped_at, 400, "the second attempt")
    stop(run, now=True)
    wait_for_state(run, State.STOPPED, State.KILLED, seconds=400)
    second = RunPaths(run.folder).attempt(2)
    first_row = json.loads(second.metrics.read_text().splitlines()[0])
    assert first_row["step"] in (stopped_at + 1, stopped_at + 2)
    assert next(item["kind"] for item in (read_json(second.sources) or {})["sources"]) == "track"


def test_lightnings_trainer_saves_when_asked_to_stop_and_goes_on(store_root: Path, tmp_path: Path) -> None:
    pytest.importorskip("lightning")
    folder = write(tmp_path / "work", LIGHTNING)
    run = start(store_root, folder, "python train.py 1000000").run
    wait_for_step(run, 20, seconds=400)
    assert look(run).total_steps == 1000000
    stop(run)
    found = wait_for_state(run, State.STOPPED, seconds=400)
    assert "exit code 0" in found.reason
    assert {"train/loss", "val/loss"} <= set(found.metrics)
    (saved,) = run.script.glob("heats-step-*.ckpt")
    stopped_at = int(saved.stem.rpartition("-")[2])
    assert os.path.getsize(saved)
    resume(run)
    wait_until(lambda: look(run).step > stopped_at, 400, "the second attempt")
    stop(run, now=True)
    wait_for_state(run, State.STOPPED, State.KILLED, seconds=400)
