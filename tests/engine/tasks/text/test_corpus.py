"""Corpora: whole, in three parts that share nothing, from every place that a user may name."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine.errors import HeatsError
from engine.tasks.text.corpus import Corpus, lines, load_corpus

_ARTICLES = [
    line
    for number in range(12)
    for line in (
        "",
        f" = Article {number} = \n",
        "",
        f" Of the number {number} . \n",
        " = = Section = = \n",
        " More . \n",
    )
]


def _paragraphs(documents: tuple[str, ...]) -> set[str]:
    plain = (" ".join(piece.split()) for document in documents for piece in document.split("\n\n"))
    return {piece for piece in plain if len(piece) >= 100}


def test_the_embedded_corpus_is_split_by_topic_and_no_long_paragraph_is_in_two_parts(embedded: Corpus) -> None:
    from pydoc_data.topics import topics

    sizes = [sum(map(len, embedded.part(part))) for part in ("train", "validation", "test")]
    assert sum(sizes) > 0.95 * sum(map(len, set(topics.values())))
    assert all(0.08 < size / sum(sizes) < 0.1001 for size in sizes[1:])
    train, validation, test = (_paragraphs(part) for part in (embedded.train, embedded.validation, embedded.test))
    assert not train & validation
    assert not train & test
    assert not validation & test
    for topic in topics.values():
        holders = [
            part for part in ("train", "validation", "test") if any(topic.strip() in t for t in embedded.part(part))
        ]
        assert len(holders) == 1, "a topic is whole in one part"


def test_it_is_the_same_every_time(embedded: Corpus) -> None:
    assert load_corpus("embedded").digests == embedded.digests


def test_a_text_file_is_cut_into_stretches_that_give_it_back(tmp_path: Path) -> None:
    text = "".join(f"Line {number} of the file.\n" for number in range(100))
    (tmp_path / "text.txt").write_text(text)
    found = load_corpus(str(tmp_path / "text.txt"))
    assert "".join(found.train + found.validation + found.test) == text
    assert 0.75 < len(found.train[0]) / len(text) < 0.85


def test_files_that_are_called_after_the_parts_are_those_parts(tmp_path: Path) -> None:
    for name in ("train", "valid", "test"):
        (tmp_path / f"wiki.{name}.tokens").write_text(f"Text of {name}.")
    found = load_corpus(str(tmp_path))
    assert (found.train, found.validation, found.test) == (
        ("Text of train.",),
        ("Text of valid.",),
        ("Text of test.",),
    )


def test_a_folder_of_documents_is_divided_whole_document_by_whole_document(tmp_path: Path) -> None:
    texts = {f"Document {number} says {number * 7919}. " * 20 for number in range(40)}
    for number, text in enumerate(sorted(texts)):
        (tmp_path / f"{number}.md").write_text(text)
    found = load_corpus(str(tmp_path))
    assert set(found.train) | set(found.validation) | set(found.test) == texts
    assert len(found.train) + len(found.validation) + len(found.test) == 40


def test_documents_too_long_for_a_tenth_are_cut_as_one_text(tmp_path: Path) -> None:
    """One short document among long ones would be all that is held out, and the test empty."""
    for number in range(10):
        (tmp_path / f"{number}.txt").write_text("short\n" if number == 5 else f"Line of {number}.\n" * 30)
    found = load_corpus(str(tmp_path))
    assert len(found.train) == len(found.validation) == len(found.test) == 1
    assert "short" in found.train[0]
    assert len(found.test[0]) == pytest.approx(0.1 * 30 * 9 * 11, rel=0.1)


def test_a_data_set_saved_to_disk_is_read_and_its_lines_become_articles(tmp_path: Path) -> None:
    import datasets

    parts = {name: datasets.Dataset.from_dict({"text": _ARTICLES}) for name in ("train", "validation", "test")}
    datasets.DatasetDict(parts).save_to_disk(str(tmp_path / "wikitext-2"))
    found = load_corpus("wikitext-2", tmp_path)
    assert len(found.train) == len(found.validation) == 12
    assert " ".join(found.test[3].split()) == "= Article 3 = Of the number 3 . = = Section = = More ."
    alone = tmp_path / "alone"
    datasets.Dataset.from_dict({"text": _ARTICLES}).save_to_disk(str(alone))
    whole = load_corpus(str(alone))
    assert sorted(whole.train + whole.validation + whole.test) == sorted(found.train)


def test_what_is_not_there_is_one_clear_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(HeatsError, match="there is no corpus `nowhere`"):
        load_corpus("nowhere")
    with pytest.raises(HeatsError, match="wikitext-103 is not on this machine") as caught:
        load_corpus("wikitext-103", tmp_path)
    assert "data.download=true" in (caught.value.remedy or "")
    (tmp_path / "short.txt").write_text("One line.\n")
    with pytest.raises(HeatsError, match="too little text"):
        load_corpus(str(tmp_path / "short.txt"))
    (tmp_path / "binary.txt").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(HeatsError, match="no text in UTF-8"):
        load_corpus(str(tmp_path / "binary.txt"))


def test_lines_leave_empty_ones_out() -> None:
    assert lines(["a\n\n b\n", " \nc"]) == ["a", " b", "c"]
