"""A picture's pixels come out as the colours of half blocks, whatever its size; what is no picture is none."""

from __future__ import annotations

from pathlib import Path

from PIL import Image

from tui.half_blocks import coloured_lines, plain_lines, read_pixels


def draw(path: Path, width: int, height: int) -> Path:
    image = Image.new("RGB", (width, height), (10, 20, 30))
    image.putpixel((0, 0), (255, 255, 255))
    image.save(path)
    return path


def test_two_pixels_share_a_cell(tmp_path: Path) -> None:
    pixels = read_pixels(draw(tmp_path / "a.png", 3, 3), 80, 40)
    assert pixels is not None
    lines = coloured_lines(pixels)
    assert len(lines) == 2
    assert lines[0] == "\x1b[38;2;255;255;255;48;2;10;20;30m▀\x1b[38;2;10;20;30;48;2;10;20;30m▀▀\x1b[0m"
    assert lines[1] == "\x1b[38;2;10;20;30;48;2;0;0;0m▀▀▀\x1b[0m"
    assert [len(line) for line in plain_lines(pixels)] == [3, 3]


def test_a_large_one_is_scaled_down_in_its_own_shape_and_a_small_one_stays(tmp_path: Path) -> None:
    large = read_pixels(draw(tmp_path / "a.png", 400, 100), 80, 40)
    assert large is not None
    assert (large.width, len(large.rows)) == (80, 20)
    high = read_pixels(draw(tmp_path / "b.png", 100, 400), 80, 40)
    assert high is not None
    assert (high.width, len(high.rows)) == (10, 40)
    small = read_pixels(draw(tmp_path / "c.png", 5, 2), 80, 40)
    assert small is not None
    assert (small.width, len(small.rows)) == (5, 2)


def test_what_is_no_picture_is_none(tmp_path: Path) -> None:
    whole = draw(tmp_path / "a.png", 50, 50).read_bytes()
    for content in (b"", b"no picture", whole[: len(whole) // 2]):
        (tmp_path / "b.png").write_bytes(content)
        assert read_pixels(tmp_path / "b.png", 80, 40) is None
    assert read_pixels(tmp_path / "missing.png", 80, 40) is None
