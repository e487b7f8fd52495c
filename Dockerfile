# Needs no base image: deploy/stage.sh puts what is copied here into dist/.
FROM scratch
LABEL org.opencontainers.image.title=partway org.opencontainers.image.licenses=Apache-2.0
COPY dist/ca-certificates.crt /etc/ssl/certs/ca-certificates.crt
COPY dist/LICENSE dist/THIRD-PARTY-LICENCES.txt dist/partway.cdx.json /licences/
COPY --chown=65532:65532 dist/data /data
COPY dist/partway /partway
# Numeric, so that Kubernetes can prove runAsNonRoot.
USER 65532:65532
# /data is all that is ever written: run it with a read-only root.
ENV PARTWAY_CFG_SERVER__LISTEN=0.0.0.0:9000 PARTWAY_CFG_DATA_DIR=/data
VOLUME /data
EXPOSE 9000
ENTRYPOINT ["/partway"]
CMD ["serve", "--config", "/etc/partway/config.yaml"]
