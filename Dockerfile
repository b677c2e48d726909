# A static binary and nothing else; runs as an unprivileged user.
FROM golang:1.26 AS build
WORKDIR /src
COPY go.mod go.sum ./
RUN go mod download
COPY . .
RUN CGO_ENABLED=0 go build -trimpath -buildvcs=false -ldflags="-s -w" -o /balorg ./cmd/balorg \
    && mkdir -p /state /temp && chmod 0700 /state && chmod 1777 /temp

FROM scratch
COPY --from=build /balorg /balorg
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/
COPY --from=build --chown=65532:65532 /state /var/lib/balorg
# For the demo's folder, and the control socket of a state whose path is too long for one.
COPY --from=build --chown=65532:65532 /temp /tmp
USER 65532:65532
VOLUME /var/lib/balorg
EXPOSE 25 143 443 465 587 993 9143
ENTRYPOINT ["/balorg"]
CMD ["serve", "--config", "/etc/balorg/balorg.yaml"]
