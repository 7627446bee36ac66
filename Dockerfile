# One image for every part. The web alone: --build-arg EXTRAS= ; a certain build of torch: --build-arg TORCH_INDEX=…
FROM python:3.11-slim-bookworm

ARG EXTRAS=train
ARG TORCH_INDEX=
ENV PYTHONUNBUFFERED=1 PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1

WORKDIR /hone
COPY pyproject.toml constraints.txt README.md LICENSE ./
RUN pip install --constraint constraints.txt setuptools \
    && if [ -n "$EXTRAS" ] && [ -n "$TORCH_INDEX" ]; then \
         pip install --no-deps --index-url "$TORCH_INDEX" torch==2.13.0; fi \
    && mkdir app workers migrations \
    && pip install --no-build-isolation --constraint constraints.txt --editable ".${EXTRAS:+[$EXTRAS]}"
COPY app app
COPY workers workers
COPY migrations migrations
COPY templates templates
COPY static static
COPY locale locale
# once more, without packages to fetch: the first one saw empty folders
RUN pip install --no-build-isolation --no-deps --editable . \
    && useradd --system --create-home --home-dir /var/lib/hone --shell /usr/sbin/nologin hone \
    && mkdir /home/files && chown hone:hone /home/files

USER hone
ENV HONE_HOME=/home/files HONE_HOST=0.0.0.0
VOLUME /home/files
EXPOSE 8765
CMD ["hone", "web"]
