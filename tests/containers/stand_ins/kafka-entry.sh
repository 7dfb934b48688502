#!/bin/bash
# What the image's own entry point does: the settings of the environment become a file, the storage is formatted once.
setup=(kafka.docker.KafkaDockerWrapper setup --default-configs-dir /etc/kafka/docker
       --mounted-configs-dir /mnt/shared/config --final-configs-dir /opt/kafka/config)
# It ends with 1 where the storage has been formatted before; Kafka itself then says what is wrong.
java -XX:TieredStopAtLevel=1 -cp '/opt/kafka/libs/*' "${setup[@]}" || true
exec java ${KAFKA_HEAP_OPTS} -Dlog4j2.configurationFile=/opt/kafka/config/log4j2.yaml -cp '/opt/kafka/libs/*' \
  kafka.Kafka /opt/kafka/config/server.properties
