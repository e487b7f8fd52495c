# Needs no base image: `make image` puts what is copied here into dist/.
FROM scratch
COPY dist/ca-certificates.crt /etc/ssl/certs/ca-certificates.crt
COPY --chown=65532:65532 dist/data /data
COPY dist/partway /partway
# Numeric, so that Kubernetes can prove runAsNonRoot.
USER 65532:65532
ENV PARTWAY_CFG_SERVER__LISTEN=0.0.0.0:9000 PARTWAY_CFG_DATA_DIR=/data
VOLUME /data
EXPOSE 9000
ENTRYPOINT ["/partway"]
CMD ["serve", "--config", "/etc/partway/config.yaml"]
