"""Light conversion of a command line's words.

Typer converts every option through pydantic, whose import takes longer than `heats list` may take in all. The few
types that our verbs use are converted here instead; a type that isn't among them is left to Typer.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

from engine.errors import HeatsError


def lighten(command: Any) -> None:
    """Give a Typer command's parameters the light conversion, where this version of Typer has a place for it."""
    for parameter in command.params:
        _lighten_parameter(parameter)
    make_help_option = command.get_help_option

    def light_help_option(context: Any) -> Any:  # made by Typer when it is first asked for
        option = make_help_option(context)
        _lighten_parameter(option)
        return option

    command.get_help_option = light_help_option


def _lighten_parameter(parameter: Any) -> None:
    descriptor = getattr(parameter, "type_descriptor", None)
    if descriptor is None or not hasattr(parameter, "_runtime_param"):
        return
    convert = _converter(descriptor.annotation, getattr(descriptor.parameter_info, "min", None))
    if convert is not None:
        parameter._runtime_param = _LightParam(convert)
    if parameter.param_type_name == "argument":
        # Help says `RUN`, not `RUN <str>`: everything on a command line is text.
        parameter.display_type = lambda ctx: ""


class _LightParam:
    """Stands where Typer keeps its own converter of a parameter."""

    def __init__(self, convert: Callable[[Any, str], Any]) -> None:
        self._convert = convert

    def coerce(self, value: Any, param: Any, ctx: Any) -> Any:
        many = param.multiple or param.nargs == -1
        if value is None:
            return () if many else None
        place = max(param.opts, key=len) if param.param_type_name == "option" else (param.metavar or param.name)
        return [self._convert(item, place) for item in value] if many else self._convert(value, place)


def _converter(annotation: Any, least: float | None) -> Callable[[Any, str], Any] | None:
    if get_origin(annotation) is list:
        return _converter(get_args(annotation)[0], least)
    if get_origin(annotation) is Literal:
        choices = get_args(annotation)
        return lambda value, place: _choice(value, choices, place)
    if annotation is int:
        return lambda value, place: _whole_number(value, least, place)
    if annotation is str or annotation is Path:
        return lambda value, place: annotation(value)
    return (lambda value, place: value) if annotation is bool else None


def _choice(value: Any, choices: tuple[Any, ...], place: str) -> Any:
    if value in choices:
        return value
    import difflib

    close = difflib.get_close_matches(str(value), [str(choice) for choice in choices], n=1)
    remedy = f"did you mean `{close[0]}`?" if close else f"choose one of {', '.join(map(str, choices))}"
    raise HeatsError(f"`{value}` is no choice", place=place, remedy=remedy)


def _whole_number(value: Any, least: float | None, place: str) -> int:
    try:
        number = int(value)
    except ValueError:
        raise HeatsError(f"`{value}` is no whole number", place=place) from None
    if least is not None and number < least:
        raise HeatsError(f"{number} is too small", place=place, remedy=f"give {least:g} or more")
    return number
