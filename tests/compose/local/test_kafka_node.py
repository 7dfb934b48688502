"""The files of a Kafka node: java reads the written values, and storage is complete or absent."""

from __future__ import annotations

from taskstream.compose.local.kafka_node import KafkaNode


def properties(path):
    return dict(line.split("=", 1) for line in path.read_text("ascii").splitlines() if not line.startswith("#"))


def test_the_ports_are_in_the_properties(tmp_path):
    node = KafkaNode(tmp_path, 19092, 19093)
    node.write()
    written = properties(node.properties_file)
    assert written["listeners"] == "PLAINTEXT://127.0.0.1:19092,CONTROLLER://127.0.0.1:19093"
    assert written["advertised.listeners"] == "PLAINTEXT://127.0.0.1:19092"
    assert written["auto.create.topics.enable"] == "false"


def test_a_single_node_has_one_replica_of_everything(tmp_path):
    node = KafkaNode(tmp_path, 1, 2)
    node.write()
    written = properties(node.properties_file)
    assert written["default.replication.factor"] == written["min.insync.replicas"] == "1"
    assert written["controller.quorum.bootstrap.servers"] == "127.0.0.1:2"
    assert "--standalone" in node.begin_format()


def test_a_member_of_a_cluster_knows_all_controllers_and_keeps_three_replicas(tmp_path):
    node = KafkaNode(tmp_path, 1, 12, node_id=2, controllers={1: 11, 2: 12, 3: 13})
    node.write()
    written = properties(node.properties_file)
    assert written["node.id"] == "2"
    assert written["controller.quorum.voters"] == "1@127.0.0.1:11,2@127.0.0.1:12,3@127.0.0.1:13"
    assert written["default.replication.factor"] == written["offsets.topic.replication.factor"] == "3"
    assert written["min.insync.replicas"] == written["transaction.state.log.min.isr"] == "2"
    assert "--standalone" not in node.begin_format()


def test_the_cluster_id_is_read_from_the_storage(tmp_path):
    node = KafkaNode(tmp_path, 1, 2)
    assert node.cluster_id is None
    node.storage.mkdir()
    (node.storage / "meta.properties").write_text("#Kafka\nnode.id=1\ncluster.id=AAbb-_=x\nversion=1\n")
    assert node.cluster_id == "AAbb-_=x"


def test_further_settings_come_last_and_so_replace_ours(tmp_path):
    node = KafkaNode(tmp_path, 1, 2, properties={"min.insync.replicas": "7", "group.max.size": "9"})
    node.write()
    lines = node.properties_file.read_text().splitlines()
    assert lines[-2:] == ["min.insync.replicas=7", "group.max.size=9"]
    assert "min.insync.replicas=1" in lines


def test_the_folder_is_escaped_for_java(tmp_path):
    node = KafkaNode(tmp_path / "Ünï \\ 😀", 1, 2)
    node.write()
    written = properties(node.properties_file)["log.dirs"]
    assert written == f"{tmp_path}/\\u00dcn\\u00ef\\u0020\\u005c\\u0020\\ud83d\\ude00/storage"


def test_storage_exists_only_after_a_complete_format(tmp_path):
    node = KafkaNode(tmp_path, 1, 2)
    node.write()
    node.begin_format()
    (tmp_path / "storage.new").mkdir()
    assert not node.is_formatted
    node.end_format()
    assert node.is_formatted


def test_files_of_an_unfinished_format_are_removed(tmp_path):
    node = KafkaNode(tmp_path, 1, 2)
    node.write()
    (tmp_path / "storage.new").mkdir()
    (tmp_path / "storage.new" / "meta.properties").touch()
    node.begin_format()
    assert not (tmp_path / "storage.new").exists()
