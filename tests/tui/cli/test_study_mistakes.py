"""Mistakes in a study file, by the command line: one sentence with file, line and key, and nothing is made."""

from __future__ import annotations

from pathlib import Path

import pytest

from tui.cli.root import run as heats_here

CLAIM = "hypothesis: {better: latent, than: simple, metric: val/exact_match, mode: max, by: 0.01}"
GOOD = f"""\
question: Does it help?
{CLAIM}
task: multiplication
base:
  train: {{max_steps: 40, batch_size: 16}}
  model.d_model: 16
  model.num_heads: 2
arms:
  simple: {{model.kind: simple}}
  latent: {{model.kind: latent, model.num_latent: 2}}
seeds: [0, 1, 2]
presets:
  smoke:
    base: {{train.max_steps: 5}}
    seeds: [7]
"""
SEEDS = "seeds: [0, 1, 2]"
NEEDS = f"{SEEDS}\nneeds: "
OTHER = GOOD + "needs: {optim.lr: study#best}\n"
"""A study of the same folder that needs the one under test."""


def search(space: str, method: str = "random") -> tuple[tuple[str, str], ...]:
    """A search in the claim's place."""
    return (CLAIM, f"metric: val/loss\nsearch: {{method: {method}, trials: 3, space: {{{space}}}}}"), (SEEDS, "")


@pytest.mark.parametrize(
    ("changes", "line", "said"),
    [
        # keys and values of the file
        ((("question:", "qestion:"),), 1, "unknown key `qestion`; did you mean `question`?"),
        ((("mode: max", "moode: max"),), 2, "unknown key `hypothesis.moode`; did you mean `mode`?"),
        ((("mode: max", "mode: most"),), 2, "`hypothesis.mode`: should be 'min' or 'max'"),
        (((SEEDS, "budget: {max_parallel: 0}"),), 11, "`budget.max_parallel`: should be greater than 0"),
        (((SEEDS, "target: high"),), 11, "`target`: should be a valid number"),
        (((SEEDS, "allow: [all]"),), 11, "`allow.0`: should be 'failed', 'suspect' or 'commits'"),
        ((("task: multiplication", "task: multiplicaton"),), 3, "unknown task `multiplicaton`; did you mean"),
        (((SEEDS, "seeds: [0\n"),), 13, "is no valid YAML"),
        ((("  model.d_model: 16", "\tmodel.d_model: 16"),), 6, "is no valid YAML"),
        # seeds
        (((SEEDS, "seeds: 5"),), 11, "`seeds` must be a list, such as [0, 1, 2]"),
        (((SEEDS, "seeds: []"),), 11, "`seeds` is empty"),
        (((SEEDS, "seeds: [0, one]"),), 11, "`seeds.1`: should be a valid integer"),
        (((SEEDS, "seeds: [0, -1]"),), 11, "`seeds.1`: should be greater than or equal to 0"),
        (((SEEDS, "seeds: [true]"),), 11, "`seeds`: a seed is a whole number"),
        (((SEEDS, "seeds: [0, 1, 1]"),), 11, "`seeds`: seed 1 is given twice"),
        # claims
        ((("better: latent", "better: latnet"),), 2, "there is no arm `latnet`; did you mean `latent`?"),
        ((("than: simple", "than: latent"),), 2, "`latent` is compared with itself"),
        ((("than: simple", "than: [simple, simple]"),), 2, "latent is compared with simple twice"),
        ((("than: simple", "than: []"),), 2, "`hypothesis.than` is empty"),
        ((("by: 0.01", "by: -1"),), 2, "`hypothesis.by`: should be greater than or equal to 0"),
        ((("by: 0.01", "by: .nan"),), 2, "`hypothesis.by`: should be a finite number"),
        ((("val/exact_match", "val/exact_mach"),), 2, "no metric `val/exact_mach`; did you mean `val/exact_match`?"),
        (((CLAIM, "metric: val/lss"),), 2, "logs no metric `val/lss`; did you mean `val/loss`?"),
        # arms and grids
        ((("  latent: {model", "  simple: {model"),), 10, "`simple` is given twice"),
        ((("model.kind: latent, model.num_latent: 2", "model.kind: simple"),), 10, "and latent have the same config"),
        ((("simple: {model.kind: simple}", "simple:"),), 9, "`arms.simple` must hold `key: value` lines"),
        ((("arms:", "factors: {optim.lr: []}\narms:"),), 8, "`optim.lr` has no values: the grid is empty"),
        ((("arms:", "factors: {optim.lr: 3}\narms:"),), 8, "`factors.optim.lr` must be a list"),
        ((("arms:", "factors: {optim.lr: [0.1, 0.1]}\narms:"),), 8, "`optim.lr` holds 0.1 twice"),
        ((("arms:", "factors: {model.kind: [simple, latent]}\narms:"),), 8, "`model.kind` is both in an arm and a"),
        (((CLAIM, ""), ("arms:", "factors: {optim.lr: [0.1, fast]}\narms:")), 8, "`optim.lr` = 'fast'"),
        ((("arms:", "zip: {optim.lr: [0.1], optim.eps: [0.1, 0.2]}\narms:"),), 8, "differ in length"),
        ((("arms:", "zip: {optim.lr: []}\narms:"),), 8, "the lists under zip are empty"),
        # options
        ((("max_steps: 40", "max_step: 40"),), 5, "unknown key `train.max_step`; did you mean `train.max_steps`?"),
        ((("max_steps: 40", "max_steps: many"),), 5, "`train.max_steps` = 'many'"),
        ((("model.d_model: 16", "seed: 4"),), 6, "`seed` belongs under `seeds`"),
        ((("model.kind: simple", "model.knd: simple"),), 9, "unknown key `model.knd`; did you mean `model.kind`?"),
        ((("model.kind: simple", "model.kind: simpel"),), 9, "`model.kind` = 'simpel': is no choice"),
        # presets: a misspelt key is found in those too that aren't asked for
        ((("    seeds: [7]", "    sedes: [7]"),), 15, "unknown key `sedes` in the preset smoke; did you mean `seeds`?"),
        ((("    base: {train.max_steps: 5}\n    seeds: [7]", "    5"),), 13, "preset `smoke` must hold `key:"),
        # needs
        (((SEEDS, NEEDS + "{optim.lr: study#best}"),), 12, "its needs go in a circle: study -> study"),
        (((SEEDS, NEEDS + "{optim.lr: other}"),), 12, "`other` says nothing that can be found"),
        (((SEEDS, NEEDS + "{optim.lr: othr#best}"),), 12, "there is no study `othr`"),
        (((SEEDS, NEEDS + "{optim.lrr: plain#best}"),), 12, "unknown option `optim.lrr`; did you mean `optim.lr`?"),
        (((SEEDS, NEEDS + "{optim.lr: 'plain#best:optim.lrr'}"),), 12, "has no option `optim.lrr`"),
        (((SEEDS, NEEDS + "{optim.lr: 'plain#run:nobody'}"),), 12, "has no arm `nobody`"),
        # searches
        (search("optim.lrr: {low: 0.1, high: 1}"), 3, "unknown key `optim.lrr`; did you mean `optim.lr`?"),
        (search("optim.lr: {low: 1}"), 3, "`optim.lr` needs low and high, or values"),
        (search("optim.lr: {values: []}"), 3, "`optim.lr` has no values: the grid is empty"),
        (search("optim.lr: {low: 1, high: 0.1}"), 3, "low (1) must be less than high (0.1)"),
        (search("optim.lr: {low: 0, high: 0.1, log: true}"), 3, "a logarithmic scale needs low above 0"),
        (search("optim.lr: {values: [0.1, fast]}"), 3, "`optim.lr` = 'fast'"),
        (search("optim.lr: {low: 0.1, high: 1}", "grid"), 3, "a grid needs values for `optim.lr`"),
        (search(""), 3, "`search.space` is empty"),
        (((SEEDS, "search: {space: {optim.lr: {values: [0.1, 0.2]}}}"),), 2, "a search makes no claim about arms"),
    ],
)  # fmt: skip
def test_a_mistake_is_one_sentence_with_its_line_and_makes_nothing(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    changes: tuple[tuple[str, str], ...],
    line: int,
    said: str,
) -> None:
    text = GOOD
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    complaint = refused(tmp_path, monkeypatch, capsys, text)
    assert complaint.startswith(f"heats: experiments/study.yaml, line {line}: ")
    assert said in complaint


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "experiments/study.yaml: `question` is missing"),
        ("- one\n- two\n", "experiments/study.yaml: must hold `key: value` lines"),
        (GOOD.replace("arms:\n", "factors:\n").replace("simple: {", "a: {"), "`factors.a` must be a list"),
        ("question: Why?\ntask: multiplication\n", "the study has no arms; give it `arms`, `factors` or `zip`"),
        (GOOD + "needs: {optim.lr: other#best}\n", "other.yaml, line 16: its needs go in a circle: study -> other"),
    ],
)  # fmt: skip
def test_mistakes_of_a_whole_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], text: str, said: str
) -> None:
    assert said in refused(tmp_path, monkeypatch, capsys, text)


