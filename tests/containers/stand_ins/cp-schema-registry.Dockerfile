# Stands in for confluentinc/cp-schema-registry: the registry of this project's tests, in memory.
ARG PYTHON
FROM ${PYTHON}
RUN useradd --uid 1000 appuser
COPY registry_server.py registry-entry.py /opt/registry/
USER appuser
CMD ["python3", "/opt/registry/registry-entry.py"]
