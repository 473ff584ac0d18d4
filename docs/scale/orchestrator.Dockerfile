# Dagster, DuckDB and the command line, with the versions of constraints/. Build in the folder of the checkout:
#   docker build -f docs/scale/orchestrator.Dockerfile -t t2s-orchestrator:0.2.0 .
FROM python:3.11-slim-bookworm

WORKDIR /opt/t2s
COPY pyproject.toml README.md LICENSE workspace.yaml dagster.yaml ./
COPY constraints constraints
COPY t2s_pipeline t2s_pipeline
COPY assets assets
COPY jobs jobs
COPY sql sql
RUN pip install --no-cache-dir -c constraints/orchestrator.txt -e ".[orchestrator,geo,ray,s3]"

# The work that loads models is sent to a Ray cluster (T2S_RAY_ADDRESS), so there is no worker's interpreter. The command
# line asks for one before it starts: this one stands for it.
ENV T2S_HOME=/t2s T2S_WORKER_PYTHON=/usr/local/bin/python PYTHONUNBUFFERED=1
RUN useradd --create-home t2s && mkdir /t2s && chown t2s /t2s
USER t2s
EXPOSE 3000
ENTRYPOINT ["t2s"]
CMD ["ui", "--port", "3000"]
