"""GPT-2: of a size, pretrained from a folder, and described in a run's folder."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from engine.errors import HeatsError
from engine.tasks.text.models import SIZES, describe, described, gpt2_config, new_model, pretrained_model
from engine.tasks.text.tokenizer import Tokenizer, pretrained_tokenizer


def test_sizes_are_gpt2s_own_where_they_bear_its_name(tokenizer: Tokenizer) -> None:
    config = gpt2_config("gpt2", tokenizer)
    assert (config.n_layer, config.n_head, config.n_embd, config.n_positions) == (12, 12, 768, 1024)
    assert gpt2_config("distilgpt2", tokenizer).n_layer == 6
    assert all(size.width % size.heads == 0 for size in SIZES.values())
    assert config.vocab_size == tokenizer.vocabulary


def test_a_model_saved_by_transformers_is_loaded_with_its_tokenizer(tokenizer: Tokenizer, tmp_path: Path) -> None:
    torch.manual_seed(0)
    saved = new_model(gpt2_config("nano", tokenizer, positions=32)).eval()
    saved.save_pretrained(tmp_path)
    tokenizer.save(tmp_path)
    found = pretrained_tokenizer(str(tmp_path))
    ids = torch.tensor(found.encode(["while the condition holds"]))
    model = pretrained_model(str(tmp_path), vocabulary=found.base).eval()
    assert torch.equal(model(ids).logits, saved(ids).logits)
    eager = pretrained_model(str(tmp_path), dropout=0.0, attention="eager")
    assert eager.config.attn_pdrop == 0.0
    assert torch.allclose(eager.eval()(ids).logits, saved(ids).logits, atol=1e-5)
    larger = pretrained_model(str(tmp_path), vocabulary=tokenizer.vocabulary + 3)
    assert larger.lm_head.weight.shape[0] == tokenizer.vocabulary + 3
    assert larger.lm_head.weight is larger.transformer.wte.weight


def test_a_run_says_what_its_model_and_tokenizer_are(tokenizer: Tokenizer, tmp_path: Path) -> None:
    assert described(tmp_path) is None
    config = gpt2_config("nano", tokenizer, dropout=0.0)
    describe(tmp_path, config, tokenizer)
    found = described(tmp_path)
    assert found is not None
    assert found.tokenizer.digest == tokenizer.digest
    again = found.config(attention="eager")
    assert again.to_dict() | {"attn_pdrop": 0.0} == config.to_dict()
    assert found.config(dropout=0.3).resid_pdrop == 0.3
    (tmp_path / "model" / "tokenizer.json").write_text("{")
    assert described(tmp_path) is None


def test_a_model_that_is_not_there_is_one_clear_sentence(tmp_path: Path) -> None:
    with pytest.raises(HeatsError, match="the pretrained model `gpt2-of-nobody` is not on this machine"):
        pretrained_model("gpt2-of-nobody")
    (tmp_path / "config.json").write_text('{"model_type": "bert"}')
    with pytest.raises(HeatsError, match="is a bert, not a gpt2"):
        pretrained_model(str(tmp_path))
