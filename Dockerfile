# Penstock in a container: built as ./dev builds it, run by a user without rights on a read-only root.
#   docker build -t penstock .
#   docker run --read-only -v ./my:/etc/penstock:ro -v penstock-state:/var/lib/penstock -p 8080:8080 penstock
# The configuration says `state_dir: /var/lib/penstock`, the one folder that must be writable; logs go to stdout.
FROM debian:trixie-slim AS build
WORKDIR /src
COPY .ci/install .ci/install
RUN .ci/install build train
COPY . .
RUN ./dev optimized \
 && install -D -s build/optimized/penstock /image/usr/lib/penstock/penstock \
 && install -D -s -t /image/usr/lib/penstock/plugins build/optimized/plugins/*.so \
 && install -D -m 644 -t /image/usr/share/doc/penstock README.md config/examples/minimal.yaml \
 && install -d /image/usr/bin && ln -s ../lib/penstock/penstock /image/usr/bin/penstock
# The packages that hold the libraries which the binary and the plugins are linked with; libcurl4 below is loaded by
# the access log when one goes over HTTP.
RUN ldd build/optimized/penstock build/optimized/plugins/*.so | sed -n 's|.*=> \(/[^ ]*\).*|\1|p' | sort -u \
  | xargs realpath | xargs dpkg-query -S | cut -d: -f1 | sort -u >/image/runtime-packages

FROM debian:trixie-slim
COPY --from=build /image /
RUN apt-get update -qq \
 && xargs -a /runtime-packages apt-get install -y -qq --no-install-recommends ca-certificates libcurl4 \
 && rm -rf /var/lib/apt/lists/* /runtime-packages \
 && useradd --system --no-create-home --home-dir /var/lib/penstock --uid 10001 penstock \
 && install -d -o penstock -g penstock -m 700 /var/lib/penstock \
 && penstock version
USER penstock
WORKDIR /var/lib/penstock
VOLUME /var/lib/penstock
STOPSIGNAL SIGTERM
EXPOSE 8080 8443 9902
ENTRYPOINT ["penstock"]
CMD ["run", "-c", "/etc/penstock/gateway.yaml"]
