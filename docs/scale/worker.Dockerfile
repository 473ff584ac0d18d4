# torch, transformers, TRL, SAM2 and Ray, with the versions of constraints/. The machines of a Ray cluster run it. Build in
# the folder of the checkout:
#   docker build -f docs/scale/worker.Dockerfile -t t2s-worker:0.2.0 .
FROM python:3.11-bookworm

WORKDIR /opt/t2s
COPY pyproject.toml README.md LICENSE ./
COPY constraints constraints
COPY t2s_pipeline t2s_pipeline
COPY assets assets
COPY jobs jobs
COPY sql sql
# SAM2's optional CUDA extension is not built. Another CUDA version: add its package index to this line.
RUN SAM2_BUILD_CUDA=0 PIP_BUILD_CONSTRAINT=constraints/worker.txt \
    pip install --no-cache-dir -c constraints/worker.txt -e ".[worker,ray,s3]"

ENV T2S_HOME=/t2s RAY_USAGE_STATS_ENABLED=0 PYTHONUNBUFFERED=1
RUN useradd --create-home t2s && mkdir /t2s && chown t2s /t2s
USER t2s
