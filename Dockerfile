# syntax=docker/dockerfile:1
# Tratto's server and its workers. Everything comes from Docker's, Debian's and Python's registries and from this folder.
#   docker build -t tratto .
ARG PYTHON=3.12-slim-bookworm

FROM python:${PYTHON} AS build
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1 PYTHONDONTWRITEBYTECODE=1
WORKDIR /source
RUN python -m venv /opt/tratto
COPY pyproject.toml README.md LICENSE ./
COPY src ./src
# what a server needs: no torch, no compiler
RUN /opt/tratto/bin/pip install ".[server,openvino,upscale,heif,sign,c2pa,timestamp,pdf]" \
    && /opt/tratto/bin/python -m compileall -q /opt/tratto/lib

FROM python:${PYTHON}
RUN groupadd --gid 10001 tratto \
    && useradd --uid 10001 --gid 10001 --no-create-home --home-dir /data/home --shell /usr/sbin/nologin tratto \
    && install -d -o 10001 -g 10001 -m 0700 /data
COPY --from=build /opt/tratto /opt/tratto
ENV PATH=/opt/tratto/bin:$PATH HOME=/data/home XDG_DATA_HOME=/data/home XDG_CONFIG_HOME=/data/home/config \
    XDG_CACHE_HOME=/tmp PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1
USER 10001:10001
VOLUME /data
WORKDIR /data
EXPOSE 8787
HEALTHCHECK --interval=30s --timeout=5s --start-period=60s --retries=3 \
    CMD ["python", "-c", "import urllib.request as u; u.urlopen('http://127.0.0.1:8787/api/v1/health', timeout=4)"]
ENTRYPOINT ["tratto"]
CMD ["serve", "--host", "0.0.0.0", "--data", "/data/server", "--no-open"]