@pytest.mark.parametrize(
    ("preset", "change", "said"),
    [
        ("smok", ("", ""), "line 12: there is no preset `smok`; did you mean `smoke`?"),
        ("smoke", ("train.max_steps: 5", "train.max_step: 5"), "line 14: unknown key `train.max_step`; did you mean"),
        ("smoke", ("train.max_steps: 5", "train.max_steps: soon"), "line 14: `train.max_steps` = 'soon'"),
        ("smoke", ("seeds: [7]", "seeds: [7, 7]"), "line 15: `seeds`: seed 7 is given twice"),
    ],
)
def test_mistakes_of_a_preset(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    preset: str,
    change: tuple[str, str],
    said: str,
) -> None:
    assert said in refused(tmp_path, monkeypatch, capsys, GOOD.replace(*change) if change[0] else GOOD, preset)


def refused(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], text: str, preset: str = ""
) -> str:
    """What `heats study run` says of such a file. It must make nothing, and be one line with exit code 2."""
    (folder / "experiments").mkdir()
    for name, content in (("study", text), ("other", OTHER), ("plain", GOOD)):
        (folder / "experiments" / f"{name}.yaml").write_text(content)
    monkeypatch.chdir(folder)
    words = ["study", "run", "experiments/study.yaml", "--detach", *(["--preset", preset] if preset else [])]
    code = heats_here(words)
    output = capsys.readouterr()
    assert (code, output.out) == (2, "")
    assert output.err.count("\n") == 1
    made = {path.relative_to(folder / "runs").as_posix() for path in (folder / "runs").rglob("*")}
    assert made <= {".store.json"}  # what a need of another study says is read from the store
    return output.err
