# Prometheus as its Debian package has it, laid out as the official image is.
# deploy/prometheus-image.sh prepares the context.
FROM scratch
COPY rootfs /
COPY --chown=65534:65534 data /prometheus
USER 65534:65534
WORKDIR /prometheus
VOLUME /prometheus
EXPOSE 9090/tcp
ENTRYPOINT ["/bin/prometheus"]
