"""The properties of Kafka clients: how they are parsed, and that no output shows a secret."""

from __future__ import annotations

import stat

import click
import pytest
from click.testing import CliRunner
from confluent_kafka.admin import AdminClient

from taskstream.compose.cli.options.kafka_options import kafka_options, optional_kafka_options
from taskstream.compose.errors import KafkaPropertyError
from taskstream.compose.kafka_client import (
    HIDDEN,
    KafkaClient,
    check_properties,
    kafka_client,
    parse_assignments,
    read_properties,
    redacted,
    write_properties,
)
from taskstream.compose.remedies import message_of

SECRETS = [
    "sasl.password",
    "ssl.key.password",
    "ssl.keystore.password",
    "ssl.key.pem",
    "ssl.certificate.pem",
    "ssl.ca.pem",
    "sasl.oauthbearer.client.secret",
    "sasl.oauthbearer.config",
    "sasl.oauthbearer.assertion.private.key.passphrase",
    "sasl.oauthbearer.assertion.private.key.pem",
    "SASL.PASSWORD",
]


def test_assignments_are_parsed_and_the_last_of_a_name_wins():
    parsed = parse_assignments(["acks=1", "client.id = me ", "acks=all", "sasl.password=a=b"])
    assert parsed == {"acks": "all", "client.id": "me", "sasl.password": "a=b"}


@pytest.mark.parametrize("assignment", ["acks", "=all", "", "  =x"])
def test_a_malformed_assignment_is_named_with_its_number(assignment):
    with pytest.raises(KafkaPropertyError, match=r"-X, setting 2: .* is not of the form key=value"):
        parse_assignments(["acks=all", assignment])


def test_a_secret_without_an_equals_sign_is_not_shown():
    with pytest.raises(KafkaPropertyError) as refused:
        parse_assignments(["sasl.password:hunter2"])
    assert "hunter2" not in str(refused.value)


def test_a_file_is_parsed_line_by_line_without_escapes(tmp_path):
    path = tmp_path / "kafka.properties"
    path.write_text("# ours\n\nacks = all\n! old\nsasl.password=a\\nb#c\nssl.key.pem=BEGIN\\nEND\n", encoding="utf-8")
    assert read_properties(path) == {"acks": "all", "sasl.password": "a\\nb#c", "ssl.key.pem": "BEGIN\nEND"}


def test_a_malformed_line_of_a_file_is_named_with_its_number(tmp_path):
    path = tmp_path / "kafka.properties"
    path.write_text("acks=all\nnonsense\n", encoding="utf-8")
    with pytest.raises(KafkaPropertyError, match=r"kafka\.properties:2"):
        read_properties(path)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(KafkaPropertyError, match=r"absent\.properties"):
        read_properties(tmp_path / "absent.properties")


def test_written_properties_are_read_back_and_only_the_owner_can_read_them(tmp_path):
    path = tmp_path / "kafka.properties"
    properties = {"sasl.password": "a=b\\n #", "ssl.key.pem": "BEGIN\nxyz\nEND"}
    path.write_text("open to all", encoding="utf-8")
    write_properties(path, properties)
    assert read_properties(path) == properties
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


@pytest.mark.parametrize("name", SECRETS)
def test_a_secret_is_not_shown(name):
    properties = {name: "hunter2", "acks": "all"}
    assert redacted(properties) == {name: HIDDEN, "acks": "all"}
    shown = f"{KafkaClient('b:1', properties)!r} {KafkaClient('b:1', properties)}"
    assert "hunter2" not in shown
    assert "acks" in shown


def test_a_url_with_a_password_is_not_shown():
    assert redacted({"https.proxy": "http://me:hunter2@proxy:80"}) == {"https.proxy": HIDDEN}


def test_the_caller_s_properties_override_the_operator_s():
    client = KafkaClient("b:1", {"acks": "0", "client.id": "me"})
    config = client.config(**{"acks": "all", "enable.idempotence": True})
    assert config == {"bootstrap.servers": "b:1", "acks": "all", "client.id": "me", "enable.idempotence": True}


