"""The options of a server that shows labels and links of tasks."""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from taskstream.compose.remedies import message_of
from taskstream.consumer.errors import LabelsUnusable, LinkUnfillable
from taskstream.consumer.task_context.link_templates import LinkTemplate, link_template
from taskstream.consumer.task_context.task_context import TaskContext

Command = TypeVar("Command", bound=Callable[..., Any])


class _Link(click.ParamType[LinkTemplate]):
    name = "NAME=URL"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> LinkTemplate:
        name, equals, template = str(value).partition("=")
        if not equals:
            self.fail(f"{value!r} is no link: write NAME=URL, such as logs=https://logs/?task={{task_id}}", param, ctx)
        try:
            return link_template(name, template)
        except ValueError as error:
            self.fail(str(error), param, ctx)


def task_context_options(command: Command) -> Command:
    """Give the command `context: TaskContext`."""

    @functools.wraps(command)
    def with_context(*args: Any, links: tuple[LinkTemplate, ...], labels_file: Path | None, **kwargs: Any) -> Any:
        try:
            context = TaskContext(links, labels_file)
        except LabelsUnusable as error:
            raise click.BadParameter(message_of(error), param_hint="--labels") from error
        except LinkUnfillable as error:
            remedy = "--labels FILE names the file" if labels_file is None else "correct --link or the file"
            raise click.BadParameter(f"{message_of(error)}; {remedy}", param_hint="--link") from error
        return command(*args, context=context, **kwargs)

    decorated: Any = click.option(
        "--link",
        "links",
        type=_Link(),
        multiple=True,
        help="A link on every task's page, such as logs=https://logs/?task={task_id}&host={host}: {task_id}, "
        "{project_id} and the columns of --labels are filled in. A link whose label a task lacks is left out. "
        "Repeatable.",
    )(
        click.option(
            "--labels",
            "labels_file",
            type=click.Path(path_type=Path, dir_okay=False),
            metavar="FILE",
            help="A CSV file with the columns project_id and task_id, and one for each label, such as host or owner. "
            "It is read again when it changes.",
        )(with_context)
    )
    return decorated  # type: ignore[no-any-return] # click's decorators return what they are given, options added
