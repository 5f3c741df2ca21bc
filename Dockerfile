# One image for every role: axis, agency node, traffic generator, NATS server.
# docker build --build-arg BASE_IMAGE=… . ; with a folder wheels/ beside this file nothing is fetched from an index.
ARG BASE_IMAGE=python:3.11-slim-bookworm

FROM ${BASE_IMAGE} AS build
RUN python3 -m venv /app
# wheel[s]: a folder that need not be there; constraints.txt is there always.
COPY constraints.txt wheel[s] /build/wheels/
COPY pyproject.toml README.md LICENSE constraints.txt /build/src/
COPY axis /build/src/axis
COPY agencies /build/src/agencies
COPY certs /build/src/certs
COPY bench /build/src/bench
COPY proto /build/src/proto
RUN set -eu; cd /build/src; \
    if ls /build/wheels/*.whl >/dev/null 2>&1; then export PIP_NO_INDEX=1 PIP_FIND_LINKS=/build/wheels; fi; \
    /app/bin/pip install --no-cache-dir --disable-pip-version-check --constraint constraints.txt '.[cluster]'; \
    /app/bin/python -m pip uninstall --yes --quiet pip
COPY deploy/container /app/container
COPY deploy/nats /app/nats

FROM ${BASE_IMAGE}
ENV PATH=/app/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 LANG=C.UTF-8 \
    AXIS_HOME=/data AGENCY_HOME=/data HEALTH_PORT=8090
# Where volumes are mounted, by init those of a cluster too.
RUN for each in data enrolment cluster axis-2 nats-1 nats-2 nats-3; do install -d -m 0700 -o 10001 -g 10001 "/$each"; done
COPY --from=build /app /app
USER 10001:10001
WORKDIR /tmp
VOLUME /data
HEALTHCHECK --interval=5s --timeout=5s --start-period=60s --retries=6 CMD ["python3", "-IS", "/app/container/health.py"]
CMD ["python3", "/app/container/agency.py"]
