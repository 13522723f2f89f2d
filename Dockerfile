# The development image: everything that building and running ebpflab takes. How to use it: docs/docker.md.
#
# Debian bookworm (by its security updates) and trixie have a stable Rust that is new enough, rustc-web 1.96, with `core`
# for BPF and the LLVM it was built with. It builds everything here, so there is no rustup and nothing comes from
# elsewhere: apt, crates.io and PyPI are all that a build reaches.
ARG BASE=debian:bookworm
FROM ${BASE}

RUN apt-get update \
 && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends \
        bpftool ca-certificates curl gcc g++ iproute2 iputils-ping libc6-dev procps python3-venv tmux util-linux \
 && rm -rf /var/lib/apt/lists/*

ENV PATH=/opt/venv/bin:/root/.cargo/bin:$PATH

# Alone, so that editing the project does not build bpf-linker again.
COPY scripts/setup /app/scripts/setup
COPY python/ebpflab/learn/setup /app/python/ebpflab/learn/setup
RUN apt-get update && /app/scripts/setup debian && rm -rf /var/lib/apt/lists/* /root/.cargo/registry

# libpython: `cargo build` links the extension module with it, maturin does without.
RUN apt-get update && apt-get install -y --no-install-recommends python3-dev && rm -rf /var/lib/apt/lists/*

# Outside of /app, which docker-compose.yml covers with the checkout: what is built stays in the container, and no file
# of another system's compiler or Python is met.
ENV CARGO_TARGET_DIR=/opt/target
WORKDIR /app
COPY . .
# With all crates fetched, building inside needs no network.
RUN cargo fetch --locked && python3 -m venv /opt/venv && pip install --no-cache-dir .

CMD ["bash"]