def test_changing_a_returned_config_does_not_change_the_client():
    client = KafkaClient("b:1", {"acks": "0"})
    client.config()["acks"] = "all"
    assert client.config()["acks"] == "0"


@pytest.mark.parametrize(
    "properties, message",
    [
        ({"liner.ms": "5"}, 'No such configuration property: "liner.ms"'),
        ({"compression.codec": "brotli"}, 'Invalid value "brotli"'),
        ({"sasl.mechanism": "PLAIN", "security.protocol": "sasl_ssl"}, "sasl.username and sasl.password must be set"),
        ({"sasl.jaas.config": "x"}, "JAAS"),
    ],
)
def test_properties_that_librdkafka_rejects_are_refused_with_its_message(properties, message):
    with pytest.raises(KafkaPropertyError, match="librdkafka rejects the settings") as refused:
        check_properties(properties)
    assert message in str(refused.value)


def test_properties_of_consumers_and_of_producers_are_both_accepted():
    check_properties({"acks": "all", "fetch.min.bytes": "1", "group.id": "g"})


def test_brokers_in_the_properties_are_used_without_the_option():
    named = {"bootstrap.servers": "file:1", "acks": "all"}
    assert kafka_client(None, named) == KafkaClient("file:1", {"acks": "all"})
    assert kafka_client("option:1", named).bootstrap_servers == "option:1"


def test_no_brokers_at_all_is_an_error_and_the_remedy_names_the_option():
    with pytest.raises(KafkaPropertyError, match="no Kafka brokers are named") as refused:
        kafka_client(None, {})
    assert message_of(refused.value) == "no Kafka brokers are named; give --bootstrap-servers HOST:PORT"


def test_a_client_reaches_a_real_broker(broker):
    client = kafka_client(broker.bootstrap_servers, {**broker.properties, "client.id": "me"})
    assert AdminClient(client.config()).list_topics(timeout=60).brokers


@click.command(context_settings={"auto_envvar_prefix": "TASKSTREAM_SHOW"})
@kafka_options
def show(kafka: KafkaClient) -> None:
    click.echo(repr(kafka))


@click.command()
@optional_kafka_options
def show_optional(kafka: KafkaClient) -> None:
    click.echo(repr(kafka))


def test_the_command_line_overrides_the_file(tmp_path):
    path = tmp_path / "kafka.properties"
    path.write_text("client.id=file\nacks=1\nsasl.password=hunter2\n", encoding="utf-8")
    done = CliRunner().invoke(
        show, ["--bootstrap-servers", "b:1", "--kafka-config", str(path), "-X", "client.id=me", "-X", "linger.ms=1"]
    )
    assert done.exit_code == 0
    assert done.output == (
        f"KafkaClient('b:1', {{'client.id': 'me', 'acks': '1', 'sasl.password': '{HIDDEN}', 'linger.ms': '1'}})\n"
    )


def test_the_environment_is_used_without_the_options():
    environment = {"TASKSTREAM_BOOTSTRAP_SERVERS": "env:1", "TASKSTREAM_KAFKA_PROPERTIES": "acks=1 client.id=me"}
    done = CliRunner().invoke(show, [], env=environment)
    assert done.output == "KafkaClient('env:1', {'acks': '1', 'client.id': 'me'})\n"


@pytest.mark.parametrize("arguments", [[], ["--bootstrap-servers", "b:1", "-X", "nonsense"]])
def test_wrong_settings_are_wrong_usage(arguments):
    done = CliRunner().invoke(show, arguments)
    assert done.exit_code == 2
    assert "Error: " in done.output


def test_brokers_can_be_optional():
    done = CliRunner().invoke(show_optional, ["-X", "acks=1"])
    assert done.output == "KafkaClient('', {'acks': '1'})\n"
