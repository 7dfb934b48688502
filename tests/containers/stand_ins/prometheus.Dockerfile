# Stands in for prom/prometheus: Debian's build of it, with the user, the folders and the wget of the image.
ARG PYTHON
FROM ${PYTHON}
RUN apt-get update -qq && apt-get install -qq -y --no-install-recommends busybox prometheus >/dev/null \
 && rm -rf /var/lib/apt/lists/* && ln -s /bin/busybox /usr/local/bin/wget \
 && mkdir -p /prometheus && chown nobody:nogroup /prometheus
USER nobody
VOLUME ["/prometheus"]
ENTRYPOINT ["prometheus"]
