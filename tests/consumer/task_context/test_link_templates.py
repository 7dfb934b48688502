"""Links of tasks: what becomes of a template, and what is said of one that cannot be used."""

from __future__ import annotations

from urllib.parse import unquote, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from taskstream.consumer.task_context.link_templates import link_template, links_of


def test_a_link_has_the_ids_and_the_labels_of_its_task():
    templates = [
        link_template("logs", "https://logs.example/{project_id}?task={task_id}"),
        link_template("host", "https://hosts.example/{host}"),
    ]
    ids = {"project_id": "p", "task_id": "t-1"}
    assert links_of(templates, ids | {"host": "db 7"}) == {
        "logs": "https://logs.example/p?task=t-1",
        "host": "https://hosts.example/db%207",
    }
    assert links_of(templates, ids).keys() == {"logs"}


@given(st.text().filter(lambda text: text.isprintable()))
def test_a_value_cannot_leave_its_place(value):
    (link,) = links_of([link_template("a", "https://h.example/x/{task_id}/end?q=1")], {"task_id": value}).values()
    address = urlsplit(link)
    assert (address.hostname, address.query, address.fragment) == ("h.example", "q=1", "")
    assert address.path.split("/")[1::2] == ["x", "end"]
    assert unquote(address.path.split("/")[2]) == value


@pytest.mark.parametrize(
    ("name", "template", "said"),
    [
        ("a b", "https://h/", "the name 'a b' of a link"),
        ("a", "https://h/{}", "is no placeholder"),
        ("a", "https://h/{task_id!r}", "is no placeholder"),
        ("a", "https://h/{task_id.x}", "is no placeholder"),
        ("a", "https://h/{task_id:>9}", "is no placeholder"),
        ("a", "https://h/{task_id", "is no template"),
        ("a", "javascript:alert({task_id})", "is no URL"),
        ("a", "h.example/{task_id}", "is no URL"),
        ("a", "https://h:port/{task_id}", "is no URL"),
        ("a", "https://{host}/x", "a placeholder in its host"),
        ("a", "https://h.example@{host}/x", "a placeholder in its host"),
    ],
)
def test_a_template_that_cannot_be_used_is_named_with_what_to_write(name, template, said):
    with pytest.raises(ValueError, match=said):
        link_template(name, template)
