# docker build -t reid .                         CPU: about 500 MB, no torch
# docker build -t reid:gpu --target gpu .        CUDA 12
# docker run --rm -v "$PWD:/data" reid build gallery/
# docker run --rm -v "$PWD:/data" --entrypoint reid-query reid img.jpg
ARG PYTHON=3.12

FROM python:${PYTHON}-slim AS wheel
WORKDIR /src
COPY pyproject.toml README.md LICENSE ./
COPY autoreid_deploy ./autoreid_deploy
RUN pip wheel --no-cache-dir --no-deps --wheel-dir /wheels .

FROM nvidia/cuda:12.6.3-cudnn-runtime-ubuntu24.04 AS gpu
SHELL ["/bin/bash", "-o", "pipefail", "-c"]
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install --yes --no-install-recommends python3 python3-venv \
    && rm -rf /var/lib/apt/lists/*
COPY --from=wheel /wheels /wheels
RUN python3 -m venv /opt/reid \
    && /opt/reid/bin/pip install --no-cache-dir "$(ls /wheels/*.whl)[gpu-cu12]" \
    && useradd --create-home --uid 10001 reid
ENV PATH=/opt/reid/bin:$PATH
USER 10001
WORKDIR /data
ENTRYPOINT ["reid-index"]
CMD ["--help"]

FROM python:${PYTHON}-slim AS cpu
SHELL ["/bin/bash", "-o", "pipefail", "-c"]
COPY --from=wheel /wheels /wheels
RUN pip install --no-cache-dir "$(ls /wheels/*.whl)[cpu]" \
    && useradd --create-home --uid 10001 reid \
    && reid-index doctor
USER 10001
WORKDIR /data
ENTRYPOINT ["reid-index"]
CMD ["--help"]
