# Needs no base image: `make image` puts the static binary and the CA certificates into dist/.
FROM scratch
COPY dist/ca-certificates.crt /etc/ssl/certs/ca-certificates.crt
COPY dist/partway /partway
# Numeric, so that Kubernetes can prove runAsNonRoot; nobody's usual number.
USER 65532:65532
EXPOSE 8080
ENTRYPOINT ["/partway"]
CMD ["serve", "--config", "/etc/partway/config.yaml"]
