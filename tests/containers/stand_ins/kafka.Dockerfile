# Stands in for apache/kafka: the same jars, entry point, user and folders, on Debian's Java.
ARG PYTHON
FROM ${PYTHON}
RUN apt-get update -qq && apt-get install -qq -y --no-install-recommends openjdk-17-jre-headless >/dev/null \
 && rm -rf /var/lib/apt/lists/*
COPY jars /opt/kafka/libs
COPY kafka-entry.sh /opt/kafka/entry.sh
RUN useradd --uid 1000 appuser \
 && mkdir -p /etc/kafka/docker /etc/kafka/secrets /mnt/shared/config /opt/kafka/config /opt/kafka/logs /var/lib/kafka/data \
 && touch /etc/kafka/docker/server.properties \
 && printf 'Configuration:\n  Appenders:\n    Console: {name: STDOUT, PatternLayout: {pattern: "[%%d] %%p %%m (%%c)%%n"}}\n  Loggers:\n    Root: {level: WARN, AppenderRef: [{ref: STDOUT}]}\n' \
  | tee /etc/kafka/docker/log4j2.yaml >/etc/kafka/docker/tools-log4j2.yaml \
 && chown -R appuser /opt/kafka /var/lib/kafka /mnt/shared/config /etc/kafka/secrets
USER appuser
VOLUME ["/etc/kafka/secrets", "/mnt/shared/config", "/var/lib/kafka/data"]
CMD ["/opt/kafka/entry.sh"]
